//! Rows that nobody worked on: in line, waiting for their time, set aside.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use scripted_peer::{assert_same_bytes, seeded_bytes};
use serde_json::json;

use super::{asked_from, bob, home_of, left, left_with, said};
use crate::support::{Left, MIB, on_record, seeded_file};

#[tokio::test]
async fn in_line_with_nothing_it_begins_with_nothing() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Queued, 0).await;
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(asked_from(&peer, &path, 0), [0]);
    assert_eq!((&row["restarts"], &row["attempts"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn waiting_or_set_aside_with_nothing_it_stays_as_it_is() {
    let (peer, _) = bob().await;
    for (state, word) in [(Left::Waiting, "waiting"), (Left::Paused, "paused")] {
        let home = home_of(&peer);
        let staged = left(&home, state, 0).await;
        let before = on_record(&home, staged.id).await;
        let daemon = home.start().await;
        assert_eq!(daemon.row(staged.id).await["state"], word);
        daemon.terminate().await;
        assert_eq!(on_record(&home, staged.id).await, before, "not a word of the row has changed");
        assert_eq!(home.names("incomplete"), [] as [&str; 0]);
    }
    assert_eq!(peer.all_requests().len(), 0, "nobody asked for it");
}

#[tokio::test]
async fn waiting_or_set_aside_it_keeps_its_bytes_and_goes_on_when_it_may() {
    let (peer, path) = bob().await;
    for (n, (state, order)) in [(Left::Waiting, "retry"), (Left::Paused, "resume")].into_iter().enumerate() {
        let home = home_of(&peer);
        let staged = left(&home, state, 300_000).await;
        seeded_file(&staged.part, 7, 300_000);
        let before = on_record(&home, staged.id).await;
        let daemon = home.start().await;
        assert_eq!(daemon.terminate().await.0.code(), Some(0));
        assert_eq!(on_record(&home, staged.id).await, before);
        assert_same_bytes(&staged.part, 7, 300_000);
        assert_eq!(peer.requests(&path).len(), n, "nobody asked for it");
        let daemon = home.start().await;
        daemon.obeyed(staged.id, order).await;
        daemon.until_state(staged.id, "completed").await;
        assert_eq!(asked_from(&peer, &path, n), [300_000]);
        assert_same_bytes(&staged.target, 7, MIB);
    }
}

#[tokio::test]
async fn in_line_it_goes_on_where_its_record_ends() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Queued, 300_000).await;
    seeded_file(&staged.part, 7, 300_000);
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
    assert_same_bytes(&staged.target, 7, MIB);
    daemon.terminate().await;
    assert_eq!(on_record(&home, staged.id).await.generation, 1);
}

#[tokio::test]
async fn in_line_a_tail_nobody_recorded_is_not_trusted_however_right_it_looks() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Queued, 300_000).await;
    let mut bytes = seeded_bytes(7, 0..400_000);
    bytes.resize(MIB as usize, 0);
    fs::write(&staged.part, bytes).expect("a part");
    let daemon = home.start().await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
    assert_same_bytes(&staged.target, 7, MIB);
}

#[tokio::test]
async fn in_line_what_the_disk_lost_is_told_and_fetched_again_and_nothing_else() {
    let (peer, path) = bob().await;
    for (n, (on_disk, because)) in
        [(None, "the part is gone"), (Some(0), "it is empty"), (Some(1), "it was cut")]
            .into_iter()
            .enumerate()
    {
        let home = home_of(&peer);
        let staged = left(&home, Left::Queued, 800_000).await;
        if let Some(on_disk) = on_disk {
            seeded_file(&staged.part, 7, on_disk);
        }
        let daemon = home.start().await;
        said(&daemon, "holds fewer bytes than are on record", &staged.part).await;
        daemon.until_state(staged.id, "completed").await;
        assert_eq!(asked_from(&peer, &path, n), [on_disk.unwrap_or(0)], "{because}");
        assert_same_bytes(&staged.target, 7, MIB);
        daemon.terminate().await;
        let row = on_record(&home, staged.id).await;
        assert_eq!(
            (row.generation, row.restarts),
            (2, 0),
            "{because}: late writes of the old record count no more"
        );
    }
}

