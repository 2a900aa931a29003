//! How often a failure is tried again, and how long the peer is left alone in between.

use std::time::Duration;

use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, assert_same_bytes};
use serde_json::{Value, json};

use super::home_with;
use crate::support::{MIB, offer, on_record};

#[tokio::test]
async fn attempts_without_progress_are_counted_exactly_and_the_row_may_be_tried_again() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.script(&path, vec![Answer::status(503); 4]);
    let home = home_with(&peer, json!({ "max_attempts": 4 }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!(peer.requests(&path).len(), 4);
    assert_eq!((&row["attempts"], &row["retryable"]), (&json!(4), &json!(true)));
    assert_eq!(row["error"]["kind"], "attempts-exhausted");
    assert!(row["error"]["message"].as_str().expect("words").contains("503"), "{row:#}");
    assert!(row["retry_at"].is_string(), "it comes back by itself: {row:#}");
    daemon.obeyed(id, "retry").await;
    let row = daemon.until_state(id, "completed").await;
    assert_eq!((&row["attempts"], &row["retryable"]), (&json!(0), &json!(false)), "the count starts over");
}

#[tokio::test]
async fn attempts_are_counted_over_waits_in_line_as_well() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.always(&path, Answer::status(429).header("Retry-After", "120"));
    let home = home_with(&peer, json!({ "max_attempts": 3 }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    for attempts in [1, 2] {
        let row = daemon.until_state(id, "waiting").await;
        assert_eq!(row["attempts"], attempts);
        drop(daemon.order(id, "pause").await);
        daemon.obeyed(id, "resume").await;
        daemon.until(id, "tried again", |row| row["attempts"] != attempts).await;
    }
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["attempts"], &row["retryable"]), (&json!(3), &json!(true)));
    assert_eq!(peer.requests(&path).len(), 3);
}

#[tokio::test]
async fn attempts_to_reach_a_peer_that_is_away_are_bounded_too() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 1, 1000);
    peer.go_away().await;
    let home = home_with(&peer, json!({ "max_attempts": 3 }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["attempts"], &row["retryable"]), (&json!(3), &json!(true)));
    assert_eq!(row["error"]["kind"], "unreachable");
}

#[tokio::test]
async fn patience_is_kept_with_a_peer_that_cannot_describe_the_item_yet() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 1, 1000);
    peer.always("/peer/items/m", Answer::status(503).header("Retry-After", "120"));
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until(id, "waited", |row| row["state"] == "waiting").await;
    assert!(row["error"]["message"].as_str().expect("words").contains("503"), "{row:#}");
    assert_eq!(peer.requests("/peer/items/m").len(), 2, "once for the owner, once for the row: {row:#}");
    let delay = daemon.metric("peerd_retry_delay_seconds_sum").await.expect("a sum");
    assert!((120.0..=126.0).contains(&delay), "{delay}");
    daemon.until_metric("peerd_permits_in_use", 0.0).await;
}

