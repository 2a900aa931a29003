//! pause, resume, retry, cancel, rm, priority.

use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use crate::support::{DOWNLOADS, Daemon, Home, offer};

async fn idle(daemon: &Daemon, name: &str) -> u64 {
    daemon.add_with(json!({ "url": format!("http://127.0.0.1:9/{name}"), "paused": true })).await
}

#[tokio::test]
async fn an_order_takes_ids_and_says_what_it_did_beside_the_results() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, 10_000);
    peer.script(&path, [Answer::hold_at(100, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    let text = id.to_string();
    for (verb, state) in [("pause", "paused"), ("resume", "completed")] {
        let output = daemon.cli([verb, &text]).await.expect_code(0);
        assert!(output.stdout.is_empty() && output.stderr.starts_with(&format!("{text}: ")), "{output:?}");
        daemon.until_state(id, state).await;
    }
    let wrong = daemon.cli(["pause", &text]).await.expect_code(1);
    assert!(wrong.stderr.contains("completed"), "{wrong:?}");
    let removed = daemon.cli(["rm", &text]).await.expect_code(0);
    assert_eq!(removed.stderr, format!("{text}: removed from the list; a finished file stays\n"));
    assert!(home.completed("m.bin").exists(), "the published file stays");
}

#[tokio::test]
async fn several_orders_end_with_what_became_of_all_of_them() {
    let home = Home::new();
    let daemon = home.start().await;
    let (one, two) = (idle(&daemon, "one").await.to_string(), idle(&daemon, "two").await.to_string());
    daemon.cli(["cancel", "77"]).await.expect_code(4);
    daemon.cli(["cancel", "77", "78"]).await.expect_code(4);
    let some = daemon.cli(["cancel", &one, "77", &two]).await.expect_code(3);
    assert!(some.stderr.contains("77: "), "{some:?}");
    assert_eq!(daemon.row(2).await["state"], "cancelled", "one that fails stops no other");
    daemon.cli(["cancel", &one, "77"]).await.expect_code(1);
}

#[tokio::test]
async fn all_stands_for_every_download_the_order_makes_sense_for() {
    let peer = ScriptedPeer::start().await;
    let gone = offer(&peer, "gone", 7, 100);
    peer.always(&gone, Answer::status(404));
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let (one, two) = (idle(&daemon, "one").await, idle(&daemon, "two").await);
    let failed = daemon.add("bob", "gone").await;
    daemon.until_state(failed, "failed").await;
    daemon.cli(["pause", "--all"]).await.expect_code(0);
    daemon.cli(["cancel", "--all"]).await.expect_code(0);
    for id in [one, two, failed] {
        assert_eq!(daemon.row(id).await["state"], "cancelled");
    }
    daemon.cli(["retry", "--all"]).await.expect_code(0);
    assert!(daemon.cli(["-q", "rm", "--all"]).await.expect_code(0).stderr.is_empty());
    assert_eq!(daemon.get(DOWNLOADS).await.json()["downloads"], json!([]));
    daemon.cli(["pause"]).await.expect_code(2);
    daemon.cli(["pause", "--all", "1"]).await.expect_code(2);
}

#[tokio::test]
async fn finished_files_go_only_with_a_clear_yes() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 100);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    let text = id.to_string();
    let asked = daemon.cli(["rm", "--with-data", &text]).await.expect_code(2);
    assert!(asked.stderr.contains("-y"), "off a terminal nobody can be asked: {asked:?}");
    assert!(home.completed("m.bin").exists());
    daemon.cli(["rm", "--with-data", "-y", &text]).await.expect_code(0);
    assert!(!home.completed("m.bin").exists());
    assert_eq!(daemon.get(&format!("{DOWNLOADS}/{id}")).await.status, 404);
}

#[tokio::test]
async fn a_priority_is_a_number_from_minus_ten_to_ten() {
    let home = Home::new();
    let daemon = home.start().await;
    let id = idle(&daemon, "one").await;
    for (number, code) in [("5", 0), ("-10", 0), ("11", 2), ("high", 2)] {
        daemon.cli(["priority", &id.to_string(), number]).await.expect_code(code);
    }
    assert_eq!(daemon.row(id).await["priority"], -10);
    daemon.cli(["priority", "77", "1"]).await.expect_code(4);
}
