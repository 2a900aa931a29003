//! Who reads from us right now.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, Home, KEY, eventually};

/// More than the sockets between two processes hold.
const LARGE: u64 = 64 << 20;

/// A machine that shares a large file of zeroes.
fn sharing() -> Home {
    let home = Home::sharing();
    std::fs::File::create(home.shared("film.mkv")).and_then(|file| file.set_len(LARGE)).expect("a file");
    home
}

/// Begins to read the file, and stops after the first bytes.
async fn begin(daemon: &Daemon, fields: &[(&str, &str)]) -> Response {
    let url = format!("http://{}/peer/items/{}/file", daemon.peer, daemon.item("film.mkv").await);
    // A client each: the connection of one that reads no more is taken by nobody else.
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let mut request = client.get(url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut response = request.send().await.expect("an answer");
    assert!(response.status().is_success(), "{response:?}");
    assert!(response.chunk().await.expect("a body").is_some());
    response
}

async fn transfers(daemon: &Daemon) -> Vec<Value> {
    let answer = daemon.get("/api/v1/transfers").await;
    assert_eq!(answer.status, 200, "{answer:?}; {}", daemon.log.tail());
    answer.json()["transfers"].as_array().expect("a list").clone()
}

async fn until_there_are(daemon: &Daemon, count: usize) -> Vec<Value> {
    let found = eventually(async || Some(transfers(daemon).await).filter(|list| list.len() == count)).await;
    found.unwrap_or_else(|| panic!("there were never {count} transfers; {}", daemon.log.tail()))
}

#[tokio::test]
async fn whoever_reads_is_shown_from_the_first_byte_until_they_are_gone() {
    let home = sharing();
    let daemon = home.start().await;
    assert_eq!(transfers(&daemon).await, Vec::<Value>::new());
    let whole = begin(&daemon, &[("x-api-key", KEY)]).await;
    let list = until_there_are(&daemon, 1).await;
    let shown = &list[0];
    for (name, expected) in [
        ("key", json!("friend")),
        ("address", json!("127.0.0.1")),
        ("share", json!("films")),
        ("item", json!(daemon.item("film.mkv").await)),
        ("filename", json!("film.mkv")),
        ("size", json!(LARGE)),
        ("first", json!(0)),
        ("last", json!(LARGE - 1)),
    ] {
        assert_eq!(shown[name], expected, "{name}");
    }
    let sent = shown["sent"].as_u64().expect("a number");
    assert!(sent > 0 && sent < LARGE, "{shown}");
    assert!(shown["started_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{shown}");
    let part = begin(&daemon, &[("x-api-key", KEY), ("range", "bytes=1048576-")]).await;
    let list = until_there_are(&daemon, 2).await;
    let firsts: Vec<_> = list.iter().map(|transfer| &transfer["first"]).collect();
    assert_eq!(firsts, [1 << 20, 0], "the newest first");
    assert_eq!(list[0]["last"], LARGE - 1);
    drop(part);
    assert_eq!(until_there_are(&daemon, 1).await[0]["first"], 0);
    drop(whole);
    until_there_are(&daemon, 0).await;
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_shown_and_without_keys_nobody_in_particular() {
    let server = json!({ "trusted_proxies": ["127.0.0.1"] });
    let home = sharing().with(json!({ "server": server, "auth": { "require_key": false } }));
    let daemon = home.start().await;
    let response = begin(&daemon, &[("x-forwarded-for", "198.51.100.7, 203.0.113.9")]).await;
    let shown = until_there_are(&daemon, 1).await.remove(0);
    assert_eq!((&shown["address"], &shown["key"]), (&json!("203.0.113.9"), &Value::Null));
    drop(response);
}

#[tokio::test]
async fn who_asks_for_a_head_reads_nothing_and_strangers_see_nobody() {
    let home = sharing();
    let daemon = home.start().await;
    let url = format!("http://{}/peer/items/{}/file", daemon.peer, daemon.item("film.mkv").await);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let head = client.head(url).header("x-api-key", KEY).send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(transfers(&daemon).await, Vec::<Value>::new());
    assert_eq!(Answer::to(daemon.bare(Method::GET, "/api/v1/transfers")).await.status, 401);
}
