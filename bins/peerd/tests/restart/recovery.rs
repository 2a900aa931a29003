//! What a crash left, state by state, and what becomes of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use scripted_peer::{ScriptedPeer, assert_same_bytes, seeded_bytes};
use serde_json::json;

use super::home_of;
use crate::support::{Home, Left, MIB, Stage, offer, seeded_file};

#[tokio::test]
async fn a_file_renamed_before_the_row_said_so_is_completed_without_a_request() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    let home = home_of(&peer);
    let stage =
        Stage { item: "m", seed: 7, total: 5000, durable: 5000, left: Left::Finalizing, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.target, 7, 5000);
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, 5000);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn a_whole_part_that_was_not_renamed_is_published_without_a_request() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    for left in [Left::Finalizing, Left::Downloading, Left::Queued] {
        let home = home_of(&peer);
        let staged =
            Stage { item: "m", seed: 7, total: 5000, durable: 5000, left, blake3: None }.set(&home).await;
        seeded_file(&staged.part, 7, 5000);
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, "completed").await;
        assert!(row["error"].is_null(), "{left:?}: {row:#}");
        assert_same_bytes(&staged.target, 7, 5000);
        assert_eq!(home.names("incomplete"), [] as [&str; 0], "{left:?}");
    }
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn a_foreign_file_under_the_final_name_is_never_touched() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    for (left, part) in [(Left::Finalizing, true), (Left::Finalizing, false), (Left::Queued, true)] {
        let home = home_of(&peer);
        let staged =
            Stage { item: "m", seed: 7, total: 5000, durable: 5000, left, blake3: None }.set(&home).await;
        fs::write(&staged.target, "precious").expect("a file");
        if part {
            seeded_file(&staged.part, 7, 5000);
        }
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, "failed").await;
        assert_eq!(row["error"]["kind"], "destination-exists", "{left:?}");
        assert_eq!(fs::read(&staged.target).expect("a file"), b"precious", "{left:?}");
        if part {
            assert_same_bytes(&staged.part, 7, 5000);
        }
    }
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn a_second_name_that_was_made_before_the_first_went_is_completed() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    let home = home_of(&peer);
    let left = Left::Finalizing;
    let staged =
        Stage { item: "m", seed: 7, total: 5000, durable: 5000, left, blake3: None }.set(&home).await;
    seeded_file(&staged.part, 7, 5000);
    fs::hard_link(&staged.part, &staged.target).expect("a second name");
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, 5000);
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn a_file_of_the_right_size_and_the_wrong_digest_is_not_ours() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 5000);
    let digest = blake3::hash(&seeded_bytes(7, 0..5000));
    for (seed, state) in [(7, "completed"), (8, "failed")] {
        let home = home_of(&peer);
        let (left, blake3) = (Left::Finalizing, Some(*digest.as_bytes()));
        let staged = Stage { item: "m", seed: 7, total: 5000, durable: 5000, left, blake3 }.set(&home).await;
        seeded_file(&staged.target, seed, 5000);
        let daemon = home.start().await;
        daemon.until_state(staged.id, state).await;
        assert_same_bytes(&staged.target, seed, 5000);
    }
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn bytes_the_disk_lost_are_fetched_again_and_no_others() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    for (because, left, durable, on_disk, asked) in [
        ("part and file are gone", Left::Finalizing, MIB, None, 0),
        ("the part of a whole file was cut", Left::Finalizing, MIB, Some(700_000), 700_000),
        ("the part is gone", Left::Downloading, 800_000, None, 0),
        ("the part is empty", Left::Downloading, 800_000, Some(0), 0),
        ("the part was cut", Left::Downloading, 800_000, Some(500_000), 500_000),
        ("the part of a row in line was cut", Left::Queued, 800_000, Some(1), 1),
    ] {
        let home = home_of(&peer);
        let staged = Stage { item: "m", seed: 7, total: MIB, durable, left, blake3: None }.set(&home).await;
        if let Some(on_disk) = on_disk {
            seeded_file(&staged.part, 7, on_disk);
        }
        let before = peer.requests(&path).len();
        let daemon = home.start().await;
        daemon.until_state(staged.id, "completed").await;
        assert_same_bytes(&staged.target, 7, MIB);
        let requests = &peer.requests(&path)[before..];
        assert_eq!(requests.len(), 1, "{because}: {requests:#?}");
        assert_eq!(requests[0].asked().map_or(0, |(start, _)| start), asked, "{because}");
    }
}

