//! Rows whose bytes were all on record, and that were being published when the process died.

use std::fs;

use scripted_peer::{ScriptedPeer, assert_same_bytes, seeded_bytes};

use super::{asked_from, bob, home_of, left, left_with};
use crate::support::{Left, MIB, seeded_file};

#[tokio::test]
async fn whole_and_not_renamed_it_is_published_without_a_request() {
    let (peer, _) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    seeded_file(&staged.part, 7, MIB);
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "completed").await;
    assert!(row["error"].is_null(), "{row:#}");
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn whole_on_record_and_cut_on_the_disk_it_is_fetched_from_there_on() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    seeded_file(&staged.part, 7, 700_000);
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [700_000]);
    assert_same_bytes(&staged.target, 7, MIB);
}

#[tokio::test]
async fn whole_on_record_and_of_the_wrong_digest_it_is_fetched_anew() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let digest = blake3::hash(&seeded_bytes(7, 0..MIB));
    let staged = left_with(&home, Left::Finalizing, MIB, Some(*digest.as_bytes())).await;
    seeded_file(&staged.part, 8, MIB);
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "completed").await;
    assert_eq!(row["last_restart"]["reason"], "corruption");
    assert_eq!(asked_from(&peer, &path, 0), [0]);
    assert_same_bytes(&staged.target, 7, MIB);
}

#[tokio::test]
async fn renamed_before_the_row_said_so_it_is_completed_without_a_request() {
    let (peer, _) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    seeded_file(&staged.target, 7, MIB);
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn under_both_names_it_loses_the_first_and_is_completed() {
    let (peer, _) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    seeded_file(&staged.part, 7, MIB);
    fs::hard_link(&staged.part, &staged.target).expect("a second name");
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn whole_with_a_foreign_file_under_its_final_name_it_fails_and_both_stay() {
    let (peer, _) = bob().await;
    for foreign in [5000, MIB] {
        let home = home_of(&peer);
        let staged = left(&home, Left::Finalizing, MIB).await;
        seeded_file(&staged.part, 7, MIB);
        seeded_file(&staged.target, 8, foreign);
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, "failed").await;
        assert_eq!(row["error"]["kind"], "destination-exists", "{foreign} bytes");
        assert_same_bytes(&staged.target, 8, foreign);
        assert_same_bytes(&staged.part, 7, MIB);
    }
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn without_its_part_a_file_of_another_size_or_digest_is_not_its_own() {
    let peer = ScriptedPeer::start().await;
    let digest = *blake3::hash(&seeded_bytes(7, 0..MIB)).as_bytes();
    for (seed, length, digest, state) in [
        (8, 5000, None, "failed"),
        (7, MIB - 1, None, "failed"),
        (8, MIB, Some(digest), "failed"),
        (7, MIB, Some(digest), "completed"),
    ] {
        let home = home_of(&peer);
        let staged = left_with(&home, Left::Finalizing, MIB, digest).await;
        seeded_file(&staged.target, seed, length);
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, state).await;
        if state == "failed" {
            assert_eq!(row["error"]["kind"], "destination-exists", "{length} bytes of {seed}");
        }
        assert_same_bytes(&staged.target, seed, length);
    }
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn whole_on_record_and_nowhere_on_the_disk_it_is_fetched_anew() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [0]);
    assert_same_bytes(&staged.target, 7, MIB);
}
