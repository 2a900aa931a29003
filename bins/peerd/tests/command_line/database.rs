//! db check and db backup, on a database at rest and on one in use.

use std::fs;

use serde_json::json;

use super::run;
use crate::support::{Home, Output, program};

#[tokio::test]
async fn the_database_of_a_running_daemon_is_checked_and_copied() {
    let home = Home::new();
    let daemon = home.start().await;
    let id = daemon.add_with(json!({ "url": "http://127.0.0.1:9/x.bin", "paused": true })).await;
    let sound = daemon.cli(["db", "check"]).await.expect_code(0);
    assert!(sound.stdout.contains("peerd.db: sound"), "{sound:?}");
    let document = daemon.cli(["db", "check", "--json"]).await.expect_code(0).json();
    assert_eq!((&document["ok"], &document["problems"]), (&json!(true), &json!([])));
    // Found through the daemon, where no configuration says where it is.
    let (url, key) = (format!("http://{}", daemon.admin), home.state().join("admin.key"));
    let copy = home.path("copy.db");
    let mut command = program(&home.path("user"), ["--url", &url, "--api-key-file"]);
    command.arg(key).args(["db", "backup"]).arg(&copy);
    let done = Output::of(command).await.expect_code(0);
    assert!(done.stdout.starts_with(copy.to_str().expect("a path")), "{done:?}");
    assert!(fs::read(&copy).expect("a copy").starts_with(b"SQLite format 3\0"));
    let text = copy.to_str().expect("a path");
    daemon.cli(["db", "backup", text]).await.expect_code(0);
    assert_eq!(daemon.row(id).await["state"], "paused", "the daemon goes on");

    let film = home.path("film.mkv");
    fs::write(&film, "a film").expect("a file");
    let refused = daemon.cli(["db", "backup", film.to_str().expect("a path")]).await.expect_code(74);
    assert!(refused.stderr.contains("no backup"), "{refused:?}");
    assert_eq!(fs::read(&film).expect("a file"), b"a film");
}

#[tokio::test]
async fn a_database_at_rest_is_found_by_the_state_directory_and_damage_is_65() {
    let home = Home::new();
    home.start().await.terminate().await;
    let state = home.state();
    let state = state.to_str().expect("a path");
    run(&home, ["db", "check", "--state-dir", state]).await.expect_code(0);

    let path = home.state().join("peerd.db");
    let mut bytes = fs::read(&path).expect("a database");
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0x5a);
    fs::write(&path, bytes).expect("a file");
    let damaged = run(&home, ["db", "check", "--state-dir", state]).await.expect_code(65);
    assert!(damaged.stdout.is_empty() && damaged.stderr.contains("peerd db backup"), "{damaged:?}");
    let document = run(&home, ["db", "check", "--json", "--state-dir", state]).await.expect_code(65).json();
    assert_eq!(document["ok"], false);
    let copy = home.path("copy.db");
    run(&home, ["db", "backup", copy.to_str().expect("a path"), "--state-dir", state]).await.expect_code(65);
    assert!(!copy.exists(), "a copy that cannot be used is worse than none");

    fs::write(&path, "no database").expect("a file");
    run(&home, ["db", "check", "--state-dir", state]).await.expect_code(65);
    let missing = run(&home, ["db", "check", "--state-dir", "/no/such/place"]).await.expect_code(74);
    assert!(missing.stderr.contains("--state-dir"), "{missing:?}");
}
