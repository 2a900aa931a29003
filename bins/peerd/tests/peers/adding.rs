//! Added, listed, refused, removed; where the key lies meanwhile.

use std::os::unix::fs::PermissionsExt;

use reqwest::Method;
use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};

use crate::support::{Answer, Home, Output, offer, program};

const PEERS: &str = "/api/v1/peers";

#[tokio::test]
async fn a_peer_is_added_with_everything_and_shown_without_its_secrets() {
    let home = Home::new();
    let daemon = home.start().await;
    let document = json!({
        "name": "bob", "url": "http://bob.example", "key": "hush-hush-1", "headers": { "X-Colour": "hush-hush-2" },
        "max_concurrent": 5, "limit_down": "1MiB",
    });
    let added = daemon.post(PEERS, &document).await;
    assert_eq!((added.status, added.field("location")), (201, "/api/v1/peers/bob"), "{added:?}");
    let warnings = &added.json()["warnings"];
    assert!(warnings[0].as_str().expect("a warning").contains("unencrypted"), "{warnings}");
    let shown = daemon.get("/api/v1/peers/bob").await.json();
    let mut expected = json!({
        "name": "bob", "url": "http://bob.example", "key": true, "headers": ["X-Colour"], "ca": false, "max_concurrent": 5,
        "limit_down": 1_048_576, "origin": "registry", "error": null, "up": null,
    });
    expected["created_at"] = shown["created_at"].clone();
    assert_eq!(shown, expected);
    let again = daemon.post(PEERS, &document).await;
    assert_eq!(again.status, 200, "the same once more is no mistake: {again:?}");
    let other = daemon.post(PEERS, &json!({ "name": "bob", "url": "http://other.example" })).await;
    assert_eq!((other.status, other.problem().as_str()), (409, "peer-exists"));

    let file = home.state().join("peers/bob.json");
    let mode = |path: &std::path::Path| path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().expect("a directory"))), (0o600, 0o700));
    for secret in ["hush-hush-1", "hush-hush-2"] {
        assert!(!daemon.log.text().contains(secret) && !daemon.get(PEERS).await.body.contains(secret));
        let database = std::fs::read(home.state().join("peerd.db-wal")).unwrap_or_default();
        assert!(!database.windows(secret.len()).any(|at| at == secret.as_bytes()));
    }
    let removed = Answer::to(daemon.request(Method::DELETE, "/api/v1/peers/bob")).await;
    assert_eq!((removed.status, removed.json()), (200, json!({ "name": "bob", "downloads": 0 })));
    assert!(!file.exists(), "its secrets go with it");
    let gone = Answer::to(daemon.request(Method::DELETE, "/api/v1/peers/bob")).await;
    assert_eq!((gone.status, gone.problem().as_str()), (404, "peer-unknown"));
}

#[tokio::test]
async fn peers_of_the_file_can_be_seen_and_not_touched() {
    let home = Home::new().knowing("bob", "http://127.0.0.1:9/");
    let daemon = home.start().await;
    let bob = daemon.get("/api/v1/peers/bob").await.json();
    assert_eq!(
        (&bob["origin"], &bob["key"], &bob["created_at"]),
        (&json!("file"), &json!(true), &Value::Null)
    );
    let removed = Answer::to(daemon.request(Method::DELETE, "/api/v1/peers/bob")).await;
    assert_eq!((removed.status, removed.problem().as_str()), (409, "defined-in-file"));
    let added = daemon.post(PEERS, &json!({ "name": "bob", "url": "http://127.0.0.1:10/" })).await;
    assert_eq!((added.status, added.problem().as_str()), (409, "defined-in-file"));
    assert!(daemon.cli(["peer", "ls"]).await.expect_code(0).stdout.contains("bob"));
    daemon.cli(["peer", "rm", "bob"]).await.expect_code(1);
    daemon.cli(["peer", "rm", "nobody"]).await.expect_code(4);
}

