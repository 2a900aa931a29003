//! Files without a row, rows without a peer, rows that want what another has, a disk that is not there.

use std::fs;

use scripted_peer::{ScriptedPeer, assert_same_bytes};
use serde_json::{Value, json};

use super::{asked_from, bob, home_of, left, said};
use crate::support::{DOWNLOADS, Home, Left, MIB, Stage, offer, offer_as, on_record, seeded_file};

#[tokio::test]
async fn an_orphaned_part_is_told_and_neither_deleted_nor_taken_over() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let dir = home.path("incomplete");
    fs::create_dir(&dir).expect("a directory");
    let (orphan, foreign) = (dir.join("m.bin.12345678.part"), dir.join("notes.txt"));
    seeded_file(&orphan, 7, 300_000);
    fs::write(&foreign, "mine").expect("a file");
    for start in 1..=2 {
        let daemon = home.start().await;
        said(&daemon, "no download knows this part file", &orphan).await;
        assert!(!daemon.log.text().contains("notes.txt"), "what is no part is nobody's business");
        if start == 2 {
            let id = daemon.add("bob", "m").await;
            daemon.until_state(id, "completed").await;
        }
        assert_same_bytes(&orphan, 7, 300_000);
        daemon.kill().await;
    }
    assert_eq!(asked_from(&peer, &path, 0), [0], "nothing vouches for its bytes");
    assert_eq!(home.names("incomplete"), ["m.bin.12345678.part", "notes.txt"]);
}

#[tokio::test]
async fn a_disk_that_is_not_mounted_at_the_start_costs_no_byte() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Downloading, 300_000).await;
    seeded_file(&staged.part, 7, 300_000);
    let (dir, away) = (home.path("incomplete"), home.path("elsewhere"));
    fs::rename(&dir, &away).expect("a directory to move");
    let daemon = home.start().await;
    let gone = |event: &Value| event["dir"].as_str().map(str::to_owned);
    assert_eq!(Some(daemon.log.wait_for("which directory is gone", gone).await.as_str()), dir.to_str());
    let row = daemon.row(staged.id).await;
    assert_eq!((&row["state"], &row["durable"]), (&json!("queued"), &json!(300_000)));
    assert_eq!(daemon.get("/readyz").await.status, 503);
    assert!(!dir.exists(), "an empty directory in its place would look like lost bytes");
    fs::rename(&away, &dir).expect("a directory to move back");
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
}

#[tokio::test]
async fn a_file_that_got_its_name_on_a_disk_that_is_not_mounted_is_completed_when_it_is_back() {
    let (peer, _) = bob().await;
    let home = home_of(&peer);
    let staged = left(&home, Left::Finalizing, MIB).await;
    seeded_file(&staged.target, 7, MIB);
    let dirs = ["completed", "incomplete"].map(|name| (home.path(name), home.path(&format!("{name}-away"))));
    for (dir, away) in &dirs {
        fs::rename(dir, away).expect("a directory to move");
    }
    let daemon = home.start().await;
    daemon.log.wait_for("which directory is gone", |event| event["dir"].as_str().map(drop)).await;
    assert_eq!(daemon.row(staged.id).await["state"], "finalizing");
    for (dir, away) in &dirs {
        fs::rename(away, dir).expect("a directory to move back");
    }
    let row = daemon.until_state(staged.id, "completed").await;
    assert!(row["error"].is_null(), "{row:#}");
    assert_same_bytes(&staged.target, 7, MIB);
    assert_eq!(peer.all_requests().len(), 0);
}

#[tokio::test]
async fn a_row_of_a_peer_that_was_taken_out_of_the_configuration_fails_and_keeps_its_bytes() {
    let (peer, path) = bob().await;
    let home = Home::new();
    let staged = left(&home, Left::Downloading, 300_000).await;
    seeded_file(&staged.part, 7, 300_000);
    let daemon = home.start().await;
    let row = daemon.until_state(staged.id, "failed").await;
    assert_eq!((&row["error"]["kind"], &row["retryable"]), (&json!("peer-unknown"), &json!(true)));
    assert_eq!(row["durable"], 300_000);
    assert_same_bytes(&staged.part, 7, 300_000);
    daemon.terminate().await;
    let home = home.knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    daemon.obeyed(staged.id, "retry").await;
    daemon.until_state(staged.id, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [300_000]);
}

