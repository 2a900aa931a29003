//! What pause, resume, retry, cancel and delete do to a row, its part and its file.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::{Value, json};

use super::home_with;
use crate::support::{DOWNLOADS, Left, MIB, Stage, offer, offer_as, seeded_file};

#[tokio::test]
async fn pause_ends_the_request_and_keeps_every_byte_and_resume_goes_on_there() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(500_001, &gate)]);
    // Checkpoints never come by themselves: what is kept, the order kept.
    let home = home_with(&peer, json!({ "checkpoint_bytes": "1GiB", "checkpoint_interval": "1h" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "received what came", |row| row["written"] == 500_001).await;
    let row = daemon.obeyed(id, "pause").await;
    assert_eq!(
        (&row["state"], &row["durable"], &row["rate"]),
        (&json!("paused"), &json!(500_001), &json!(0))
    );
    let ended = peer.wait_for_finished(&path, 1).await;
    assert!(ended[0].hung_up, "the peer is not kept waiting");
    assert_eq!(home.part().metadata().expect("a part").len(), 500_001);
    daemon.until_metric("peerd_permits_in_use", 0.0).await;
    daemon.obeyed(id, "resume").await;
    let row = daemon.until_state(id, "completed").await;
    assert_eq!((&row["restarts"], &row["attempts"]), (&json!(0), &json!(0)));
    assert_eq!(peer.requests(&path)[1].asked(), Some((500_001, None)));
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
}

#[tokio::test]
async fn a_row_can_be_paused_before_it_runs_and_while_it_waits() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 1000);
    peer.script(&path, [Answer::status(503).header("Retry-After", "120")]);
    offer(&peer, "n", 7, 1000);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let waiting = daemon.add("bob", "m").await;
    daemon.until(waiting, "waited", |row| row["state"] == "waiting").await;
    let aside = daemon.add_with(json!({ "peer": "bob", "item": "n", "paused": true })).await;
    daemon.obeyed(waiting, "pause").await;
    for id in [waiting, aside] {
        let row = daemon.row(id).await;
        assert_eq!((&row["state"], &row["retry_at"]), (&json!("paused"), &Value::Null));
        daemon.obeyed(id, "resume").await;
        daemon.until_state(id, "completed").await;
    }
}

#[tokio::test]
async fn retry_ends_a_wait_at_once() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::truncate_at(300_000), Answer::status(503).header("Retry-After", "120")]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "waited", |row| row["state"] == "waiting").await;
    daemon.obeyed(id, "retry").await;
    daemon.until_state(id, "completed").await;
    assert_eq!(peer.requests(&path)[2].asked(), Some((300_000, None)), "with what it had");
}

#[tokio::test]
async fn cancel_keeps_the_row_and_deletes_the_part() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::hold_at(300_000, &gate)]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "recorded what came", |row| row["durable"] == 300_000).await;
    let row = daemon.obeyed(id, "cancel").await;
    assert_eq!((&row["state"], &row["durable"]), (&json!("cancelled"), &json!(0)));
    assert!(peer.wait_for_finished(&path, 1).await[0].hung_up);
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    assert_eq!(home.names("completed"), [] as [&str; 0]);
    assert_eq!(daemon.row(id).await["state"], "cancelled");
    let again = daemon.add("bob", "m").await;
    daemon.until_state(again, "completed").await;
    assert_eq!(peer.requests(&path)[1].asked(), None, "from nothing");
}

#[tokio::test]
async fn cancel_lets_go_of_what_a_failed_row_kept() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::truncate_at(300_000), Answer::status(404)]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!(row["durable"], 300_000, "a failure gives nothing up");
    assert_eq!(home.part().metadata().expect("a part").len(), 300_000);
    daemon.obeyed(id, "cancel").await;
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
}

#[tokio::test]
async fn delete_ends_the_requests_and_removes_row_and_part() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::hold_at(300_000, &gate)]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "recorded what came", |row| row["durable"] == 300_000).await;
    assert_eq!(daemon.delete(id, "").await.status, 204);
    assert!(peer.wait_for_finished(&path, 1).await[0].hung_up);
    assert_eq!(daemon.get(&format!("{DOWNLOADS}/{id}")).await.status, 404);
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    assert_eq!(daemon.delete(id, "").await.status, 404);
    let again = daemon.add("bob", "m").await;
    assert!(again > id, "a number is never used twice");
    daemon.until_state(again, "completed").await;
}

