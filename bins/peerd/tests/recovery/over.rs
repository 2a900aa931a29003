//! Rows that were over before the process died.

use std::fs;

use scripted_peer::assert_same_bytes;
use serde_json::json;

use super::{asked_from, bob, home_of, left, said};
use crate::support::{Left, MIB, on_record, seeded_file};

#[tokio::test]
async fn completed_it_stays_so_whatever_became_of_its_file() {
    let (peer, _) = bob().await;
    for (on_disk, what) in [
        (Some(MIB), "is there"),
        (None, "was moved away"),
        (Some(10), "was cut"),
        (Some(2 * MIB), "has grown"),
    ] {
        let home = home_of(&peer);
        let staged = left(&home, Left::Completed, MIB).await;
        if let Some(length) = on_disk {
            seeded_file(&staged.target, 9, length);
        }
        let before = on_record(&home, staged.id).await;
        let daemon = home.start().await;
        assert_eq!(daemon.row(staged.id).await["state"], "completed", "it {what}");
        daemon.terminate().await;
        assert_eq!(on_record(&home, staged.id).await, before, "it {what}");
        match on_disk {
            Some(length) => assert_same_bytes(&staged.target, 9, length),
            None => assert!(!staged.target.exists()),
        }
    }
    assert_eq!(peer.all_requests().len(), 0, "never fetched again by itself");
}

#[tokio::test]
async fn completed_with_a_part_beside_it_the_part_is_told_and_kept() {
    let (peer, _) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Completed, MIB).await;
    seeded_file(&staged.target, 7, MIB);
    seeded_file(&staged.part, 9, 1000);
    let daemon = home.start().await;
    said(&daemon, "no download knows this part file", &staged.part).await;
    assert_same_bytes(&staged.part, 9, 1000);
    assert_same_bytes(&staged.target, 7, MIB);
}

#[tokio::test]
async fn completed_and_moved_away_it_can_be_asked_for_again() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Completed, MIB).await;
    let daemon = home.start().await;
    let again = daemon.add("bob", "m").await;
    daemon.until_state(again, "completed").await;
    assert_eq!(daemon.row(staged.id).await["state"], "completed");
    assert_eq!(peer.requests(&path).len(), 1, "one for the new row");
}

#[tokio::test]
async fn failed_it_keeps_its_part_and_goes_on_there_when_told_to() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Failed, 300_000).await;
    seeded_file(&staged.part, 7, 300_000);
    let daemon = home.start().await;
    let row = daemon.row(staged.id).await;
    assert_eq!((&row["state"], &row["durable"]), (&json!("failed"), &json!(300_000)));
    assert_same_bytes(&staged.part, 7, 300_000);
    daemon.obeyed(staged.id, "retry").await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
    assert!(!daemon.log.text().contains("no download knows"), "a failed row's part is no orphan");
}

#[tokio::test]
async fn cancelled_it_loses_the_part_that_outlived_the_order() {
    let (peer, _) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Cancelled, 1000).await;
    seeded_file(&staged.part, 7, 1000);
    fs::write(home.path("incomplete").join("notes.txt"), "mine").expect("a file");
    let daemon = home.start().await;
    assert_eq!(daemon.row(staged.id).await["state"], "cancelled");
    assert_eq!(home.names("incomplete"), ["notes.txt"]);
}