#[tokio::test]
async fn a_peer_that_makes_no_sense_is_refused_and_names_its_field() {
    let home = Home::new();
    let daemon = home.start().await;
    let url = "http://bob.example/";
    for (document, field) in [
        (json!({ "url": url }), "name"),
        (json!({ "name": "b" }), "url"),
        (json!({ "name": "a/b", "url": url }), "name"),
        (json!({ "name": "..", "url": url }), "name"),
        (json!({ "name": "b", "url": "ftp://x/" }), "url"),
        (json!({ "name": "b", "url": "http://al:hush@x/" }), "url"),
        (json!({ "name": "b", "url": url, "key": "hush\nhush" }), "key"),
        (json!({ "name": "b", "url": url, "key": "" }), "key"),
        (json!({ "name": "b", "url": url, "headers": { "no header": "hush" } }), "key"),
        (json!({ "name": "b", "url": url, "max_concurrent": 0 }), "max_concurrent"),
        (json!({ "name": "b", "url": url, "limit_down": "fast" }), "limit_down"),
        (json!({ "name": "b", "url": url, "colour": "red" }), "colour"),
    ] {
        let answer = daemon.post(PEERS, &document).await;
        assert_eq!((answer.status, answer.problem().as_str()), (422, "invalid"), "{document}");
        assert_eq!(answer.json()["field"], field, "{document}");
        assert!(!answer.body.contains("hush"), "a refusal does not repeat secrets: {answer:?}");
    }
    assert_eq!(daemon.get(PEERS).await.json(), json!({ "peers": [] }));
    assert!(home.names("state/peers").is_empty());
}

#[tokio::test]
async fn downloads_of_a_removed_peer_wait_for_its_return() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = Home::new().with(json!({ "downloads": { "retry_failed_every": "100ms" } }));
    let daemon = home.start().await;
    let document = json!({ "name": "bob", "url": peer.url("/") });
    assert_eq!(daemon.post(PEERS, &document).await.status, 201);
    let id = daemon.add_with(json!({ "peer": "bob", "item": "m", "paused": true })).await;
    let removed = daemon.cli(["peer", "rm", "bob"]).await.expect_code(0);
    assert!(removed.stderr.contains("1 downloads"), "{removed:?}");
    daemon.obeyed(id, "resume").await;
    let failed =
        daemon.until(id, "failed for want of its peer", |row| row["error"]["kind"] == "peer-unknown").await;
    assert_eq!(failed["retryable"], true, "{failed:#}");
    assert!(
        failed["error"]["message"].as_str().expect("a message").contains("peerd peer add bob"),
        "{failed:#}"
    );
    assert_eq!(daemon.post(PEERS, &document).await.status, 201);
    daemon.until(id, "was fetched", |row| row["state"] == "completed").await;
}

#[tokio::test]
async fn a_key_file_that_is_gone_or_open_to_all_is_a_warning_and_no_failed_start() {
    let home = Home::new();
    let daemon = home.start().await;
    for name in ["gone", "open"] {
        let document = json!({ "name": name, "url": "http://127.0.0.1:9/", "key": "k" });
        assert_eq!(daemon.post(PEERS, &document).await.status, 201);
    }
    daemon.terminate().await;
    std::fs::remove_file(home.state().join("peers/gone.json")).expect("a file");
    let open = home.state().join("peers/open.json");
    std::fs::set_permissions(&open, PermissionsExt::from_mode(0o644)).expect("a file");
    let daemon = home.start().await;
    let peers = daemon.get(PEERS).await.json();
    let error = |at: usize| peers["peers"][at]["error"].as_str().unwrap_or_default().to_owned();
    assert!(error(0).contains("add it again") && error(1).contains("chmod 600"), "{peers:#}");
    assert!(daemon.log.text().contains("chmod 600"), "{}", daemon.log.tail());
    let listed = daemon.cli(["peer", "ls"]).await.expect_code(0);
    assert!(listed.stderr.contains("chmod 600"), "{listed:?}");
}

#[tokio::test]
async fn the_key_comes_from_a_file_or_a_pipe_and_never_from_an_argument() {
    let home = Home::new();
    let daemon = home.start().await;
    let file = home.path("user/key");
    std::fs::write(&file, "the-key\n").expect("a file");
    let name = file.to_str().expect("a readable path");
    daemon.cli(["peer", "add", "bob", "http://127.0.0.1:9/", "--key-file", name]).await.expect_code(0);
    let stored = std::fs::read_to_string(home.state().join("peers/bob.json")).expect("a file");
    assert_eq!(stored, r#"{"key":"the-key"}"#);
    daemon
        .cli(["peer", "add", "carol", "http://127.0.0.1:9/", "--key-file", "/no/such"])
        .await
        .expect_code(74);
    let empty = daemon.cli(["peer", "add", "carol", "http://127.0.0.1:9/", "--key-file", "-"]).await;
    assert!(empty.expect_code(2).stderr.contains("no key came"));
    let argument =
        Output::of(program(&home.path("user"), ["peer", "add", "c", "http://x/", "--key", "k"])).await;
    assert_eq!(argument.code, 2, "there is no such flag: {argument:?}");
    assert_eq!(daemon.get(PEERS).await.json()["peers"].as_array().map(Vec::len), Some(1));
    let keyless = daemon.cli(["peer", "add", "dora", "http://127.0.0.1:9/"]).await.expect_code(0);
    assert!(keyless.stderr.contains("no key"), "{keyless:?}");
}
