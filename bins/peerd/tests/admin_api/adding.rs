//! `POST /downloads`: what is taken, and what is refused before anything is queued.

use reqwest::Method;
use scripted_peer::{Answer as Deviation, Gate, ScriptedPeer};
use serde_json::{Value, json};

use super::{daemon_of, refusal};
use crate::support::{DOWNLOADS, Home, offer};

#[tokio::test]
async fn a_new_download_is_201_with_its_address_and_all_its_fields() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m:1", 7, 5000);
    peer.script(&path, [Deviation::hold_head(&gate)]);
    // A colon travels as it is or escaped; the peer sees one segment either way.
    for path in ["/peer/items/m%3A1", "/peer/items/m%3A1/file"] {
        let metadata = json!({ "filename": "m.bin", "size": 5000 }).to_string();
        peer.serve(path, scripted_peer::Representation::bytes(metadata));
    }
    peer.script("/peer/items/m%3A1/file", [Deviation::hold_head(&gate)]);
    let (home, daemon) = daemon_of(&peer).await;
    let document =
        json!({ "peer": "bob", "item": "m:1", "filename": "film.mkv", "priority": 3, "limit_down": "1MiB" });
    let answer = daemon.post(DOWNLOADS, &document).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let row = answer.json();
    let id = row["id"].as_u64().expect("an id");
    assert_eq!(answer.field("location"), format!("{DOWNLOADS}/{id}"));
    let mut names: Vec<_> = row.as_object().expect("an object").keys().map(String::as_str).collect();
    names.sort_unstable();
    let promised = "attempts completed_at created_at durable error eta filename id import item last_restart \
                    limit_down peer priority rate restarts retry_at retryable state target total total_source \
                    updated_at url validator written";
    assert_eq!(names, promised.split_whitespace().collect::<Vec<_>>());
    for (name, value) in [
        ("peer", json!("bob")),
        ("item", json!("m:1")),
        ("filename", json!("film.mkv")),
        ("target", json!(home.completed("film.mkv"))),
        ("state", json!("queued")),
        ("priority", json!(3)),
        ("limit_down", json!(1 << 20)),
        ("total", json!(5000)),
        ("durable", json!(0)),
        ("retryable", json!(false)),
        ("error", Value::Null),
    ] {
        assert_eq!(row[name], value, "{name}");
    }
    let shown = daemon.row(id).await;
    assert_eq!((&shown["id"], &shown["created_at"]), (&row["id"], &row["created_at"]));
}

#[tokio::test]
async fn a_url_can_be_downloaded_without_a_peer_and_its_query_is_shown_to_nobody() {
    let peer = ScriptedPeer::start().await;
    peer.serve("/films/a%20film.mkv", scripted_peer::Representation::seeded(7, 1000).etag("\"a\""));
    let home = Home::new();
    let daemon = home.start().await;
    let url = peer.url("/films/a%20film.mkv");
    let id = daemon.add_with(json!({ "url": format!("{url}?token=a-secret") })).await;
    let row = daemon.until_state(id, "completed").await;
    assert_eq!(
        (&row["peer"], &row["filename"], &row["url"]),
        (&Value::Null, &json!("a film.mkv"), &json!(url))
    );
    scripted_peer::assert_same_bytes(home.completed("a film.mkv"), 7, 1000);
    assert_eq!(peer.all_requests()[0].query.as_deref(), Some("token=a-secret"));
    assert!(!daemon.log.text().contains("a-secret"));
}

