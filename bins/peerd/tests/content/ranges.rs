//! Heads: what is decided before the first byte, of a file that grows and of one that is there.

use reqwest::Method;
use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, seeded_bytes};
use serde_json::json;

use crate::support::{MIB, offer, offer_as};
use crate::{KIB, LONG, Reading, SEED, content_of, home, reads};

/// A download of which the first 256 KiB are there, and the rest comes when the gate opens.
async fn growing(peer: &ScriptedPeer, length: u64) -> Gate {
    let path = offer(peer, "m", SEED, length);
    let gate = Gate::closed();
    peer.always(&path, Answer::hold_at(256 * KIB, &gate));
    gate
}

/// C24, C50, P05, P37
#[tokio::test]
async fn every_kind_of_range_is_answered_alike_while_the_file_grows_and_afterwards() {
    let peer = ScriptedPeer::start().await;
    let gate = growing(&peer, LONG).await;
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "had its first bytes", |row| row["written"].as_u64() >= Some(256 * KIB)).await;
    let total = LONG.to_string();
    for grows in [true, false] {
        for (range, status, content_range, length) in [
            ("bytes=0-99", 206, format!("bytes 0-99/{LONG}"), 100),
            ("bytes=1000-1999", 206, format!("bytes 1000-1999/{LONG}"), 1000),
            ("bytes=8388600-", 206, format!("bytes 8388600-8388607/{LONG}"), 8),
            ("bytes=-5", 206, format!("bytes 8388603-8388607/{LONG}"), 5),
            ("bytes=8388600-99999999", 206, format!("bytes 8388600-8388607/{LONG}"), 8),
            ("bytes=8388608-", 416, format!("bytes */{LONG}"), 0),
            ("bytes=5-2", 416, format!("bytes */{LONG}"), 0),
            ("bytes=-0", 416, format!("bytes */{LONG}"), 0),
        ] {
            let reading = Reading::of(&daemon, id, &[("range", range)]).await;
            assert_eq!(reading.status, status, "{range}, growing: {grows}");
            assert_eq!(reading.field("content-range"), content_range, "{range}, growing: {grows}");
            if status == 206 {
                let bytes = reading.rest().await;
                assert_eq!(bytes.len(), length, "{range}, growing: {grows}");
                let from = content_range["bytes ".len()..].split('-').next().unwrap().parse().unwrap();
                assert!(bytes == seeded_bytes(SEED, from..from + length as u64), "{range}, growing: {grows}");
            } else {
                assert_eq!(reading.field("content-type"), "application/problem+json");
            }
        }
        for range in ["bytes=0-4,10-14", "bytes=a-b", "lines=1-2", ""] {
            let fields: &[_] = if range.is_empty() { &[] } else { &[("range", range)] };
            let mut reading = Reading::of(&daemon, id, fields).await;
            assert_eq!((reading.status, reading.field("content-length")), (200, &*total), "{range:?}");
            assert_eq!(reading.field("content-range"), "", "{range:?}");
            assert!(reading.take(64 * KIB).await == seeded_bytes(SEED, 0..64 * KIB), "{range:?}");
        }
        if grows {
            gate.release();
            daemon.until_state(id, "completed").await;
        }
    }
}

/// C57, P42
#[tokio::test]
async fn a_head_says_what_a_get_would_and_costs_no_byte() {
    let peer = ScriptedPeer::start().await;
    let path = offer_as(&peer, "m", "Füm.webm", SEED, LONG);
    let gate = Gate::closed();
    peer.always(&path, Answer::hold_at(256 * KIB, &gate));
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let head = Reading::with(&daemon, Method::HEAD, id, &[("range", "bytes=0-4")]).await;
    let get = Reading::of(&daemon, id, &[]).await;
    assert_eq!((head.status, get.status), (200, 200), "a HEAD has no range");
    for name in
        ["content-length", "accept-ranges", "etag", "content-type", "content-disposition", "cache-control"]
    {
        assert_eq!(head.field(name), get.field(name), "{name}");
        assert_ne!(head.field(name), "", "{name}");
    }
    assert_eq!(head.field("accept-ranges"), "bytes");
    assert_eq!(head.field("content-type"), "video/webm");
    assert_eq!(
        head.field("content-disposition"),
        "inline; filename=\"F_m.webm\"; filename*=UTF-8''F%C3%BCm.webm"
    );
    assert_eq!(head.field("x-content-type-options"), "nosniff");
    assert_eq!(head.field("content-length"), LONG.to_string());
    assert_eq!(head.rest().await, b"");
}

