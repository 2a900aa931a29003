//! Who may follow, where a reader begins, and what becomes of one that is too slow.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::feed::{EVENTS, Feed};
use crate::support::{Answer, Daemon, Home};

/// Adds rows that do nothing: two events each.
async fn add_idle_rows(daemon: &Daemon, from: u64, count: u64) {
    add_rows_named(daemon, from, count, "f").await;
}

async fn add_rows_named(daemon: &Daemon, from: u64, count: u64, name: &str) {
    let requests = (from..from + count).map(|n| {
        daemon.add_with(json!({ "url": format!("http://127.0.0.1:9/{n}{name}.bin"), "paused": true }))
    });
    stream::iter(requests).buffer_unordered(64).for_each(async |_| {}).await;
}

fn rows(snapshot: &Value) -> usize {
    snapshot["downloads"].as_array().expect("rows").len()
}

#[tokio::test]
async fn a_reader_gets_a_snapshot_first_and_then_every_event_by_its_number() {
    let home = Home::new();
    let daemon = home.start().await;
    add_idle_rows(&daemon, 0, 1).await;
    let mut feed = Feed::of(&daemon).await;
    let first = feed.next().await.expect("an event");
    assert_eq!((first.name.as_str(), rows(&first.data)), ("snapshot", 1));
    assert_eq!((&first.data["more"], &first.data["disk"]), (&json!(false), &json!("ok")));
    assert_eq!(first.data["downloads"][0]["state"], "paused");
    let id = daemon.add_with(json!({ "url": "http://127.0.0.1:9/other.bin", "paused": true })).await;
    let created = feed.next().await.expect("an event");
    assert_eq!((created.name.as_str(), created.id), ("download.created", first.id + 1));
    assert_eq!(created.data["filename"], "other.bin");
    let paused = feed.next().await.expect("an event");
    assert_eq!((paused.name.as_str(), paused.id), ("download.paused", first.id + 2));
    assert_eq!(paused.data["download_id"], id);
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_after_the_number_it_has() {
    let home = Home::new();
    let daemon = home.start().await;
    let mut feed = Feed::of(&daemon).await;
    let begin = feed.next().await.expect("a snapshot").id;
    drop(feed);
    add_idle_rows(&daemon, 0, 3).await;
    for seen in [begin, begin + 1, begin + 5] {
        let mut feed = Feed::after(&daemon, seen).await;
        while feed.next().await.expect("an event").id < begin + 6 {}
        assert_eq!(feed.ids(), Vec::from_iter(seen + 1..=begin + 6), "after {seen}");
        assert!(feed.seen.iter().all(|happened| happened.name != "snapshot"));
    }
}

#[tokio::test]
async fn a_number_that_means_nothing_gets_a_fresh_snapshot() {
    let home = Home::new();
    let daemon = home.start().await;
    // More events than are kept.
    add_idle_rows(&daemon, 0, 600).await;
    for odd in ["999999999", "garbage", "-1", "", "0", "1", "99999999999999999999999999"] {
        let first = Feed::after(&daemon, odd).await.next().await.expect("an event");
        assert_eq!((first.name.as_str(), rows(&first.data)), ("snapshot", 600), "{odd:?}");
    }
}

#[tokio::test]
async fn a_reader_that_was_too_slow_gets_a_snapshot_in_place_of_what_it_missed() {
    let home = Home::new();
    let daemon = home.start().await;
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut reader = socket.connect(daemon.admin).await.expect("a connection");
    let head = format!("GET {EVENTS} HTTP/1.1\r\nHost: localhost\r\nX-Api-Key: {}\r\n\r\n", daemon.key);
    reader.write_all(head.as_bytes()).await.expect("a request");
    let mut text = String::new();
    read_until(&mut reader, &mut text, "event: snapshot", 1).await;
    // Nothing is read while more happens than the connection and the ring hold together.
    add_rows_named(&daemon, 0, 2000, &"x".repeat(180)).await;
    // Through so small a window the rest would take minutes.
    socket2::SockRef::from(&reader).set_recv_buffer_size(1 << 20).expect("a large buffer");
    read_until(&mut reader, &mut text, "event: snapshot", 2).await;
    let created = text.matches("event: download.created").count();
    assert!(created < 2000, "what was missed is not told");
    drop(reader);
    let first = Feed::of(&daemon).await.next().await.expect("a snapshot");
    assert_eq!((rows(&first.data), &first.data["more"]), (1000, &json!(true)), "a snapshot is bounded, too");
}

/// Reads until the text holds `what` so many times.
async fn read_until(reader: &mut TcpStream, text: &mut String, what: &str, times: usize) {
    let mut buffer = vec![0; 64 << 10];
    let reading = async {
        while text.matches(what).count() < times {
            let read = reader.read(&mut buffer).await.expect("bytes");
            assert!(read > 0, "the stream ended");
            text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
    };
    // Over all of it: signs of life come for ever.
    let done = tokio::time::timeout(PATIENCE, reading).await;
    assert!(done.is_ok(), "{what} did not come {times} times");
}

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn following_wants_the_key_an_allowed_name_and_a_get() {
    let home = Home::new();
    let daemon = home.start().await;
    let without = Answer::to(daemon.bare(Method::GET, EVENTS)).await;
    assert_eq!((without.status, without.problem().as_str()), (401, "key-missing"));
    for (field, value) in [("host", "evil.example"), ("origin", "http://evil.example")] {
        let answer = Answer::to(daemon.request(Method::GET, EVENTS).header(field, value)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (403, "host-not-allowed"));
    }
    let posted = Answer::to(daemon.request(Method::POST, EVENTS)).await;
    assert_eq!((posted.status, posted.field("allow")), (405, "GET, HEAD"));
    let head = Answer::to(daemon.request(Method::HEAD, EVENTS)).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    for (name, value) in
        [("content-type", "text/event-stream"), ("cache-control", "no-store"), ("x-accel-buffering", "no")]
    {
        assert_eq!(head.field(name), value, "{name}");
    }
}
