//! Made, used, listed, revoked; and never stored.

use std::path::Path;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Answer, Daemon, Home, eventually, seeded_file};

pub(crate) async fn shown_with(daemon: &Daemon, key: &str) -> Answer {
    let url = format!("http://{}/peer/items", daemon.peer);
    Answer::to(
        reqwest::Client::builder().no_proxy().build().expect("a client").get(url).header("x-api-key", key),
    )
    .await
}

/// Every file below `dir` that holds `secret`.
pub(crate) fn files_with(dir: &Path, secret: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, secret));
        } else if std::fs::read(&path)
            .is_ok_and(|bytes| bytes.windows(secret.len()).any(|at| at == secret.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[tokio::test]
async fn a_key_works_at_once_survives_a_restart_and_ends_when_it_is_revoked() {
    let home = Home::sharing();
    seeded_file(home.shared("a.bin"), 1, 1000);
    let daemon = home.start().await;
    daemon.item("a.bin").await;
    let made = daemon.cli(["key", "create", "carol"]).await.expect_code(0);
    let key = made.stdout.trim().to_owned();
    assert!(!key.contains(char::is_whitespace) && key.starts_with("prd_") && key.len() >= 4 + 32, "{made:?}");
    assert!(!made.stderr.contains(&key), "remarks do not repeat it: {made:?}");
    assert_eq!(shown_with(&daemon, &key).await.status, 200);
    assert_eq!(shown_with(&daemon, &format!("{}A", &key[..key.len() - 1])).await.status, 401);
    let list = daemon.cli(["key", "ls"]).await.expect_code(0).stdout;
    assert!(list.contains("carol") && list.contains("friend") && !list.contains(&key), "{list}");
    assert_eq!(files_with(&home.state(), &key), [] as [&str; 0], "only its digest is stored");
    assert!(!daemon.log.text().contains(&key), "no log names it");
    daemon.terminate().await;

    let daemon = home.start().await;
    daemon.item("a.bin").await;
    assert_eq!(shown_with(&daemon, &key).await.status, 200);
    daemon.cli(["key", "revoke", "carol"]).await.expect_code(0);
    assert_eq!(shown_with(&daemon, &key).await.status, 401);
    daemon.cli(["key", "revoke", "carol"]).await.expect_code(4);
    daemon.terminate().await;
    let daemon = home.start().await;
    assert_eq!(shown_with(&daemon, &key).await.status, 401, "not for a restart either");
}

#[tokio::test]
async fn a_revoked_key_is_refused_on_the_connection_it_is_used_on() {
    let home = Home::sharing();
    let daemon = home.start().await;
    let key = daemon.cli(["key", "create", "carol"]).await.expect_code(0).stdout.trim().to_owned();
    // One client, one pooled connection.
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(1).build().expect("a client");
    let ask = || client.get(format!("http://{}/handshake", daemon.peer)).header("x-api-key", &key);
    assert_eq!(Answer::to(ask()).await.status, 200);
    daemon.cli(["key", "revoke", "carol"]).await.expect_code(0);
    assert_eq!(Answer::to(ask()).await.status, 401);
}

#[tokio::test]
async fn keys_of_the_file_can_be_seen_and_not_touched() {
    let home = Home::sharing();
    let daemon = home.start().await;
    let keys = daemon.get("/api/v1/keys").await.json();
    assert_eq!(
        keys,
        json!({ "keys": [{ "name": "friend", "shares": ["*"], "created_at": null, "last_used": null, "origin": "file" }] })
    );
    let refused = Answer::to(daemon.request(Method::DELETE, "/api/v1/keys/friend")).await;
    assert_eq!((refused.status, refused.problem().as_str()), (409, "defined-in-file"));
    let taken = daemon.post("/api/v1/keys", &json!({ "name": "friend" })).await;
    assert_eq!((taken.status, taken.problem().as_str()), (409, "defined-in-file"));
    daemon.cli(["key", "revoke", "friend"]).await.expect_code(1);
    assert_eq!(daemon.ask("/handshake").await.status, 200);
}

#[tokio::test]
async fn the_last_use_is_told_to_the_minute_and_kept_over_a_restart() {
    let home = Home::sharing();
    let daemon = home.start().await;
    let made = daemon.post("/api/v1/keys", &json!({ "name": "carol" })).await;
    let key = made.json()["secret"].as_str().expect("a secret").to_owned();
    let used = async |daemon: &Daemon| -> Value {
        let keys = daemon.get("/api/v1/keys").await.json()["keys"].take();
        let carol = keys.as_array().expect("a list").iter().find(|key| key["name"] == "carol").cloned();
        carol.expect("carol")["last_used"].take()
    };
    assert_eq!(used(&daemon).await, Value::Null);
    assert_eq!(shown_with(&daemon, &key).await.status, 200);
    let at = eventually(async || Some(used(&daemon).await).filter(Value::is_string)).await.expect("a time");
    assert!(at.as_str().expect("a text").ends_with(":00Z"), "{at}");
    daemon.terminate().await;
    assert_eq!(used(&home.start().await).await, at);
}

#[tokio::test]
async fn a_key_that_makes_no_sense_is_refused_and_names_its_field() {
    let home = Home::sharing();
    let daemon = home.start().await;
    for (document, status, problem, field) in [
        (json!({}), 422, "invalid", Some("name")),
        (json!({ "name": "" }), 422, "invalid", Some("name")),
        (json!({ "name": "a/b" }), 422, "invalid", Some("name")),
        (json!({ "name": ".." }), 422, "invalid", Some("name")),
        (json!({ "name": "x".repeat(65) }), 422, "invalid", Some("name")),
        (json!({ "name": 5 }), 422, "invalid", Some("name")),
        (json!({ "name": "c", "shares": "films" }), 422, "invalid", Some("shares")),
        (json!({ "name": "c", "shares": [] }), 422, "invalid", Some("shares")),
        (json!({ "name": "c", "shares": ["fims"] }), 422, "invalid", Some("shares")),
        (json!({ "name": "c", "secret": "mine" }), 422, "invalid", Some("secret")),
    ] {
        let answer = daemon.post("/api/v1/keys", &document).await;
        assert_eq!((answer.status, answer.problem().as_str()), (status, problem), "{document}");
        assert_eq!(answer.json()["field"].as_str(), field, "{document}");
    }
    assert_eq!(daemon.post("/api/v1/keys", &json!({ "name": "c" })).await.status, 201);
    let again = daemon.post("/api/v1/keys", &json!({ "name": "c" })).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "key-exists"));
    let unknown = Answer::to(daemon.request(Method::DELETE, "/api/v1/keys/nobody")).await;
    assert_eq!((unknown.status, unknown.problem().as_str()), (404, "key-unknown"));
}
