//! show: a download with its attempts and what happened to it.

use scripted_peer::{Answer, ScriptedPeer};
use serde_json::json;

use crate::support::{Home, MIB, offer};

#[tokio::test]
async fn a_download_is_shown_with_its_attempts_and_what_happened() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::truncate_at(1000)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    let id = id.to_string();

    let shown = daemon.cli(["show", &id, "--json"]).await.expect_code(0).json();
    assert_eq!((&shown["state"], &shown["total"]), (&json!("completed"), &json!(MIB)));
    let events = shown["history"]["events"].as_array().expect("a list");
    assert_eq!((&events[0]["event"], &events[0]["to"]), (&json!("enqueued"), &json!("queued")));
    let last = events.last().expect("an event");
    assert_eq!((&last["to"], &last["durable"]), (&json!("completed"), &json!(MIB)));
    let attempts = shown["history"]["attempts"].as_array().expect("a list");
    assert!(attempts.iter().all(|attempt| attempt["ended_at"].is_string()), "{attempts:?}");

    let text = daemon.cli(["show", &id]).await.expect_code(0).stdout;
    assert!(!text.contains("\nattempts "), "the row counts failures, the table lists all: {text}");
    assert!(text.starts_with("failed tries   1\n"), "{text}");
    for part in ["\nattempts\n", "\nevents\n", "enqueued", "1048576 (1.00 MiB)"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(daemon.get("/api/v1/downloads/77/history").await.problem(), "download-unknown");
    let unknown = daemon.cli(["show", "77"]).await.expect_code(4);
    assert!(unknown.stderr.contains("peerd ls"), "it says what to type next: {unknown:?}");
}
