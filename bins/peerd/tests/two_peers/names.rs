//! Final names: inside the directory, one file each, and whole from the first moment.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use crate::support::{Home, MIB, offer, offer_as, seeded_file};

#[tokio::test]
async fn a_hostile_name_stays_inside_the_directory() {
    let peer = ScriptedPeer::start().await;
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    for (item, name, expected) in [
        ("a", "../../up.bin", "up.bin"),
        ("b", "/etc/absolute.bin", "absolute.bin"),
        ("c", "..\\..\\windows.bin", "windows.bin"),
        ("d", ".hidden", "hidden"),
        ("e", "a\u{0}b\nc.bin", "abc.bin"),
        ("f", "-rf", "rf"),
    ] {
        offer_as(&peer, item, name, 7, 1000);
        let id = daemon.add("bob", item).await;
        let row = daemon.until_state(id, "completed").await;
        assert_eq!(row["filename"], expected);
        assert_eq!(row["target"].as_str(), home.completed(expected).to_str());
        assert_same_bytes(home.completed(expected), 7, 1000);
    }
    offer_as(&peer, "nameless", "..", 7, 1000);
    let id = daemon.add("bob", "nameless").await;
    let row = daemon.until_state(id, "completed").await;
    let name = row["filename"].as_str().expect("a name");
    assert!(name.starts_with("download-"), "of a name that is none, nothing is used: {name}");
    assert_eq!(home.names("completed").len(), 7);
    let everything = ["completed", "incomplete", "peerd.toml", "shared", "state", "user"];
    assert_eq!(home.names("."), everything, "nothing was written anywhere else");
}

#[tokio::test]
async fn a_second_item_of_the_same_name_is_refused_while_the_first_is_live() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    for item in ["a", "b"] {
        let path = offer_as(&peer, item, "same.bin", 7, 1000);
        peer.script(&path, [Answer::hold_head(&gate)]);
    }
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let first = daemon.add("bob", "a").await;
    for item in ["b", "a"] {
        let answer = daemon.try_add("bob", item).await;
        assert_eq!((answer.status, answer.problem()), (409, "destination-active".to_owned()), "{item}");
        assert_eq!(answer.json()["download_id"], first, "it names the row in the way");
    }
    gate.release();
    daemon.until_state(first, "completed").await;
    let answer = daemon.try_add("bob", "b").await;
    assert_eq!((answer.status, answer.problem()), (409, "destination-exists".to_owned()));
    assert_eq!(peer.requests("/peer/items/b/file").len(), 0);
}

#[tokio::test]
async fn with_rename_the_second_of_the_same_name_gets_one_of_its_own() {
    let peer = ScriptedPeer::start().await;
    for (item, seed) in [("a", 1), ("b", 2), ("c", 3)] {
        offer_as(&peer, item, "same.bin", seed, 1000);
    }
    let rename = json!({ "downloads": { "on_conflict": "rename" } });
    let home = Home::new().knowing("bob", peer.url("/")).with(rename);
    std::fs::create_dir(home.path("completed")).expect("a directory");
    std::fs::write(home.completed("same (1).bin"), "precious").expect("a file");
    let daemon = home.start().await;
    for (item, seed, name) in [("a", 1, "same.bin"), ("b", 2, "same (2).bin"), ("c", 3, "same (3).bin")] {
        let id = daemon.add("bob", item).await;
        daemon.until_state(id, "completed").await;
        assert_same_bytes(home.completed(name), seed, 1000);
    }
    assert_eq!(std::fs::read(home.completed("same (1).bin")).expect("a file"), b"precious");
}

#[tokio::test]
async fn with_rename_two_rows_that_learn_the_same_name_late_both_arrive() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    for (item, seed) in [("a", 1), ("b", 2)] {
        let path = offer_as(&peer, item, "same.bin", seed, 1000);
        peer.script(&path, [Answer::hold_head(&gate)]);
    }
    peer.go_away().await;
    let downloads = json!({ "on_conflict": "rename", "max_attempts": 100_000 });
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "downloads": downloads }));
    let daemon = home.start().await;
    let rows = [daemon.add("bob", "a").await, daemon.add("bob", "b").await];
    peer.come_back().await;
    for id in rows {
        daemon.until(id, "had its name", |row| row["filename"].is_string()).await;
    }
    gate.release();
    for id in rows {
        daemon.until_state(id, "completed").await;
    }
    assert_eq!(home.names("completed"), ["same (1).bin", "same.bin"]);
}

#[tokio::test]
async fn with_replace_an_existing_file_stays_whole_until_the_new_one_is() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(1000, &gate)]);
    let replace = json!({ "downloads": { "on_conflict": "replace" } });
    let home = Home::new().knowing("bob", peer.url("/")).with(replace);
    std::fs::create_dir(home.path("completed")).expect("a directory");
    seeded_file(home.completed("m.bin"), 1, 5000);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "had begun", |row| row["written"] == 1000).await;
    assert_same_bytes(home.completed("m.bin"), 1, 5000);
    gate.release();
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
}

#[tokio::test]
async fn a_file_that_appears_meanwhile_is_never_overwritten() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(1000, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "had begun", |row| row["written"] == 1000).await;
    std::fs::write(home.completed("m.bin"), "precious").expect("a file");
    gate.release();
    let row = daemon.until_state(id, "failed").await;
    assert_eq!((&row["error"]["kind"], &row["retryable"]), (&json!("destination-exists"), &json!(false)));
    assert_eq!(std::fs::read(home.completed("m.bin")).expect("a file"), b"precious");
    assert_same_bytes(home.part(), 7, MIB);
    // Out of the way: one order, and not a byte is fetched again.
    std::fs::remove_file(home.completed("m.bin")).expect("the file");
    daemon.obeyed(id, "retry").await;
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
    assert_eq!(peer.requests(&path).len(), 1);
}