#[tokio::test]
async fn a_tail_nobody_recorded_is_not_trusted_however_right_it_looks() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    for left in [Left::Downloading, Left::Queued] {
        let home = home_of(&peer);
        let staged =
            Stage { item: "m", seed: 7, total: MIB, durable: 300_000, left, blake3: None }.set(&home).await;
        let mut bytes = seeded_bytes(7, 0..300_000);
        bytes.resize(MIB as usize, 0);
        fs::write(&staged.part, bytes).expect("a part");
        let before = peer.requests(&path).len();
        let daemon = home.start().await;
        daemon.until_state(staged.id, "completed").await;
        assert_same_bytes(&staged.target, 7, MIB);
        assert_eq!(peer.requests(&path)[before].asked(), Some((300_000, None)), "{left:?}");
    }
}

#[tokio::test]
async fn a_part_that_is_no_ordinary_file_is_refused_and_what_it_points_at_is_untouched() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, MIB);
    let link = |part: &Path, victim: &Path| symlink(victim, part).expect("a link");
    let hard_link = |part: &Path, victim: &Path| fs::hard_link(victim, part).expect("a link");
    let directory = |part: &Path, _: &Path| fs::create_dir(part).expect("a directory");
    type Place<'a> = &'a dyn Fn(&Path, &Path);
    let places: [(&str, Place<'_>); 3] =
        [("a link", &link), ("a second name", &hard_link), ("a directory", &directory)];
    for (what, place) in places {
        let home = home_of(&peer);
        let left = Left::Downloading;
        let staged =
            Stage { item: "m", seed: 7, total: MIB, durable: 1000, left, blake3: None }.set(&home).await;
        let victim = home.path("victim");
        fs::write(&victim, vec![0x77; 2000]).expect("a file");
        place(&staged.part, &victim);
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, "failed").await;
        assert_eq!(row["error"]["kind"], "local-io", "{what}");
        assert_eq!(fs::read(&victim).expect("a file"), vec![0x77; 2000], "{what}");
        assert_eq!(home.names("completed"), [] as [&str; 0], "{what}");
    }
}

#[tokio::test]
async fn a_paused_row_stays_paused_with_its_bytes() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let home = home_of(&peer);
    let stage = Stage { item: "m", seed: 7, total: MIB, durable: 300_000, left: Left::Paused, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.part, 7, 300_000);
    let daemon = home.start().await;
    let (status, _) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0));
    let daemon = home.start().await;
    let row = daemon.row(staged.id).await;
    assert_eq!((&row["state"], &row["durable"]), (&json!("paused"), &json!(300_000)));
    assert_eq!(peer.all_requests().len(), 0, "nobody asked for it");
    daemon.obeyed(staged.id, "resume").await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(peer.requests(&path)[0].asked(), Some((300_000, None)));
}

#[tokio::test]
async fn a_part_whose_row_was_cancelled_before_the_kill_is_deleted() {
    let peer = ScriptedPeer::start().await;
    let home = home_of(&peer);
    let stage = Stage { item: "m", seed: 7, total: MIB, durable: 1000, left: Left::Cancelled, blake3: None };
    let staged = stage.set(&home).await;
    seeded_file(&staged.part, 7, 1000);
    let daemon = home.start().await;
    assert_eq!(daemon.row(staged.id).await["state"], "cancelled");
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
}

#[tokio::test]
async fn a_finished_file_that_was_moved_away_is_not_fetched_again() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 1000);
    let home = home_of(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    daemon.kill().await;
    fs::remove_file(home.completed("m.bin")).expect("the file");
    let daemon = home.start().await;
    let other = daemon.add_with(json!({ "peer": "bob", "item": "m", "filename": "other.bin" })).await;
    daemon.until_state(other, "completed").await;
    assert_eq!(daemon.row(id).await["state"], "completed");
    assert_eq!(peer.requests(&path).len(), 2, "one for each row");
}

#[tokio::test]
async fn a_row_of_a_peer_that_was_taken_out_of_the_configuration_says_so() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = Home::new();
    let stage =
        Stage { item: "m", seed: 7, total: 1000, durable: 100, left: Left::Downloading, blake3: None };
    let staged = stage.set(&home).await;
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "failed").await;
    assert_eq!((&row["error"]["kind"], &row["retryable"]), (&json!("peer-unknown"), &json!(true)));
    assert_eq!(row["durable"], 100, "its bytes are kept");
}
