//! Bytes that are missing: fetched first, and the same response goes on when they are there.

use futures_util::StreamExt as _;
use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes, seeded_bytes};
use serde_json::json;

use crate::support::{MIB, offer};
use crate::{KIB, LONG, Reading, SEED, home, reads, starts};

/// C19, C29, C46: over one connection, too, nobody waits for what nobody waits for.
#[tokio::test]
async fn missing_bytes_come_first_and_in_the_same_response() {
    for connections in [1, 4] {
        let peer = ScriptedPeer::start().await;
        let path = offer(&peer, "m", SEED, LONG);
        let gate = Gate::closed();
        peer.always(&path, Answer::hold_at(512 * KIB, &gate));
        let home = home(&peer).with(json!({ "downloads": { "connections": connections } }));
        let daemon = home.start().await;
        let id = daemon.add("bob", "m").await;
        daemon.until(id, "had its first bytes", |row| row["written"].as_u64() >= Some(512 * KIB)).await;
        // The tail, the middle, and a backward seek into what is there.
        for start in [LONG - 64 * KIB, LONG / 2 + 12_345, 1000] {
            reads(&daemon, id, start..start + 64 * KIB).await;
        }
        let row = daemon.row(id).await;
        assert!(row["written"].as_u64() < Some(LONG / 2), "{connections}: the rest is not there: {row:#}");
        gate.release();
        daemon.until_state(id, "completed").await;
        assert_same_bytes(home.completed("m.bin"), SEED, LONG);
    }
}

/// C18
#[tokio::test]
async fn what_is_there_is_served_without_asking_the_peer() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let gate = Gate::closed();
    peer.always(&path, Answer::hold_at(512 * KIB, &gate));
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "had its first bytes", |row| row["written"].as_u64() >= Some(512 * KIB)).await;
    let before = peer.all_requests().len();
    for start in [0, 100_000, 512 * KIB - 1000] {
        reads(&daemon, id, start..start + 1000).await;
    }
    assert_eq!(peer.all_requests().len(), before);
}

/// C21, C28, C38: in order, past holes and past what is there already.
#[tokio::test]
async fn a_whole_file_with_holes_is_streamed_in_order_while_it_arrives() {
    for connections in [1, 4] {
        let peer = ScriptedPeer::start().await;
        offer(&peer, "m", SEED, LONG);
        peer.limit_rate(24 * MIB);
        let home = home(&peer).with(json!({ "downloads": { "connections": connections } }));
        let daemon = home.start().await;
        let id = daemon.add("bob", "m").await;
        for start in [3 * MIB, 6 * MIB] {
            reads(&daemon, id, start..start + 300_000).await;
        }
        let reading = Reading::of(&daemon, id, &[]).await;
        assert_eq!((reading.status, reading.field("content-length")), (200, &*LONG.to_string()));
        assert!(reading.rest().await == seeded_bytes(SEED, 0..LONG), "over {connections} connections");
        daemon.until_state(id, "completed").await;
        assert_same_bytes(home.completed("m.bin"), SEED, LONG);
        // Nothing that is there is fetched again for somebody who reads it.
        let before = peer.all_requests().len();
        reads(&daemon, id, 1000..6000).await;
        assert_eq!(peer.all_requests().len(), before);
    }
}

/// C30: whoever seeks asks anew and leaves the old response; the last place is what is fetched.
#[tokio::test]
async fn of_several_seeks_the_last_one_is_served() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let (first, stale) = (Gate::closed(), Gate::closed());
    peer.script(&path, [Answer::hold_at(64 * KIB, &first), Answer::hold_head(&stale)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    first.parked(1).await;
    let seek = async |start: u64| {
        let value = format!("bytes={start}-");
        Reading::of(&daemon, id, &[("range", &value)]).await.take(16).await
    };
    tokio::select! {
        _ = seek(3 * MIB) => panic!("nothing has come"),
        () = stale.parked(1) => {}
    }
    assert!(seek(6 * MIB).await == seeded_bytes(SEED, 6 * MIB..6 * MIB + 16));
    let left =
        |requests: &[scripted_peer::RecordedRequest]| requests.get(1).is_some_and(|stale| stale.hung_up);
    let requests = peer.wait_until(&path, "the stale request to be left", left).await;
    assert_eq!(starts(&requests)[..3], [0, 3 * MIB, 6 * MIB]);
}

/// C31: many at once get what they came for.
#[tokio::test]
async fn many_readers_of_one_download_all_get_their_bytes() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", SEED, LONG);
    peer.limit_rate(32 * MIB);
    let home = home(&peer).with(json!({ "downloads": { "connections": 2 } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let readers = (0..8).map(|n| reads(&daemon, id, n * MIB + n..(n + 1) * MIB));
    futures_util::stream::iter(readers).buffer_unordered(8).collect::<Vec<_>>().await;
}

/// C49: nobody knows how long the file is before the first answer.
#[tokio::test]
async fn a_reader_who_comes_before_the_first_answer_waits_for_it() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_head(&gate)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    let release = async { gate.release() };
    let (reading, ()) = tokio::join!(Reading::of(&daemon, id, &[("range", "bytes=-16")]), release);
    assert_eq!((reading.status, reading.field("content-range")), (206, "bytes 1048560-1048575/1048576"));
    assert!(reading.rest().await == seeded_bytes(SEED, MIB - 16..MIB));
}
