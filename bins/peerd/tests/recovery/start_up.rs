//! Nothing that a crash left, and nobody who is away, keeps the daemon from starting.

use std::fs;
use std::process::Stdio;

use rustix::fs::{CWD, Mode, mkfifoat};
use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::{home_of, left};
use crate::support::{Home, Left, Log, MIB, Stage, durable_on_record, offer, seeded_file};

#[tokio::test]
async fn a_start_waits_neither_for_a_peer_nor_for_a_transfer() {
    let (away, here) = (ScriptedPeer::start().await, ScriptedPeer::start().await);
    away.go_away().await;
    let home = Home::new().knowing("bob", away.url("/")).knowing("carol", here.url("/"));
    let home = home.with(json!({ "downloads": { "max_attempts": 100_000 } }));
    let staged = left(&home, Left::Downloading, 1000).await;
    seeded_file(&staged.part, 7, 1000);
    offer(&here, "quick", 3, 1000);
    let daemon = home.start().await;
    assert_eq!(daemon.get("/healthz").await.status, 200);
    let id = daemon.add("carol", "quick").await;
    daemon.until_state(id, "completed").await;
    let row = daemon.row(staged.id).await;
    assert!(!matches!(row["state"].as_str(), Some("failed" | "completed")), "{row:#}");
}

#[tokio::test]
async fn a_start_is_not_held_by_pipes_directories_and_dangling_links_among_the_parts() {
    let peer = ScriptedPeer::start().await;
    let home = home_of(&peer);
    let dir = home.path("incomplete");
    fs::create_dir(&dir).expect("a directory");
    mkfifoat(CWD, dir.join("pipe.part"), Mode::RUSR | Mode::WUSR).expect("a pipe");
    fs::create_dir(dir.join("directory.part")).expect("a directory");
    std::os::unix::fs::symlink("/nowhere", dir.join("link.part")).expect("a link");
    offer(&peer, "quick", 3, 1000);
    let daemon = home.start().await;
    let id = daemon.add("bob", "quick").await;
    daemon.until_state(id, "completed").await;
    assert_eq!(home.names("incomplete"), ["directory.part", "link.part", "pipe.part"]);
}

#[tokio::test]
async fn a_row_that_cannot_go_on_keeps_no_other_from_going_on() {
    let peer = ScriptedPeer::start().await;
    let home = home_of(&peer);
    let mut stuck = Vec::new();
    for n in 0..3 {
        let item = format!("stuck{n}");
        offer(&peer, &item, n, MIB);
        let left = Left::Finalizing;
        let staged =
            Stage { item: &item, seed: n, total: MIB, durable: MIB, left, blake3: None }.set(&home).await;
        fs::create_dir(&staged.part).expect("a directory");
        stuck.push(staged.id);
    }
    offer(&peer, "fine", 9, MIB);
    let fine = Stage { item: "fine", seed: 9, total: MIB, durable: 1000, left: Left::Queued, blake3: None };
    let fine = fine.set(&home).await;
    seeded_file(&fine.part, 9, 1000);
    let home = home.with(json!({ "downloads": { "max_concurrent": 1 } }));
    let daemon = home.start().await;
    daemon.until_state(fine.id, "completed").await;
    assert_same_bytes(&fine.target, 9, MIB);
    for id in stuck {
        assert_eq!(daemon.until_state(id, "failed").await["error"]["kind"], "local-io");
    }
}

#[tokio::test]
async fn a_start_that_was_killed_is_made_up_for_by_the_next() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, MIB);
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    seeded_file(&staged.part, 7, MIB);
    // Killed as soon as it is there, at its first word, and when it listens.
    for life in 0..6 {
        let mut process = home.serve();
        process.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = process.spawn().expect("a process");
        let log = Log::of(process.stderr.take().expect("a pipe"));
        match life % 3 {
            0 => {}
            1 => log.wait_for("its first word", |_| Some(())).await,
            _ => log.wait_for("that it listens", |event| event["listener"].as_str().map(drop)).await,
        }
        process.kill().await.expect("a process to kill");
    }
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn a_daemon_that_is_still_busy_with_what_it_found_obeys_at_once() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, MIB);
    peer.always(&path, Answer::hold_head(&gate));
    let home = home_of(&peer);
    let staged = left(&home, Left::Downloading, 1000).await;
    seeded_file(&staged.part, 7, 1000);
    let daemon = home.start().await;
    gate.parked(1).await;
    let (status, log) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", log.tail());
    assert_eq!(durable_on_record(&home, staged.id).await, 1000);
}
