//! What a download tells from its first day to its last.

use retry_kit::{Clock, TokioClock};
use scripted_peer::{Answer as Deviation, Gate, Representation, ScriptedPeer};
use serde_json::{Value, json};

use super::feed::{Feed, Happened};
use crate::support::{Daemon, Home, MIB, offer};

async fn daemon_of(peer: &ScriptedPeer, downloads: &Value) -> (Home, Daemon, Feed) {
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "downloads": downloads }));
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    feed.until("snapshot", 0).await;
    (home, daemon, feed)
}

fn progress(feed: &Feed, id: u64) -> Vec<Happened> {
    let of = feed.seen.iter().filter(|it| it.name == "download.progress" && it.data["download_id"] == id);
    of.cloned().collect()
}

#[tokio::test]
async fn a_download_tells_its_life_in_order_and_its_progress_ends_at_the_total() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 3 * MIB);
    let (home, daemon, mut feed) = daemon_of(&peer, &json!({})).await;
    let id = daemon.add("bob", "m").await;
    let done = feed.until("download.completed", id).await;
    assert_eq!(
        feed.names(id),
        ["download.created", "download.queued", "download.started", "download.completed"]
    );
    let place = |name: &str| feed.seen.iter().position(|it| it.name == name).expect("an event");
    assert!(place("download.started") < place("download.progress"), "{:#?}", feed.seen);
    let created = &feed.seen[1].data;
    assert_eq!(
        created,
        &json!({
            "download_id": id, "state": "queued", "peer": "bob", "item": "m", "filename": "m.bin",
            "total": 3 * MIB, "priority": 0,
        })
    );
    assert_eq!(done.data["path"], json!(home.completed("m.bin")));
    assert_eq!((&done.data["total"], &done.data["received"]), (&json!(3 * MIB), &json!(3 * MIB)));
    let told = progress(&feed, id);
    let figures =
        |name: &str| Vec::from_iter(told.iter().map(|it| it.data[name].as_u64().expect("a number")));
    for (written, durable) in figures("written").into_iter().zip(figures("durable")) {
        assert!(durable <= written && written <= 3 * MIB, "{durable} durable, {written} written");
    }
    assert!(figures("written").is_sorted() && figures("durable").is_sorted(), "{told:#?}");
    let last = told.last().expect("progress");
    assert_eq!(
        (&last.data["written"], &last.data["durable"], &last.data["total"]),
        (&json!(3 * MIB), &json!(3 * MIB), &json!(3 * MIB))
    );
    for name in ["rate", "eta", "connections"] {
        assert!(last.data.get(name).is_some(), "{name} in {last:?}");
    }
    assert_eq!(feed.ids(), Vec::from_iter(feed.seen[0].id..=done.id), "no number is left out");
}

#[tokio::test]
async fn progress_comes_no_more_than_ten_times_a_second() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Deviation::drip(4096, std::time::Duration::from_millis(4))]);
    let (_home, daemon, mut feed) = daemon_of(&peer, &json!({ "checkpoint_interval": "1ms" })).await;
    let begun = TokioClock.now();
    let id = daemon.add("bob", "m").await;
    feed.until("download.completed", id).await;
    let told = progress(&feed, id).len();
    let most = 10.0 * (TokioClock.now() - begun).as_secs_f64() + 1.0;
    assert!((1.0..=most).contains(&(told as f64)), "{told} where {most} are the most");
}

