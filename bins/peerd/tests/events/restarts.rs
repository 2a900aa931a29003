//! The stream over an end of the daemon.

use serde_json::json;

use super::feed::Feed;
use crate::support::{Daemon, Home};

async fn add(daemon: &Daemon, name: &str) -> u64 {
    daemon.add_with(json!({ "url": format!("http://127.0.0.1:9/{name}"), "paused": true })).await
}

#[tokio::test]
async fn a_stop_ends_the_stream_cleanly_and_does_not_wait_for_its_reader() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    feed.until("snapshot", 0).await;
    let idle = Feed::of(&daemon).await;
    let (status, log) = daemon.terminate().await;
    assert!(status.success(), "{}", log.tail());
    assert!(feed.next().await.is_none(), "the end of the stream, and no cut");
    drop(idle);
}

#[tokio::test]
async fn numbers_go_on_after_a_restart_and_whoever_missed_nothing_goes_on_too() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    let id = add(&daemon, "one.bin").await;
    let last = feed.until("download.paused", id).await.id;
    daemon.terminate().await;
    let daemon = home.start().await;
    let mut feed = Feed::after(&daemon, last).await;
    let id = add(&daemon, "two.bin").await;
    assert_eq!(feed.until("download.created", id).await.id, last + 1);
    assert_eq!(feed.seen.len(), 1, "no snapshot was needed: {:#?}", feed.seen);
    let missed = Feed::after(&daemon, last - 1).await.next().await.expect("an event");
    assert_eq!(missed.name, "snapshot", "what the process before told is not kept");
}

#[tokio::test]
async fn after_a_crash_no_number_is_given_twice_and_a_reader_gets_a_snapshot() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    let id = add(&daemon, "one.bin").await;
    let last = feed.until("download.paused", id).await.id;
    daemon.kill().await;
    let daemon = home.start().await;
    let first = Feed::after(&daemon, last).await.next().await.expect("an event");
    assert_eq!((first.name.as_str(), &first.data["downloads"][0]["id"]), ("snapshot", &json!(id)));
    assert!(first.id > last);
}
