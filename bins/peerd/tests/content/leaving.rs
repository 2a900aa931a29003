//! Whoever goes away wants nothing any more.

use scripted_peer::{Answer, Gate, RecordedRequest, ScriptedPeer};

use crate::support::{MIB, offer};
use crate::{KIB, LONG, Reading, SEED, home, reads, starts};

/// C23, C39
#[tokio::test]
async fn a_reader_that_leaves_in_the_middle_is_fetched_for_no_more() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let (background, ahead) = (Gate::closed(), Gate::closed());
    peer.script(&path, [Answer::hold_at(64 * KIB, &background), Answer::hold_at(300 * KIB, &ahead)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    background.parked(1).await;
    let value = format!("bytes={}-", 5 * MIB);
    let mut reading = Reading::of(&daemon, id, &[("range", &value)]).await;
    reading.take(64 * KIB).await;
    ahead.parked(1).await;
    drop(reading);
    // The connection that only it wanted goes back to the front of the file.
    let back = |requests: &[RecordedRequest]| requests.len() > 2;
    let requests = peer.wait_until(&path, "the background to go on", back).await;
    assert_eq!(starts(&requests)[..3], [0, 5 * MIB, 64 * KIB]);
    assert!(requests[1].hung_up, "what was under way for it is left");
    daemon.until_state(id, "completed").await;
    let again = starts(&peer.requests(&path));
    assert!(!again[2..].iter().any(|start| (5 * MIB..5 * MIB + 300 * KIB).contains(start)), "{again:?}");
    reads(&daemon, id, 5 * MIB..6 * MIB).await;
}

/// C23: before the head, too.
#[tokio::test]
async fn a_reader_that_leaves_while_it_waits_for_the_head_is_fetched_for_no_more() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, LONG);
    let (background, tail) = (Gate::closed(), Gate::closed());
    peer.script(&path, [Answer::hold_at(64 * KIB, &background), Answer::hold_head(&tail)]);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    background.parked(1).await;
    tokio::select! {
        _ = Reading::of(&daemon, id, &[("range", "bytes=-1000")]) => panic!("nothing has come"),
        () = tail.parked(1) => {}
    }
    let left = |requests: &[RecordedRequest]| requests.get(1).is_some_and(|tail| tail.hung_up);
    let requests = peer.wait_until(&path, "its request to be left", left).await;
    assert_eq!(starts(&requests)[..2], [0, LONG - 1000]);
    daemon.until_state(id, "completed").await;
}