#[tokio::test]
async fn a_part_that_became_another_file_is_noticed_by_the_digest() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let digest = blake3::hash(&seeded_bytes(7, 0..MIB));
    let staged = left_with(&home, Left::Queued, 300_000, Some(*digest.as_bytes())).await;
    seeded_file(&staged.part, 8, 300_000);
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "completed").await;
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(asked_from(&peer, &path, 0), [300_000, 0]);
    assert_eq!(row["last_restart"]["reason"], "corruption");
    assert_eq!(row["last_restart"]["discarded"], MIB);
}

#[tokio::test]
async fn a_part_that_is_no_ordinary_file_is_refused_and_what_it_points_at_is_untouched() {
    let (peer, path) = bob().await;
    let link = |part: &Path, victim: &Path| symlink(victim, part).expect("a link");
    let hard_link = |part: &Path, victim: &Path| fs::hard_link(victim, part).expect("a link");
    let directory = |part: &Path, _: &Path| fs::create_dir(part).expect("a directory");
    let pipe = |part: &Path, _: &Path| {
        let made =
            rustix::fs::mkfifoat(rustix::fs::CWD, part, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        made.expect("a pipe");
    };
    type Place<'a> = &'a dyn Fn(&Path, &Path);
    let places: [(&str, Place<'_>); 4] =
        [("a link", &link), ("a second name", &hard_link), ("a directory", &directory), ("a pipe", &pipe)];
    for (what, place) in places {
        for state in [Left::Queued, Left::Downloading] {
            let home = home_of(&peer);
            let staged = left(&home, state, 1000).await;
            let victim = home.path("victim");
            fs::write(&victim, vec![0x77; 2000]).expect("a file");
            place(&staged.part, &victim);
            let daemon = home.start().await;
            let row = daemon.until_state(staged.id, "failed").await;
            assert_eq!(row["error"]["kind"], "local-io", "{what}");
            assert_eq!(fs::read(&victim).expect("a file"), vec![0x77; 2000], "{what}");
            assert!(staged.part.symlink_metadata().is_ok(), "{what} is still there");
            assert_eq!(home.names("completed"), [] as [&str; 0], "{what}");
        }
    }
    assert_eq!(peer.requests(&path).len(), 0);
}

#[tokio::test]
async fn in_line_a_foreign_file_under_its_final_name_is_left_alone_or_replaced_as_was_asked() {
    let (peer, path) = bob().await;
    for (on_conflict, state, names) in
        [("fail", "failed", 1), ("rename", "completed", 0), ("replace", "completed", 0)]
    {
        let home = home_of(&peer).with(json!({ "downloads": { "on_conflict": on_conflict } }));
        let staged = left(&home, Left::Queued, 300_000).await;
        seeded_file(&staged.part, 7, 300_000);
        fs::write(&staged.target, "precious").expect("a file");
        let daemon = home.start().await;
        let row = daemon.until_state(staged.id, state).await;
        assert_eq!(home.names("incomplete").len(), names, "{on_conflict}");
        match on_conflict {
            "replace" => assert_same_bytes(&staged.target, 7, MIB),
            _ => assert_eq!(fs::read(&staged.target).expect("a file"), b"precious", "{on_conflict}"),
        }
        match on_conflict {
            "fail" => {
                assert_eq!(row["error"]["kind"], "destination-exists");
                assert_same_bytes(&staged.part, 7, 300_000);
            }
            "rename" => assert_same_bytes(home.completed("m (1).bin"), 7, MIB),
            _ => {}
        }
    }
    assert_eq!(asked_from(&peer, &path, 0), [300_000, 300_000], "who may not have the name asks for nothing");
}
