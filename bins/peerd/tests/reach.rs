//! Peers that go away and come back: who is told, who waits with them, and who is asked for what.

#[path = "events/feed.rs"]
#[allow(dead_code, reason = "each test file uses its own part")]
mod feed;
mod support;

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::{Value, json};

use feed::Feed;
use support::{Daemon, Home, MIB, offer};

/// A machine that fetches from `peer` under the name `bob`, and does not give up.
fn home_of(peer: &ScriptedPeer, retry_base: &str) -> Home {
    let downloads = json!({ "max_attempts": 100_000, "retry_base": retry_base, "retry_max": retry_base });
    let wide = json!({ "max_concurrent": 64 });
    Home::new()
        .knowing("bob", peer.url("/"))
        .with(json!({ "downloads": downloads, "peers": { "bob": wide } }))
}

const BOB_IS_UP: &str = "peerd_peer_up{peer=\"bob\"}";

/// How often an event of this name was told of bob.
fn told(feed: &Feed, name: &str) -> usize {
    feed.seen.iter().filter(|event| event.name == name && event.data["peer"] == "bob").count()
}

async fn waiting_without_a_failure(daemon: &Daemon, id: u64) -> Value {
    let row = daemon.until_state(id, "waiting").await;
    assert_eq!((&row["attempts"], &row["error"]["kind"]), (&json!(0), &json!("unreachable")), "{row:#}");
    row
}

#[tokio::test]
async fn a_peer_that_goes_away_and_comes_back_is_told_once_each_and_its_rows_go_on_by_themselves() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 2 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(MIB, &gate)]);
    let home = home_of(&peer, "100ms");
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    assert_eq!(daemon.metric(BOB_IS_UP).await, None, "nobody has asked it anything");
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    daemon.until_metric(BOB_IS_UP, 1.0).await;
    peer.go_away().await;
    let down = feed.until("peer.down", 0).await;
    assert_eq!(down.data["peer"], "bob");
    assert!(down.data["reason"].as_str().expect("words").contains("connect"), "{down:?}");
    daemon.until_metric(BOB_IS_UP, 0.0).await;
    peer.come_back().await;
    feed.until("peer.up", 0).await;
    daemon.until_metric(BOB_IS_UP, 1.0).await;
    daemon.until_state(id, "completed").await;
    feed.until("download.completed", id).await;
    assert_same_bytes(home.completed("m.bin"), 7, 2 * MIB);
    assert_eq!((told(&feed, "peer.down"), told(&feed, "peer.up")), (1, 1), "{:#?}", feed.seen);
}

#[tokio::test]
async fn rows_of_a_peer_that_is_away_wait_with_it_without_a_failure_of_their_own_and_go_on_when_it_is_back() {
    let peer = ScriptedPeer::start().await;
    for item in ["a", "b", "c", "d"] {
        offer(&peer, item, 7, 1000);
    }
    peer.go_away().await;
    let home = home_of(&peer, "3650d");
    let daemon = home.start().await;
    let mut rows = Vec::new();
    for item in ["a", "b", "c"] {
        let id = daemon.add("bob", item).await;
        waiting_without_a_failure(&daemon, id).await;
        rows.push(id);
    }
    peer.come_back().await;
    // Somebody asks it something, long before the next look or the next try of a row.
    rows.push(daemon.add("bob", "d").await);
    for id in rows {
        assert_eq!(daemon.until_state(id, "completed").await["attempts"], 0);
    }
}

#[tokio::test]
async fn a_look_finds_a_peer_that_is_back_though_it_knows_no_ping_and_no_row_is_due() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    peer.go_away().await;
    let home = home_of(&peer, "1s");
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    peer.come_back().await;
    daemon.until_state(id, "completed").await;
    let pings = peer.requests("/ping");
    assert!(pings.iter().all(|ping| ping.header("x-api-key").is_none()), "nobody needs to be known for that");
}

#[tokio::test]
async fn a_peer_that_only_says_no_is_there() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 1000);
    peer.always(&path, Answer::status(503).header("Retry-After", "120"));
    let home = home_of(&peer, "5ms");
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "waiting").await;
    feed.until("download.retrying", id).await;
    assert_eq!(daemon.metric(BOB_IS_UP).await, Some(1.0));
    assert_eq!(told(&feed, "peer.down"), 0);
    assert_eq!(peer.requests("/ping").len(), 0, "nobody looks for one who is there");
}
