//! How fast bytes may move: set while they do, in force at once.

use reqwest::Method;
use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};

use crate::support::{Answer, DOWNLOADS, Daemon, Home, MIB, offer, seeded_file};

const LIMITS: &str = "/api/v1/limits";

async fn put(daemon: &Daemon, document: &Value) -> Answer {
    Answer::to(daemon.request(Method::PUT, LIMITS).json(document)).await
}

#[tokio::test]
async fn limits_are_shown_and_set_in_bytes_per_second() {
    let home = Home::new().with(json!({ "limits": { "down": "3MiB" } }));
    let daemon = home.start().await;
    assert_eq!(daemon.get(LIMITS).await.json(), json!({ "down": 3 * MIB, "up": 0 }));
    for (document, down, up) in [
        (json!({ "down": "2MiB", "up": 5000 }), 2 * MIB, 5000),
        (json!({ "up": "0" }), 2 * MIB, 0),
        (json!({ "down": null }), 0, 0),
        (json!({ "down": 7 }), 7, 0),
        (json!({}), 7, 0),
    ] {
        let answer = put(&daemon, &document).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "down": down, "up": up })), "{document}");
        assert_eq!(daemon.get(LIMITS).await.json(), answer.json());
    }
    daemon.terminate().await;
    let daemon = home.start().await;
    assert_eq!(
        daemon.get(LIMITS).await.json()["down"],
        3 * MIB,
        "after a restart the configuration holds again"
    );
}

#[tokio::test]
async fn a_limit_that_cannot_be_used_is_422_names_its_field_and_changes_nothing() {
    let home = Home::new();
    let daemon = home.start().await;
    for (document, field) in [
        (json!({ "down": "fast", "up": "1MiB" }), "down"),
        (json!({ "down": "1MiB", "up": -1 }), "up"),
        (json!({ "down": "1MB" }), "down"),
        (json!({ "down": true }), "down"),
        (json!({ "down": u64::MAX }), "down"),
        (json!({ "sideways": "1MiB" }), "sideways"),
    ] {
        let answer = put(&daemon, &document).await;
        assert_eq!((answer.status, answer.problem()), (422, "invalid".into()), "{document}: {answer:?}");
        assert_eq!(answer.json()["field"], field, "{document}");
        assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains(field)), "{answer:?}");
    }
    assert_eq!(daemon.get(LIMITS).await.json(), json!({ "down": 0, "up": 0 }));
    let posted = Answer::to(daemon.request(Method::POST, LIMITS)).await;
    assert_eq!((posted.status, posted.field("allow")), (405, "GET, HEAD, PUT"));
}

/// At this rate a file of a megabyte takes longer than any test waits.
const CRAWL: &str = "1KiB";

#[tokio::test]
async fn a_limit_on_everything_is_lifted_for_a_transfer_that_runs() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, MIB);
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "limits": { "down": CRAWL } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "was begun", |row| row["validator"].is_string()).await;
    assert_eq!(put(&daemon, &json!({ "down": "0" })).await.status, 200);
    daemon.until_state(id, "completed").await;
}

#[tokio::test]
async fn a_limit_on_one_download_acts_on_it_while_it_runs_and_on_no_other() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "slow", 7, MIB);
    offer(&peer, "quick", 8, MIB);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let slow = daemon.add_with(json!({ "peer": "bob", "item": "slow", "limit_down": CRAWL })).await;
    daemon.until(slow, "was begun", |row| row["validator"].is_string()).await;
    let quick = daemon.add("bob", "quick").await;
    daemon.until_state(quick, "completed").await;
    assert_eq!(daemon.row(slow).await["state"], "downloading");
    assert_eq!(daemon.patch(slow, &json!({ "limit_down": null })).await.status, 200);
    daemon.until_state(slow, "completed").await;
}

#[tokio::test]
async fn a_limit_on_what_is_served_is_lifted_for_a_reader_that_waits() {
    let sharing = Home::sharing().with(json!({ "limits": { "up": CRAWL } }));
    seeded_file(sharing.shared("film.mkv"), 7, MIB);
    let sharer = sharing.start().await;
    let item = sharer.item("film.mkv").await;
    let home = Home::new().knowing("bob", sharer.base());
    let daemon = home.start().await;
    let id = daemon.add("bob", &item).await;
    sharer.until_metric("peerd_serve_active", 1.0).await;
    assert_eq!(put(&sharer, &json!({ "up": 0 })).await.status, 200);
    daemon.until_state(id, "completed").await;
}

#[tokio::test]
async fn a_bad_value_of_a_download_names_its_field_too() {
    let home = Home::new();
    let daemon = home.start().await;
    let id = daemon.add_with(json!({ "url": "http://127.0.0.1:9/f", "paused": true })).await;
    for (field, value) in [
        ("limit_down", json!("fast")),
        ("limit_down", json!(-1)),
        ("limit_down", json!(1.5)),
        ("priority", json!(11)),
        ("priority", json!("high")),
        ("state", json!("completed")),
    ] {
        let mut new = json!({ "url": "http://127.0.0.1:9/g", "paused": true });
        new[field] = value.clone();
        for answer in [daemon.patch(id, &json!({ field: value })).await, daemon.post(DOWNLOADS, &new).await] {
            assert_eq!((answer.status, answer.problem()), (422, "invalid".into()), "{field}: {answer:?}");
            assert_eq!(answer.json()["field"], field, "{answer:?}");
        }
    }
}