#[tokio::test]
async fn an_empty_file_is_told_like_any_other() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "empty", 7, 0);
    let (_home, daemon, mut feed) = daemon_of(&peer, &json!({})).await;
    let id = daemon.add("bob", "empty").await;
    feed.until("download.completed", id).await;
    let last = progress(&feed, id).pop().expect("progress");
    assert_eq!((&last.data["written"], &last.data["total"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_retry_names_its_reason_its_delay_and_who_chose_it() {
    let peer = ScriptedPeer::start().await;
    let cut = offer(&peer, "cut", 7, 100_000);
    peer.script(&cut, [Deviation::truncate_at(30_000)]);
    let busy = offer(&peer, "busy", 8, 1000);
    peer.script(&busy, [Deviation::status(429).header("Retry-After", "2")]);
    let (_home, daemon, mut feed) = daemon_of(&peer, &json!({ "attempts_reset_bytes": "0" })).await;
    for (item, source, least) in [("cut", "backoff", 0), ("busy", "retry-after", 2000)] {
        let id = daemon.add("bob", item).await;
        let retry = feed.until("download.retrying", id).await.data;
        assert_eq!((&retry["attempt"], &retry["max"]), (&json!(1), &json!(5)), "{item}: {retry:#}");
        assert_eq!(retry["source"], source, "{item}");
        assert!(retry["delay_ms"].as_u64().is_some_and(|delay| delay >= least), "{retry:#}");
        assert!(retry["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{retry:#}");
        feed.until("download.completed", id).await;
        let started = feed.seen.iter().rfind(|it| it.name == "download.started").expect("a start");
        assert_eq!(started.data["from"], if item == "cut" { 30_000 } else { 0 }, "{item}");
    }
}

#[tokio::test]
async fn a_restart_tells_its_reason_and_the_bytes_it_cost() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 100_000);
    let changed = Representation::seeded(8, 100_000).etag("\"other\"");
    peer.script(&path, [Deviation::truncate_at(30_000).and(Deviation::then_serve(changed))]);
    let (_home, daemon, mut feed) = daemon_of(&peer, &json!({})).await;
    let id = daemon.add("bob", "m").await;
    let restarted = feed.until("download.restarted", id).await.data;
    assert_eq!(restarted, json!({ "download_id": id, "reason": "validator_changed", "discarded": 30_000 }));
    feed.until("download.completed", id).await;
}

#[tokio::test]
async fn a_failure_tells_its_kind_and_whether_it_may_pass() {
    let peer = ScriptedPeer::start().await;
    let gone = offer(&peer, "gone", 7, 1000);
    peer.always(&gone, Deviation::status(404));
    let busy = offer(&peer, "busy", 8, 1000);
    peer.always(&busy, Deviation::status(503));
    let (_home, daemon, mut feed) = daemon_of(&peer, &json!({ "max_attempts": 2 })).await;
    for (item, kind, retryable) in [("gone", "not-found", false), ("busy", "attempts-exhausted", true)] {
        let id = daemon.add("bob", item).await;
        let failed = feed.until("download.failed", id).await.data;
        assert_eq!((&failed["error"]["kind"], &failed["retryable"]), (&json!(kind), &json!(retryable)));
        assert!(failed["error"]["message"].is_string(), "{failed:#}");
        assert_eq!(failed["retry_at"].is_string(), retryable, "{failed:#}");
        let row = daemon.row(id).await;
        assert_eq!(
            (&row["state"], &row["error"]),
            (&json!("failed"), &failed["error"]),
            "told once it is so"
        );
    }
}

#[tokio::test]
async fn orders_are_told_once_they_are_carried_out() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, 10_000);
    peer.always(&path, Deviation::hold_at(100, &gate));
    let (_home, daemon, mut feed) = daemon_of(&peer, &json!({})).await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    daemon.obeyed(id, "pause").await;
    let paused = feed.until("download.paused", id).await;
    assert_eq!(paused.data["durable"], daemon.row(id).await["durable"]);
    daemon.obeyed(id, "resume").await;
    assert_eq!(feed.until("download.queued", id).await.data["reason"], "resumed");
    daemon.obeyed(id, "cancel").await;
    feed.until("download.cancelled", id).await;
    assert_eq!(daemon.delete(id, "").await.status, 204);
    assert_eq!(feed.until("download.deleted", id).await.data["data"], false);
}
