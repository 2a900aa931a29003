//! Rows a worker of the process that died was fetching.

use std::fs;

use scripted_peer::{assert_same_bytes, seeded_bytes};
use serde_json::json;

use super::{asked_from, bob, home_of, left, said};
use crate::support::{Left, MIB, on_record, seeded_file};

#[tokio::test]
async fn fetching_it_goes_back_in_line_and_on_where_its_record_ends() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Downloading, 300_000).await;
    seeded_file(&staged.part, 7, 300_000);
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(
        (&row["attempts"], &row["restarts"]),
        (&json!(0), &json!(0)),
        "a crash is no failure of the peer"
    );
    daemon.terminate().await;
    let row = on_record(&home, staged.id).await;
    assert_eq!(row.lease_epoch, 2, "whoever held it before is fenced off");
}

#[tokio::test]
async fn fetching_a_tail_nobody_recorded_is_not_trusted_however_right_it_looks() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Downloading, 300_000).await;
    let mut bytes = seeded_bytes(7, 0..400_000);
    bytes.resize(MIB as usize, 0);
    fs::write(&staged.part, bytes).expect("a part");
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
    assert_same_bytes(&staged.target, 7, MIB);
}

#[tokio::test]
async fn fetching_what_the_disk_lost_is_told_and_fetched_again_and_nothing_else() {
    let (peer, path) = bob().await;
    for (n, (on_disk, because)) in
        [(None, "the part is gone"), (Some(0), "it is empty"), (Some(500_000), "it was cut")]
            .into_iter()
            .enumerate()
    {
        let home = home_of(&peer);
        let staged = left(&home, Left::Downloading, 800_000).await;
        if let Some(on_disk) = on_disk {
            seeded_file(&staged.part, 7, on_disk);
        }
        let daemon = home.start().await;
        said(&daemon, "holds fewer bytes than are on record", &staged.part).await;
        daemon.until_state(staged.id, "completed").await;
        assert_eq!(asked_from(&peer, &path, n), [on_disk.unwrap_or(0)], "{because}");
        assert_same_bytes(&staged.target, 7, MIB);
    }
}

#[tokio::test]
async fn fetching_or_in_line_with_every_byte_on_record_it_is_published_without_a_request() {
    let (peer, _) = bob().await;
    for state in [Left::Downloading, Left::Queued] {
        let home = home_of(&peer);
        let staged = left(&home, state, MIB).await;
        seeded_file(&staged.part, 7, MIB);
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, "completed").await;
        assert!(row["error"].is_null(), "{state:?}: {row:#}");
        assert_same_bytes(&staged.target, 7, MIB);
        assert_eq!(home.names("incomplete"), [] as [&str; 0], "{state:?}");
    }
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn fetching_a_foreign_file_under_its_final_name_is_left_alone() {
    let (peer, _) = bob().await;
    for durable in [300_000, MIB] {
        let home = home_of(&peer);
        let staged = left(&home, Left::Downloading, durable).await;
        seeded_file(&staged.part, 7, durable);
        seeded_file(&staged.target, 7, MIB);
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, "failed").await;
        assert_eq!(
            row["error"]["kind"], "destination-exists",
            "however right it looks: nobody sealed this row"
        );
        assert_same_bytes(&staged.target, 7, MIB);
        assert_same_bytes(&staged.part, 7, durable);
    }
    assert_eq!(peer.all_requests().len(), 0);
}
