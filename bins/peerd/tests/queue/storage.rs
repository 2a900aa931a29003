//! When the trouble is our own: a disk that went away, a registry that cannot be written.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::home_with;
use crate::support::{MIB, offer};

#[tokio::test]
async fn a_directory_that_went_away_holds_the_queue_and_fails_nobody() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    std::fs::rename(home.path("incomplete"), home.path("elsewhere")).expect("a directory to move");
    let id = daemon.add("bob", "m").await;
    let gone = |event: &serde_json::Value| event["dir"].as_str().map(str::to_owned);
    let dir = daemon.log.wait_for("which directory is gone", gone).await;
    assert_eq!(Some(dir.as_str()), home.path("incomplete").to_str());
    let row = daemon.row(id).await;
    assert_eq!((&row["state"], &row["attempts"]), (&json!("queued"), &json!(0)));
    assert_eq!(daemon.get("/readyz").await.status, 503);
    std::fs::rename(home.path("elsewhere"), home.path("incomplete")).expect("a directory to move back");
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}

#[tokio::test]
async fn a_registry_that_cannot_be_written_leaves_no_row_behind() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 4 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start_on_a_small_disk().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "recorded what came", |row| row["durable"] == MIB).await;
    daemon.limit_files(Some(0));
    gate.release();
    let refused =
        |event: &serde_json::Value| event["message"].as_str()?.contains("cannot be written").then_some(());
    daemon.log.wait_for("that the row cannot be written", refused).await;
    assert_eq!(daemon.row(id).await["durable"], MIB, "what was promised before still holds");
    daemon.limit_files(None);
    let row = daemon.until(id, "was written down", |row| row["state"] != "downloading").await;
    assert_eq!((&row["error"]["kind"], &row["attempts"]), (&json!("local-io"), &json!(0)), "{row:#}");
    daemon.obeyed(id, "retry").await;
    daemon.until_state(id, "completed").await;
    assert_eq!(peer.requests(&path)[1].asked(), Some((MIB, None)));
    assert_same_bytes(home.completed("m.bin"), 7, 4 * MIB);
}

#[tokio::test]
async fn nothing_is_acknowledged_that_the_registry_did_not_take() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = home_with(&peer, json!({}));
    let daemon = home.start_on_a_small_disk().await;
    daemon.limit_files(Some(0));
    let answer = daemon.try_add("bob", "m").await;
    assert_eq!((answer.status, answer.problem()), (503, "unavailable".into()));
    assert!(!answer.field("retry-after").is_empty(), "{answer:?}");
    daemon.limit_files(None);
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
}