#[tokio::test]
async fn delete_takes_a_published_file_only_when_it_is_told_to() {
    let peer = ScriptedPeer::start().await;
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    for (item, query, stays) in [("a", "", true), ("b", "?data=false", true), ("c", "?data=true", false)] {
        offer(&peer, item, 7, 1000);
        let id = daemon.add("bob", item).await;
        daemon.until_state(id, "completed").await;
        assert_eq!(daemon.delete(id, query).await.status, 204);
        assert_eq!(home.completed(&format!("{item}.bin")).exists(), stays, "{query:?}");
    }
}

#[tokio::test]
async fn delete_with_data_leaves_a_file_that_this_row_did_not_publish() {
    let peer = ScriptedPeer::start().await;
    let home = home_with(&peer, json!({}));
    let stage = Stage { item: "m", seed: 7, total: 1000, durable: 1000, left: Left::Queued, blake3: None };
    let staged = stage.set(&home).await;
    std::fs::write(&staged.target, "precious").expect("a file");
    let daemon = home.start().await;
    daemon.until_state(staged.id, "failed").await;
    assert_eq!(daemon.delete(staged.id, "?data=true").await.status, 204);
    assert_eq!(std::fs::read(&staged.target).expect("the file"), b"precious");
}

#[tokio::test]
async fn delete_with_data_leaves_a_file_that_a_later_row_put_there() {
    let peer = ScriptedPeer::start().await;
    offer_as(&peer, "old", "film.mkv", 1, 1000);
    offer_as(&peer, "new", "film.mkv", 2, 1000);
    let home = home_with(&peer, json!({ "on_conflict": "replace" }));
    let daemon = home.start().await;
    let old = daemon.add("bob", "old").await;
    daemon.until_state(old, "completed").await;
    let new = daemon.add("bob", "new").await;
    daemon.until_state(new, "completed").await;
    assert_eq!(daemon.delete(old, "?data=true").await.status, 204);
    assert_same_bytes(home.completed("film.mkv"), 2, 1000);
    assert_eq!(daemon.delete(new, "?data=true").await.status, 204);
    assert_eq!(home.names("completed"), [] as [&str; 0]);
}

#[tokio::test]
async fn a_limit_holds_from_the_first_byte_and_can_be_lifted_on_the_way() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 64 * MIB);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    // At this rate it would take four minutes.
    let id = daemon.add_with(json!({ "peer": "bob", "item": "m", "limit_down": "256KiB" })).await;
    daemon.until(id, "had begun", |row| row["written"].as_u64() > Some(0)).await;
    let row = daemon.row(id).await;
    assert!(row["written"].as_u64() < Some(4 * MIB), "{row:#}");
    assert_eq!(daemon.patch(id, &json!({ "limit_down": null })).await.status, 200);
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, 64 * MIB);
}

#[tokio::test]
async fn with_downloads_disabled_rows_are_kept_and_shown_as_paused() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let home = home_with(&peer, json!({ "enabled": false }));
    let stage =
        Stage { item: "m", seed: 7, total: MIB, durable: 1000, left: Left::Downloading, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.part, 7, 1000);
    let daemon = home.start().await;
    let row = daemon.row(staged.id).await;
    assert_eq!((&row["state"], &row["error"]["kind"]), (&json!("paused"), &json!("disabled")));
    daemon.terminate().await;
    assert_same_bytes(&staged.part, 7, 1000);
    let home = home.with(json!({ "downloads": { "enabled": true } }));
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(peer.requests(&path)[0].asked(), Some((1000, None)));
}

#[tokio::test]
async fn with_downloads_disabled_a_whole_part_is_not_published_before_they_are_enabled() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, MIB);
    let home = home_with(&peer, json!({ "enabled": false }));
    let stage = Stage { item: "m", seed: 7, total: MIB, durable: MIB, left: Left::Finalizing, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.part, 7, MIB);
    let daemon = home.start().await;
    let row = daemon.row(staged.id).await;
    assert_eq!((&row["state"], &row["error"]["kind"]), (&json!("paused"), &json!("disabled")));
    // It ends only when whatever it began has ended.
    daemon.terminate().await;
    assert_same_bytes(&staged.part, 7, MIB);
    assert!(!staged.target.exists());
    let home = home.with(json!({ "downloads": { "enabled": true } }));
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, MIB);
}