#[tokio::test]
async fn a_value_that_cannot_be_used_is_422_and_says_which() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let (_home, daemon) = daemon_of(&peer).await;
    for (document, field) in [
        (json!({}), "peer and item"),
        (json!({ "peer": "bob" }), "peer and item"),
        (json!({ "item": "m" }), "peer and item"),
        (json!({ "peer": "bob", "item": "" }), "peer and item"),
        (json!({ "peer": "bob", "item": ".." }), "item"),
        (json!({ "peer": "bob", "item": "m", "url": "http://host/x" }), "peer and item"),
        (json!({ "url": "ftp://host/x" }), "url"),
        (json!({ "url": "no url" }), "url"),
        (json!({ "url": "http://name:password@host/x" }), "url"),
        (json!({ "peer": "bob", "item": "m", "filename": "../x" }), "filename"),
        (json!({ "peer": "bob", "item": "m", "filename": "" }), "filename"),
        (json!({ "peer": "bob", "item": "m", "filename": ".hidden" }), "filename"),
        (json!({ "peer": "bob", "item": "m", "priority": 11 }), "priority"),
        (json!({ "peer": "bob", "item": "m", "priority": -11 }), "priority"),
        (json!({ "peer": "bob", "item": "m", "priority": "high" }), "invalid type"),
        (json!({ "peer": "bob", "item": "m", "sha256": "abc" }), "sha256"),
        (json!({ "peer": "bob", "item": "m", "blake3": "x".repeat(64) }), "blake3"),
        (json!({ "peer": "bob", "item": "m", "limit_down": "fast" }), "number"),
        (json!({ "peer": "bob", "item": "m", "limit_down": -1 }), ""),
        (json!({ "peer": "bob", "item": "m", "import": "radarr" }), "import"),
        (json!({ "peer": "bob", "item": "m", "colour": "red" }), "colour"),
        (json!([1, 2]), ""),
    ] {
        let answer = daemon.post(DOWNLOADS, &document).await;
        assert_eq!((answer.status, answer.problem()), (422, "invalid".into()), "{document}: {answer:?}");
        let detail = answer.json()["detail"].as_str().expect("a detail").to_owned();
        assert!(detail.contains(field), "{document}: {detail}");
    }
    assert_eq!(daemon.get(DOWNLOADS).await.json()["downloads"], json!([]));
}

#[tokio::test]
async fn a_document_that_is_none_is_400_and_an_endless_one_413() {
    let home = Home::new();
    let daemon = home.start().await;
    for (body, status, problem) in [
        ("{".to_owned(), 400, "bad-request"),
        ("url=http://host/x".to_owned(), 400, "bad-request"),
        ("{\"url\": ".to_owned(), 400, "bad-request"),
        (format!("{{\"url\": \"{}\"}}", "x".repeat(1 << 20)), 413, "body-too-large"),
    ] {
        let request = daemon.request(Method::POST, DOWNLOADS).body(body);
        assert_eq!(refusal(request).await, (status, problem.to_owned()));
    }
}

#[tokio::test]
async fn what_would_not_fit_is_refused_before_it_is_queued() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    offer(&peer, "exact", 7, 4096);
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "downloads": { "max_size": "4KiB" } }));
    let daemon = home.start().await;
    let answer = daemon.try_add("bob", "m").await;
    assert_eq!((answer.status, answer.problem()), (413, "too-large".into()));
    let exact = daemon.add("bob", "exact").await;
    daemon.until_state(exact, "completed").await;
    daemon.kill().await;
    let roomy = json!({ "downloads": { "max_size": "0", "min_free": "4000000GiB" } });
    let home = home.with(roomy);
    let daemon = home.start().await;
    let answer = daemon.try_add("bob", "m").await;
    assert_eq!((answer.status, answer.problem()), (507, "disk-full".into()));
    assert_eq!(peer.requests("/peer/items/m/file").len(), 0, "not a byte was asked for");
}

#[tokio::test]
async fn an_existing_file_of_the_same_name_is_409_and_untouched() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    let (home, daemon) = daemon_of(&peer).await;
    std::fs::write(home.completed("m.bin"), "precious").expect("a file");
    let answer = daemon.try_add("bob", "m").await;
    assert_eq!((answer.status, answer.problem()), (409, "destination-exists".into()));
    assert!(!answer.body.contains(home.completed("").to_str().expect("a path")), "no path in it: {answer:?}");
    assert_eq!(std::fs::read(home.completed("m.bin")).expect("a file"), b"precious");
}
