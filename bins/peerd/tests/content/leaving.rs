//! Whoever goes away wants nothing any more.

use scripted_peer::{Answer, Gate, ScriptedPeer};

use crate::support::{Daemon, Home, MIB, offer};
use crate::{KIB, LONG, Reading, SEED, home, reads, starts};

/// A download whose first connection is held behind 64 KiB, and whose second as `second` says.
async fn held(peer: &ScriptedPeer, second: Answer) -> (Home, Daemon, u64, String) {
    let path = offer(peer, "m", SEED, LONG);
    let background = Gate::closed();
    peer.script(&path, [Answer::hold_at(64 * KIB, &background), second]);
    let home = home(peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    background.parked(1).await;
    (home, daemon, id, path)
}

/// C23, C39: a request that is under way goes on, since the file is wanted as a whole; none follows it.
#[tokio::test]
async fn nothing_more_is_asked_for_on_behalf_of_a_reader_that_has_left() {
    let peer = ScriptedPeer::start().await;
    let ahead = Gate::closed();
    let second = Answer::hold_at(300 * KIB, &ahead).and(Answer::truncate_at(300 * KIB));
    let (_home, daemon, id, path) = held(&peer, second).await;
    let value = format!("bytes={}-", 5 * MIB);
    let mut reading = Reading::of(&daemon, id, &[("range", &value)]).await;
    reading.take(64 * KIB).await;
    ahead.parked(1).await;
    drop(reading);
    daemon.until_metric("peerd_serve_active", 0.0).await;
    ahead.release();
    let requests = peer.wait_for_requests(&path, 3).await;
    assert_eq!(starts(&requests)[..3], [0, 5 * MIB, 64 * KIB], "the rest goes on at its front");
    daemon.until_state(id, "completed").await;
    reads(&daemon, id, 5 * MIB..6 * MIB).await;
}

/// C23: before the head, too.
#[tokio::test]
async fn whoever_leaves_while_it_waits_for_the_head_is_fetched_for_no_more() {
    let peer = ScriptedPeer::start().await;
    let tail = Gate::closed();
    let second = Answer::hold_head(&tail).and(Answer::close_before_head());
    let (_home, daemon, id, path) = held(&peer, second).await;
    tokio::select! {
        _ = Reading::of(&daemon, id, &[("range", "bytes=-1000")]) => panic!("nothing has come"),
        () = tail.parked(1) => {}
    }
    daemon.until_metric("peerd_serve_active", 0.0).await;
    tail.release();
    let requests = peer.wait_for_requests(&path, 3).await;
    assert_eq!(starts(&requests)[..3], [0, LONG - 1000, 64 * KIB]);
    daemon.until_state(id, "completed").await;
}
