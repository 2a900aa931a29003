//! Shares, probes and metrics.

use reqwest::Method;
use scripted_peer::{Answer as Deviation, ScriptedPeer};
use serde_json::{Value, json};

use super::{daemon_of, refusal};
use crate::support::{Answer, Home, offer, seeded_file};

#[tokio::test]
async fn shares_are_listed_and_walked_again_when_told_to() {
    let home = Home::sharing();
    let daemon = home.start().await;
    seeded_file(home.shared("film.mkv"), 7, 1000);
    let answer = Answer::to(daemon.request(Method::POST, "/api/v1/shares/films/rescan")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((&answer.json()["items"], &answer.json()["bytes"]), (&json!(1), &json!(1000)));
    let share = daemon.get("/api/v1/shares").await.json()["shares"][0].take();
    assert_eq!((&share["name"], &share["path"]), (&json!("films"), &json!(home.path("shared"))));
    assert_eq!((&share["items"], &share["bytes"], &share["error"]), (&json!(1), &json!(1000), &Value::Null));
    let unknown = daemon.request(Method::POST, "/api/v1/shares/music/rescan");
    assert_eq!(refusal(unknown).await, (404, "share-unknown".into()));
}

#[tokio::test]
async fn it_is_alive_while_it_runs_and_ready_while_it_can_work() {
    let home = Home::new();
    let daemon = home.start().await;
    let alive = Answer::to(daemon.bare(Method::GET, "/healthz")).await;
    assert_eq!((alive.status, alive.body.as_str()), (200, "ok\n"));
    let ready = Answer::to(daemon.bare(Method::GET, "/readyz")).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (200, &json!(true)));
    std::fs::remove_dir(home.path("completed")).expect("an empty directory");
    let ready = Answer::to(daemon.bare(Method::GET, "/readyz")).await;
    assert_eq!((ready.status, &ready.json()["ready"]), (503, &json!(false)));
    assert_eq!(ready.json()["checks"]["database"], "ok");
    assert_ne!(ready.json()["checks"]["downloads"], "ok", "it says what is wrong");
    assert!(
        !ready.body.contains(home.as_ref().to_str().expect("a path")),
        "and nothing worth a key: {ready:?}"
    );
    assert_eq!(Answer::to(daemon.bare(Method::GET, "/healthz")).await.status, 200);
}

#[tokio::test]
async fn metrics_have_the_promised_names_and_agree_with_what_happened() {
    let sharing = Home::sharing();
    seeded_file(sharing.shared("film.mkv"), 7, 5000);
    let sharer = sharing.start().await;
    let item = sharer.item("film.mkv").await;
    let home = Home::new().knowing("bob", sharer.base());
    let daemon = home.start().await;
    let id = daemon.add("bob", &item).await;
    daemon.until_state(id, "completed").await;
    let exposition = daemon.get("/metrics").await;
    assert!(exposition.field("content-type").starts_with("application/openmetrics-text"), "{exposition:?}");
    assert!(exposition.body.ends_with("# EOF\n"));
    for (series, value) in [
        (concat!("peerd_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
        ("peerd_downloads{state=\"completed\"}", 1.0),
        ("peerd_downloads{state=\"failed\"}", 0.0),
        ("peerd_download_bytes_total{peer=\"bob\"}", 5000.0),
        ("peerd_download_attempts_total{peer=\"bob\",outcome=\"completed\"}", 1.0),
        ("peerd_permits_in_use", 0.0),
        ("peerd_retry_delay_seconds_count", 0.0),
    ] {
        daemon.until_metric(series, value).await;
    }
    for (series, value) in [
        ("peerd_serve_requests_total{route=\"file\",code=\"200\"}", 1.0),
        ("peerd_serve_bytes_total{share=\"films\"}", 5000.0),
        ("peerd_serve_active", 0.0),
        ("peerd_serve_ranges_total{kind=\"no_range\"}", 1.0),
    ] {
        sharer.until_metric(series, value).await;
    }
    let free = daemon.metric("peerd_disk_free_bytes{dir=\"downloads\"}").await;
    assert!(free.is_some_and(|free| free > 0.0), "{free:?}");
}

#[tokio::test]
async fn rows_are_counted_as_they_are_shown() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "downloads": { "enabled": false } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    assert_eq!(daemon.get(&format!("/api/v1/downloads/{id}")).await.json()["state"], "paused");
    assert_eq!(daemon.metric("peerd_downloads{state=\"paused\"}").await, Some(1.0));
    assert_eq!(daemon.metric("peerd_downloads{state=\"queued\"}").await, Some(0.0));
}

#[tokio::test]
async fn resumes_restarts_and_waste_are_counted() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 100_000);
    let changed = scripted_peer::Representation::seeded(8, 100_000).etag("\"other\"");
    peer.script(
        &path,
        [Deviation::truncate_at(30_000), Deviation::truncate_at(10_000).and(Deviation::then_serve(changed))],
    );
    let (_home, daemon) = daemon_of(&peer).await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    for (series, value) in [
        ("peerd_download_resumes_total{peer=\"bob\"}", 1.0),
        ("peerd_download_restarts_total{peer=\"bob\",reason=\"validator_changed\"}", 1.0),
        ("peerd_download_wasted_bytes_total{peer=\"bob\",reason=\"validator_changed\"}", 40_000.0),
        ("peerd_download_bytes_total{peer=\"bob\"}", 140_000.0),
        ("peerd_retry_delay_seconds_count", 2.0),
    ] {
        daemon.until_metric(series, value).await;
    }
}