#[tokio::test]
async fn the_tag_stays_the_same_when_the_file_gets_its_name_and_guards_what_is_read() {
    let peer = ScriptedPeer::start().await;
    let gate = growing(&peer, MIB).await;
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let tag = Reading::with(&daemon, Method::HEAD, id, &[]).await.field("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 4, "a strong tag: {tag}");
    for grows in [true, false] {
        for (fields, status) in [
            ([("if-none-match", &*tag), ("range", "bytes=0-4")], 304),
            ([("if-match", "\"other\""), ("range", "bytes=0-4")], 412),
            ([("if-match", &*tag), ("range", "bytes=0-4")], 206),
            ([("if-range", &*tag), ("range", "bytes=0-4")], 206),
            ([("if-range", "\"other\""), ("range", "bytes=0-4")], 200),
        ] {
            let reading = Reading::of(&daemon, id, &fields).await;
            assert_eq!(reading.status, status, "{fields:?}, growing: {grows}");
            assert_eq!(reading.field("etag"), if status == 412 { "" } else { &tag }, "{fields:?}");
        }
        if grows {
            gate.release();
            daemon.until_state(id, "completed").await;
        }
    }
    // Somebody touches the file: it may be another one now.
    std::fs::write(home.completed("m.bin"), seeded_bytes(99, 0..MIB)).expect("a file");
    let reading = Reading::of(&daemon, id, &[("if-range", &tag), ("range", "bytes=0-4")]).await;
    assert_eq!(reading.status, 200, "these are other bytes");
    assert_ne!(reading.field("etag"), tag);
}

#[tokio::test]
async fn a_source_that_vouches_for_nothing_gets_a_weak_tag() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", SEED, MIB);
    peer.serve(&path, Representation::seeded(SEED, MIB));
    let gate = Gate::closed();
    peer.always(&path, Answer::hold_at(256 * KIB, &gate));
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let reading = Reading::range(&daemon, id, &(0..16)).await;
    assert!(reading.field("etag").starts_with("W/\""), "{:?}", reading.headers);
    let tag = reading.field("etag").to_owned();
    let whole = Reading::of(&daemon, id, &[("if-range", &tag), ("range", "bytes=0-4")]).await;
    assert_eq!(whole.status, 200, "a weak tag guards no range");
}

/// C24
#[tokio::test]
async fn an_empty_file_is_read_as_one() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", SEED, 0);
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    for range in ["bytes=0-", "bytes=5-9", "bytes=-1"] {
        let reading = Reading::of(&daemon, id, &[("range", range)]).await;
        assert_eq!((reading.status, reading.field("content-length")), (200, "0"), "{range}");
    }
}

#[tokio::test]
async fn without_the_key_nobody_reads_and_only_get_and_head_are_known() {
    let peer = ScriptedPeer::start().await;
    let _gate = growing(&peer, MIB).await;
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let status =
        async |request: reqwest::RequestBuilder| request.send().await.expect("an answer").status().as_u16();
    assert_eq!(status(daemon.bare(Method::GET, &content_of(id))).await, 401);
    assert_eq!(status(daemon.bare(Method::GET, &content_of(id)).header("x-api-key", "wrong")).await, 401);
    assert_eq!(status(daemon.request(Method::PUT, &content_of(id))).await, 405);
    assert_eq!(status(daemon.request(Method::GET, &content_of(999_999_999))).await, 404);
    assert_eq!(status(daemon.request(Method::GET, "/api/v1/downloads/x/content")).await, 404);
    reads(&daemon, id, 0..16).await;
}

/// C44, C49
#[tokio::test]
async fn answers_are_counted_and_the_time_to_their_first_byte_is_measured() {
    let peer = ScriptedPeer::start().await;
    let _gate = growing(&peer, MIB).await;
    let home = home(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    reads(&daemon, id, 0..16).await;
    offer(&peer, "m2", SEED, MIB);
    let paused = daemon.add_with(json!({ "peer": "bob", "item": "m2", "paused": true })).await;
    let refused = Reading::of(&daemon, paused, &[]).await;
    assert_eq!(refused.status, 503);
    for (series, value) in [
        ("peerd_serve_requests_total{route=\"content\",code=\"206\"}", 1.0),
        ("peerd_serve_requests_total{route=\"content\",code=\"503\"}", 1.0),
        ("peerd_content_wait_seconds_count", 2.0),
    ] {
        assert_eq!(daemon.metric(series).await, Some(value), "{series}");
    }
}
