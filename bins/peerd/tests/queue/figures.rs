//! What is measured, as monitoring sees it.

use retry_kit::{Clock, TokioClock};
use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use super::home_with;
use crate::support::{Left, MIB, Stage, offer, seeded_file};

#[tokio::test]
async fn what_disk_and_database_took_and_what_the_process_uses_is_measured() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 4 * MIB);
    let home = home_with(&peer, json!({ "checkpoint_bytes": "1MiB" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    for (series, at_least) in [
        // Half of what a crash may cost is synced while the other half arrives.
        ("peerd_checkpoint_seconds_count", 4.0),
        ("peerd_db_write_seconds_count", 6.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
        ("process_cpu_seconds_total", 0.0),
    ] {
        let value = daemon.metric(series).await.unwrap_or_else(|| panic!("no {series}"));
        assert!(value >= at_least, "{series} is {value}");
    }
    let now = TokioClock.wall().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs_f64();
    let age = now - daemon.metric("process_start_time_seconds").await.expect("a time");
    assert!((-5.0..600.0).contains(&age), "{age} s old");
}

#[tokio::test]
async fn bytes_on_record_that_the_disk_lost_count_when_they_are_fetched_again() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(0, &gate)]);
    let home = home_with(&peer, json!({}));
    let stage =
        Stage { item: "m", seed: 7, total: MIB, durable: 800_000, left: Left::Downloading, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.part, 7, 500_000);
    let daemon = home.start().await;
    daemon.until(staged.id, "shows what is there", |row| row["written"] == 500_000).await;
    gate.release();
    daemon.until_state(staged.id, "completed").await;
    daemon.until_metric("peerd_download_bytes_total{peer=\"bob\"}", (MIB - 500_000) as f64).await;
}
