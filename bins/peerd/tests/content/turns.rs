//! A row that somebody reads does not wait for its turn.

use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use crate::support::{MIB, offer};
use crate::{KIB, Reading, SEED, home, reads};

#[tokio::test]
async fn a_queued_row_that_is_read_takes_the_place_of_one_that_is_not() {
    let peer = ScriptedPeer::start().await;
    let busy = offer(&peer, "busy", 1, MIB);
    let gate = Gate::closed();
    peer.script(&busy, [Answer::hold_at(256 * KIB, &gate)]);
    offer(&peer, "wanted", SEED, MIB);
    let home = home(&peer).with(json!({ "downloads": { "max_concurrent": 1 } }));
    let daemon = home.start().await;
    let first = daemon.add("bob", "busy").await;
    gate.parked(1).await;
    let second = daemon.add("bob", "wanted").await;
    assert_eq!(daemon.row(second).await["state"], "queued");
    reads(&daemon, second, 0..MIB).await;
    daemon.until_state(second, "completed").await;
    gate.release();
    let row = daemon.until_state(first, "completed").await;
    assert_eq!(
        (&row["restarts"], &row["attempts"]),
        (&json!(0), &json!(0)),
        "it lost its turn and nothing else"
    );
    let asked: Vec<_> = peer.requests(&busy).iter().map(scripted_peer::RecordedRequest::asked).collect();
    assert_eq!(asked, [None, Some((256 * KIB, None))]);
}

#[tokio::test]
async fn limits_hold_for_readers_and_those_who_read_do_not_drive_each_other_out() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let [busy, wanted] = ["one", "two"].map(|name| offer(&peer, name, SEED, MIB));
    peer.always(&busy, Answer::hold_at(256 * KIB, &gate));
    let home = home(&peer).with(json!({ "downloads": { "max_concurrent": 1 } }));
    let daemon = home.start().await;
    let one = daemon.add("bob", "one").await;
    let mut first = Reading::of(&daemon, one, &[]).await;
    first.take(256 * KIB).await;
    let two = daemon.add("bob", "two").await;
    // Ten seconds before a row that has no turn.
    assert_eq!(Reading::of(&daemon, two, &[]).await.status, 503);
    assert_eq!(daemon.metric("peerd_permits_in_use").await, Some(1.0));
    assert_eq!(daemon.row(one).await["state"], "downloading");
    assert_eq!(peer.requests(&wanted).len(), 0, "it had to wait");
    gate.release();
    let (second, rest) = tokio::join!(Reading::of(&daemon, two, &[]), first.rest());
    assert_eq!(rest.len() as u64, MIB - 256 * KIB);
    assert_eq!(second.status, 200);
    assert_eq!(second.rest().await.len() as u64, MIB);
}