#[tokio::test]
async fn progress_makes_the_count_start_over() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 4 * MIB);
    // Six cuts with a megabyte or more in between every second one: never three failures without progress.
    peer.script(&path, (0..3).flat_map(|_| [Answer::truncate_at(MIB + 1), Answer::status(503)]));
    let home = home_with(&peer, json!({ "max_attempts": 3, "attempts_reset_bytes": "1MiB" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 1, 4 * MIB);
    assert_eq!(peer.requests(&path).len(), 7);
}

#[tokio::test]
async fn a_lasting_refusal_is_not_repeated() {
    let peer = ScriptedPeer::start().await;
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    for (status, kind) in [(404, "not-found"), (410, "not-found"), (403, "key-refused"), (501, "rejected")] {
        let item = format!("s{status}");
        let path = offer(&peer, &item, 1, 1000);
        peer.always(&path, Answer::status(status));
        let id = daemon.add("bob", &item).await;
        let row = daemon.until_state(id, "failed").await;
        assert_eq!((&row["error"]["kind"], &row["retryable"]), (&json!(kind), &json!(false)), "{status}");
        assert_eq!(peer.requests(&path).len(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_row_that_ran_out_of_attempts_comes_back_by_itself() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.script(&path, vec![Answer::status(503); 5]);
    let home = home_with(&peer, json!({ "max_attempts": 2, "retry_failed_every": "100ms" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "arrived", |row| row["state"] == "completed").await;
    assert_eq!(peer.requests(&path).len(), 6);
}

#[tokio::test]
async fn a_row_that_is_too_old_stays_failed() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.always(&path, Answer::status(503));
    let downloads = json!({ "max_attempts": 1, "retry_failed_every": "1h", "give_up_after": "30m" });
    let home = home_with(&peer, downloads);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["retryable"], &row["retry_at"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn a_longer_wait_than_any_of_ours_is_kept_to_and_not_shortened() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.always(&path, Answer::status(503).header("Retry-After", "7200"));
    let home = home_with(&peer, json!({ "retry_max": "50ms", "max_retry_after": "5m" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until_state(id, "waiting").await;
    assert_eq!(row["attempts"], 1);
    let delay = daemon.metric("peerd_retry_delay_seconds_sum").await.expect("a sum");
    assert!((7200.0..=7205.0).contains(&delay), "{delay}");
    daemon.until_metric("peerd_permits_in_use", 0.0).await;
    assert_eq!(peer.requests(&path).len(), 1);
}

#[tokio::test]
async fn a_restart_of_the_daemon_gives_a_row_no_fresh_attempts() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.always(&path, Answer::status(503).header("Retry-After", "120"));
    let home = home_with(&peer, json!({ "max_attempts": 2 }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    assert_eq!(daemon.until_state(id, "waiting").await["attempts"], 1);
    daemon.kill().await;
    let daemon = home.start().await;
    let row = daemon.row(id).await;
    assert_eq!(
        (&row["state"], &row["attempts"]),
        (&json!("waiting"), &json!(1)),
        "a wait outlives a kill as well"
    );
    daemon.obeyed(id, "pause").await;
    daemon.obeyed(id, "resume").await;
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["attempts"], &row["error"]["kind"]), (&json!(2), &json!("attempts-exhausted")));
    assert_eq!(peer.requests(&path).len(), 2);
}

#[tokio::test]
async fn progress_before_a_restart_and_after_it_together_make_the_count_start_over() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 4 * MIB);
    let gate = Gate::closed();
    // A failure, 600 KiB, the daemon is killed, 600 KiB more, and the next failure is the first again.
    let some = 600 << 10;
    peer.script(&path, [Answer::status(503), Answer::hold_at(some, &gate)]);
    let home = home_with(&peer, json!({ "max_attempts": 2, "attempts_reset_bytes": "1MiB" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until(id, "recorded what came", |row| row["durable"] == some).await;
    assert_eq!(row["attempts"], 1);
    daemon.kill().await;
    peer.script(&path, [Answer::truncate_at(some)]);
    let daemon = home.start().await;
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 1, 4 * MIB);
}

#[tokio::test]
async fn a_row_that_used_up_its_attempts_does_not_come_back_before_the_peer_wants_it_to() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.always(&path, Answer::status(503).header("Retry-After", "7200"));
    let home = home_with(&peer, json!({ "max_attempts": 1, "retry_failed_every": "100ms" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "failed").await;
    daemon.kill().await;
    let row = on_record(&home, id).await;
    let away = row.retry_at.expect("a time to come back").saturating_since(row.updated_at);
    assert!(away >= Duration::from_secs(7200), "{away:?}");
    assert_eq!(peer.requests(&path).len(), 1);
}

#[tokio::test]
async fn a_failed_row_whose_place_was_taken_says_so_when_its_time_comes() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.script(&path, [Answer::status(503)]);
    let home = home_with(&peer, json!({ "max_attempts": 1, "retry_failed_every": "1s" }));
    let daemon = home.start().await;
    let old = daemon.add("bob", "m").await;
    daemon.until_state(old, "failed").await;
    let new = daemon.add_with(json!({ "peer": "bob", "item": "m", "paused": true })).await;
    let row = daemon.until(old, "was superseded", |row| row["error"]["kind"] == "superseded").await;
    let message = row["error"]["message"].as_str().expect("words");
    assert!(message.starts_with(&format!("download {new} has taken its place")), "{message}");
    assert!(message.contains("503"), "what it failed of is not forgotten: {message}");
    assert_eq!((&row["state"], &row["retry_at"]), (&json!("failed"), &Value::Null));
}

#[tokio::test]
async fn a_size_the_peer_announced_wrongly_neither_restarts_nor_cuts_a_resumed_file() {
    let peer = ScriptedPeer::start().await;
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    for announced in [300_000, 2 * MIB] {
        let item = format!("of{announced}");
        let path = offer(&peer, &item, 1, MIB);
        let described =
            json!({ "id": item, "filename": format!("{item}.bin"), "size": announced }).to_string();
        let described = Representation::bytes(described).content_type("application/json");
        peer.replace(&format!("/peer/items/{item}"), described);
        // What is there after the cut is as long as the peer's list says the whole is.
        peer.script(&path, [Answer::truncate_at(300_000)]);
        let id = daemon.add("bob", &item).await;
        let row = daemon.until_state(id, "completed").await;
        assert_same_bytes(home.completed(&format!("{item}.bin")), 1, MIB);
        assert_eq!((&row["restarts"], &row["total"]), (&json!(0), &json!(MIB)), "{announced}");
        assert_eq!(peer.requests(&path)[1].asked(), Some((300_000, None)), "{announced}");
    }
}
