//! Keys: who is let in, to what, how often and on how many connections.

mod serving_kit;

use std::sync::atomic::Ordering;
use std::time::Duration;

use serving_kit::{Daemon, KEY, SCOPED, Setup, key, request};

#[tokio::test]
async fn every_route_but_ping_needs_a_key_and_says_how_to_send_it() {
    let daemon = Daemon::with("f", "x").await;
    let route = daemon.route("f").await;
    let item = route.trim_end_matches("/file").to_owned();
    for target in ["/handshake", "/peer/items", &item, &route] {
        for fields in [&[][..], &[("X-Api-Key", "wrong")], &[("Authorization", "Bearer wrong")]] {
            let answer = daemon.connect().await.ask("GET", target, fields).await;
            assert_eq!(answer.status, 401, "{target} {fields:?}");
            assert!(answer.field("www-authenticate").starts_with("Bearer"), "{target}");
            assert_eq!(answer.field("content-type"), "application/problem+json");
        }
        let bearer = format!("bearer {KEY}");
        assert_eq!(
            daemon.connect().await.ask("GET", target, &[("Authorization", &bearer)]).await.status,
            200
        );
    }
    assert_eq!(daemon.counts.refused.load(Ordering::Relaxed), 12);
}

#[tokio::test]
async fn a_key_in_the_query_opens_nothing() {
    let daemon = Setup::default().start().await;
    for name in ["apikey", "api_key", "X-Api-Key", "access_token"] {
        let answer = daemon.connect().await.ask("GET", &format!("/peer/items?{name}={KEY}"), &[]).await;
        assert_eq!(answer.status, 401, "{name}");
    }
}

#[tokio::test]
async fn two_keys_that_differ_open_nothing() {
    let daemon = Setup::default().start().await;
    let bearer = format!("Bearer {SCOPED}");
    let fields = [("X-Api-Key", KEY), ("Authorization", bearer.as_str())];
    let answer = daemon.connect().await.ask("GET", "/peer/items", &fields).await;
    assert_eq!((answer.status, &answer.json()["type"]), (401, &"urn:peerd:problem:key-ambiguous".into()));
}

#[tokio::test]
async fn a_key_limited_to_a_share_sees_no_other() {
    let daemon = Daemon::with("f", "x").await;
    let route = daemon.route("f").await;
    let own = daemon.route("other.bin").await;
    let mut client = daemon.connect().await;
    for (target, status) in [
        (route.as_str(), 404),
        (route.trim_end_matches("/file"), 404),
        (&own, 200),
        (own.trim_end_matches("/file"), 200),
    ] {
        assert_eq!(client.ask("GET", target, &[("X-Api-Key", SCOPED)]).await.status, status, "{target}");
    }
    let unknown = client.ask("GET", "/peer/items/one:aaaaaaaaaaaaaaaaaaaa", &[("X-Api-Key", SCOPED)]).await;
    let foreign = client.ask("GET", route.trim_end_matches("/file"), &[("X-Api-Key", SCOPED)]).await;
    assert_eq!(unknown.body, foreign.body, "a foreign item looks like none at all");
    for target in ["/peer/items", "/peer/items?share=two"] {
        let list = client.ask("GET", target, &[("X-Api-Key", SCOPED)]).await.json();
        assert_eq!(list["items"].as_array().map(Vec::len), Some(1), "{target}");
    }
    let list = client.ask("GET", "/peer/items?share=one", &[("X-Api-Key", SCOPED)]).await.json();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn keys_come_and_go_while_connections_stay() {
    let daemon = Setup::default().start().await;
    let mut client = daemon.connect().await;
    assert_eq!(client.ask("GET", "/handshake", &[("X-Api-Key", KEY)]).await.status, 200);
    daemon.keys.replace([key("carol", "the-key-of-carol", "*")]);
    assert_eq!(client.ask("GET", "/handshake", &[("X-Api-Key", KEY)]).await.status, 401);
    assert_eq!(client.ask("GET", "/handshake", &[("X-Api-Key", "the-key-of-carol")]).await.status, 200);
}

#[tokio::test]
async fn after_too_many_wrong_keys_even_the_right_one_has_to_wait() {
    let daemon = Setup { failed: (3, Duration::from_secs(3600)), ..Setup::default() }.start().await;
    let mut client = daemon.connect().await;
    for _ in 0..5 {
        assert_eq!(client.ask("GET", "/handshake", &[]).await.status, 401, "no key is no guess");
    }
    for _ in 0..3 {
        assert_eq!(client.ask("GET", "/handshake", &[("X-Api-Key", "guess")]).await.status, 401);
    }
    for sent in ["guess", KEY] {
        let answer = client.ask("GET", "/handshake", &[("X-Api-Key", sent)]).await;
        assert_eq!(answer.status, 429, "{sent}");
        assert!(
            answer.field("retry-after").parse::<u64>().is_ok_and(|seconds| (1..=1200).contains(&seconds))
        );
    }
    assert_eq!(client.ask("GET", "/ping", &[]).await.status, 200);
}

#[tokio::test]
async fn a_key_is_used_on_so_many_connections_and_no_more() {
    let daemon = Setup { connections_per_key: 2, ..Setup::default() }.start().await;
    let key = [("X-Api-Key", KEY)];
    let (mut first, mut second) = (daemon.connect().await, daemon.connect().await);
    for _ in 0..3 {
        assert_eq!(first.ask("GET", "/handshake", &key).await.status, 200);
        assert_eq!(second.ask("GET", "/handshake", &key).await.status, 200);
    }
    let mut third = daemon.connect().await;
    let answer = third.ask("GET", "/handshake", &key).await;
    assert_eq!((answer.status, answer.field("connection")), (429, "close"));
    assert!(!answer.field("retry-after").is_empty());
    assert_eq!(daemon.connect().await.ask("GET", "/handshake", &[("X-Api-Key", SCOPED)]).await.status, 200);
    first.send(&request("GET", "/handshake", &[("X-Api-Key", KEY), ("Connection", "close")])).await;
    assert!(!first.rest().await.is_empty());
    let mut freed = daemon.connect().await;
    while freed.ask("GET", "/handshake", &key).await.status != 200 {
        // The daemon lets go of the slot a moment after we see the end of the connection.
        freed = daemon.connect().await;
    }
}
