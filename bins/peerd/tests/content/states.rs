//! What each state of a row means for those who read it.

use reqwest::Method;
use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, seeded_bytes};
use serde_json::json;

use crate::support::{Answer as Said, Home, Left, MIB, Stage, offer, seeded_file};
use crate::{Reading, SEED, content_of, home, reads};

/// A row of 1 MiB, half of it on record and in its part.
async fn half(home: &Home, left: Left) -> u64 {
    let stage = Stage { item: "m", seed: SEED, total: MIB, durable: MIB / 2, left, blake3: None };
    let staged = stage.set(home).await;
    if !matches!(left, Left::Completed | Left::Cancelled) {
        seeded_file(&staged.part, SEED, MIB / 2);
    }
    staged.id
}

/// C20: what is there is there; what is not comes when somebody resumes it.
#[tokio::test]
async fn a_paused_row_is_read_as_far_as_it_is_there_and_asks_nobody() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, MIB);
    let home = home(&peer);
    let id = half(&home, Left::Paused).await;
    let daemon = home.start().await;
    reads(&daemon, id, 1000..MIB / 2).await;
    for range in ["bytes=600000-600999", "bytes=-5"] {
        let refused = Said::to(daemon.request(Method::GET, &content_of(id)).header("range", range)).await;
        assert_eq!((refused.status, refused.problem()), (503, "unavailable".into()), "{range}");
        assert_eq!(refused.field("retry-after"), "30", "{range}");
    }
    let mut whole = Reading::of(&daemon, id, &[]).await;
    assert_eq!(whole.field("content-length"), MIB.to_string());
    assert!(whole.take(MIB / 2).await == seeded_bytes(SEED, 0..MIB / 2));
    assert_eq!(peer.requests(&path).len(), 0, "paused is paused");
    // The same response goes on.
    daemon.obeyed(id, "resume").await;
    assert!(whole.rest().await == seeded_bytes(SEED, MIB / 2..MIB));
}

#[tokio::test]
async fn a_row_that_waits_for_its_next_try_says_when_that_is() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, MIB);
    peer.always(&path, Answer::status(429).header("retry-after", "120"));
    let home = home(&peer);
    let id = half(&home, Left::Queued).await;
    let daemon = home.start().await;
    daemon.until_state(id, "waiting").await;
    let before = peer.requests(&path).len();
    reads(&daemon, id, 0..MIB / 2).await;
    let refused = Said::to(daemon.request(Method::GET, &content_of(id)).header("range", "bytes=-5")).await;
    assert_eq!(refused.status, 503);
    let wait: u64 = refused.field("retry-after").parse().expect("seconds");
    assert!((60..=130).contains(&wait), "{wait}");
    assert_eq!(peer.requests(&path).len(), before, "nobody overrules the peer's Retry-After");
}

#[tokio::test]
async fn a_row_that_is_over_without_its_bytes_says_so() {
    for (left, status, name) in [
        (Left::Failed, 409, "wrong-state"),
        (Left::Cancelled, 410, "content-gone"),
        (Left::Completed, 410, "content-gone"),
    ] {
        let peer = ScriptedPeer::start().await;
        let home = home(&peer);
        let id = half_or_whole(&home, left).await;
        let daemon = home.start().await;
        let refused = daemon.get(&content_of(id)).await;
        assert_eq!((refused.status, refused.problem()), (status, name.to_owned()), "{left:?}");
        assert_eq!(daemon.delete(id, "").await.status, 204);
        let unknown = daemon.get(&content_of(id)).await;
        assert_eq!((unknown.status, unknown.problem()), (404, "download-unknown".to_owned()), "{left:?}");
    }
}

/// Of a completed row, whose file somebody took away.
async fn half_or_whole(home: &Home, left: Left) -> u64 {
    let durable = if left == Left::Completed { MIB } else { MIB / 2 };
    let stage = Stage { item: "m", seed: SEED, total: MIB, durable, left, blake3: None };
    stage.set(home).await.id
}

#[tokio::test]
async fn a_published_file_is_read_where_it_is_and_nothing_else_in_its_place() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", SEED, MIB);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    reads(&daemon, id, 0..MIB).await;
    reads(&daemon, id, MIB - 1..MIB).await;
    let file = home.completed("m.bin");
    let gone = async |what: &str| {
        let answer = daemon.get(&content_of(id)).await;
        assert_eq!((answer.status, answer.problem()), (410, "content-gone".to_owned()), "{what}");
    };
    std::fs::write(&file, "something else").expect("a file");
    gone("another file").await;
    std::fs::remove_file(&file).expect("a file");
    gone("no file").await;
    let secret = home.path("user").join("secret");
    seeded_file(&secret, 1, MIB);
    std::os::unix::fs::symlink(&secret, &file).expect("a link");
    gone("a link").await;
}

/// C17, P04
#[tokio::test]
async fn the_length_of_the_part_says_nothing_about_what_is_in_it() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, MIB);
    peer.always(&path, Answer::status(429).header("retry-after", "120"));
    let home = home(&peer);
    let id = half(&home, Left::Paused).await;
    // As long as the whole file, and nothing but zeros behind what is on record.
    std::fs::File::options().write(true).open(home.part()).unwrap().set_len(MIB).unwrap();
    let daemon = home.start().await;
    let refused = Reading::of(&daemon, id, &[("range", "bytes=600000-")]).await;
    assert_eq!(refused.status, 503);
    let mut whole = Reading::of(&daemon, id, &[]).await;
    assert!(whole.take(MIB / 2).await == seeded_bytes(SEED, 0..MIB / 2));
    daemon.obeyed(id, "cancel").await;
    assert_eq!(whole.until_it_breaks().await, b"", "and not a zero");
}

#[tokio::test]
async fn with_downloads_disabled_what_is_there_is_read_all_the_same() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", SEED, MIB);
    let home = home(&peer).with(json!({ "downloads": { "enabled": false } }));
    let id = half(&home, Left::Queued).await;
    let daemon = home.start().await;
    reads(&daemon, id, 0..1000).await;
    let refused = Reading::of(&daemon, id, &[("range", "bytes=-5")]).await;
    assert_eq!((refused.status, refused.field("retry-after")), (503, "30"));
}

/// C49: a length from a list binds no bytes.
#[tokio::test]
async fn what_the_list_said_of_the_length_is_not_promised_to_anybody() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, MIB);
    peer.serve(&path, Representation::seeded(SEED, MIB / 2).etag("\"shorter\""));
    let gate = Gate::closed();
    peer.always(&path, Answer::hold_head(&gate));
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    assert_eq!(daemon.row(id).await["total"], MIB);
    let (reading, ()) = tokio::join!(Reading::of(&daemon, id, &[]), async { gate.release() });
    assert_eq!(reading.field("content-length"), (MIB / 2).to_string());
    assert!(reading.rest().await == seeded_bytes(SEED, 0..MIB / 2));
}
