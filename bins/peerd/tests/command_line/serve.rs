//! Starting the daemon, and the starts it refuses.

use std::fs;

use serde_json::json;

use crate::support::{Home, program, seeded_file};

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let home = Home::new();
    let daemon = home.start().await;
    let taken = daemon.admin.to_string();
    let other = Home::new().with(json!({ "admin": { "listen": [taken] } }));
    let refused = other.refused().await.expect_code(1);
    assert!(refused.stderr.contains(&taken), "{}", refused.stderr);
}

#[tokio::test]
async fn directories_that_cannot_be_used_are_named() {
    let home = Home::new();
    fs::write(home.path("completed"), "a file").expect("a file");
    let refused = home.refused().await.expect_code(74);
    assert!(refused.stderr.contains(&home.path("completed").display().to_string()), "{}", refused.stderr);
}

#[tokio::test]
async fn a_share_that_would_give_the_state_away_is_refused() {
    let home = Home::new();
    let everything = home.path("");
    let home = home.with(json!({ "shares": { "all": { "path": everything } } }));
    let refused = home.refused().await.expect_code(78);
    assert!(refused.stderr.contains("all"), "{}", refused.stderr);
}

#[tokio::test]
async fn without_any_configuration_a_shared_folder_is_one_flag_away() {
    let home = Home::new();
    seeded_file(home.shared("film.mkv"), 7, 1000);
    let mut command =
        program(&home.path("user"), ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.arg("--share").arg(home.path("shared")).stderr(std::process::Stdio::piped());
    command.env("XDG_STATE_HOME", home.path("user/state"));
    let mut daemon = command.spawn().expect("a process");
    let mut said = tokio::io::BufReader::new(daemon.stderr.take().expect("a pipe"));
    let mut text = String::new();
    while !text.contains("sharing") {
        let read = tokio::io::AsyncBufReadExt::read_line(&mut said, &mut text).await.expect("a line");
        assert!(read > 0, "it ended early: {text}");
    }
    assert!(
        home.path("user/state/peerd/admin.key").exists() && home.path("user/state/peerd/peerd.db").exists()
    );
    daemon.kill().await.expect("an end");
}