#[tokio::test]
async fn of_two_rows_that_turn_out_to_want_one_name_the_second_fails_and_says_whose_it_is() {
    let peer = ScriptedPeer::start().await;
    peer.go_away().await;
    let home = home_of(&peer).with(json!({ "downloads": { "max_attempts": 100_000 } }));
    // Queued while nobody could say what they are called, and killed.
    let daemon = home.start().await;
    let first = daemon.add("bob", "a").await;
    let second = daemon.add("bob", "b").await;
    daemon.kill().await;
    for item in ["a", "b"] {
        offer_as(&peer, item, "film.mkv", 1, 1000);
    }
    peer.come_back().await;
    let gate = scripted_peer::Gate::closed();
    for item in ["a", "b"] {
        peer.always(&format!("/peer/items/{item}/file"), scripted_peer::Answer::hold_head(&gate));
    }
    let daemon = home.start().await;
    let one_of_two = |row: &Value| row["state"] == "failed";
    let mut states = Vec::new();
    let (winner, loser) = loop {
        states.clear();
        for id in [first, second] {
            states.push(daemon.row(id).await);
        }
        match (one_of_two(&states[0]), one_of_two(&states[1])) {
            (false, true) => break (first, &states[1]),
            (true, false) => break (second, &states[0]),
            (true, true) => panic!("one of them has to win: {states:#?}"),
            (false, false) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(loser["error"]["kind"], "destination-exists");
    assert_eq!(loser["error"]["message"], format!("download {winner} has this destination"));
    assert_eq!(loser["retryable"], true);
    gate.release();
    daemon.until_state(winner, "completed").await;
    assert_same_bytes(home.completed("film.mkv"), 1, 1000);
}

#[tokio::test]
async fn a_failed_row_whose_place_was_taken_does_not_come_back_and_says_who_has_it() {
    let (peer, path) = bob().await;
    let home = home_of(&peer);
    let old = left(&home, Left::Failed, 300_000).await;
    seeded_file(&old.part, 7, 300_000);
    let daemon = home.start().await;
    let new = daemon.add_with(json!({ "peer": "bob", "item": "m", "paused": true })).await;
    daemon.kill().await;
    let daemon = home.start().await;
    let row = daemon.row(old.id).await;
    assert_eq!(
        (&row["state"], &row["error"]["message"]),
        (&json!("failed"), &json!("the peer answered 503"))
    );
    let answer = daemon.order(old.id, "retry").await;
    assert_eq!((answer.status, answer.problem()), (409, "destination-active".into()));
    assert!(answer.body.contains(&new.to_string()), "{answer:?}");
    daemon.obeyed(new, "resume").await;
    daemon.until_state(new, "completed").await;
    assert_eq!(asked_from(&peer, &path, 0), [0], "two rows never share a part");
    assert_same_bytes(&old.part, 7, 300_000);
    daemon.terminate().await;
    assert_eq!(on_record(&home, old.id).await.durable, 300_000);
}

#[tokio::test]
async fn two_live_rows_of_one_destination_cannot_be_left_behind() {
    let (peer, _) = bob().await;
    offer_as(&peer, "other", "m.bin", 1, 1000);
    let home = home_of(&peer);
    for state in [Left::Waiting, Left::Paused] {
        let staged = left(&home, state, 1000).await;
        let daemon = home.start().await;
        for item in ["m", "other"] {
            let answer = daemon.try_add("bob", item).await;
            assert_eq!((answer.status, answer.problem()), (409, "destination-active".into()), "{state:?}");
        }
        daemon.delete(staged.id, "").await;
        let rows = daemon.get(DOWNLOADS).await.json();
        assert_eq!(rows["downloads"], json!([]));
        daemon.kill().await;
    }
}

#[tokio::test]
async fn a_row_of_every_state_is_recovered_at_once() {
    let peer = ScriptedPeer::start().await;
    let home = home_of(&peer);
    let states = [
        (Left::Waiting, "waiting"),
        (Left::Paused, "paused"),
        (Left::Completed, "completed"),
        (Left::Failed, "failed"),
        (Left::Cancelled, "cancelled"),
        (Left::Finalizing, "completed"),
        (Left::Downloading, "completed"),
        (Left::Queued, "completed"),
    ];
    let mut rows = Vec::new();
    for (n, (left, becomes)) in (0..).zip(states) {
        let item = format!("i{n}");
        offer(&peer, &item, n, 5000);
        let durable = if matches!(left, Left::Finalizing | Left::Completed) { 5000 } else { 2000 };
        let staged =
            Stage { item: &item, seed: n, total: 5000, durable, left, blake3: None }.set(&home).await;
        seeded_file(&staged.part, n, durable);
        rows.push((n, staged, becomes));
    }
    let daemon = home.start().await;
    for (n, staged, becomes) in rows {
        let row = daemon.until(staged.id, &format!("became {becomes}"), |row| row["state"] == becomes).await;
        if becomes == "completed" && n > 2 {
            assert_same_bytes(&staged.target, n, 5000);
            assert_eq!(row["restarts"], 0);
        }
    }
}
