//! `peerd demo`: the main job in a minute.

use std::fs;

use crate::support::{Home, Output, program};

#[tokio::test]
async fn demo_shows_a_kill_and_a_resume_and_leaves_nothing_behind() {
    let home = Home::new();
    let scratch = home.path("scratch");
    fs::create_dir(&scratch).expect("a directory");
    let mut command = program(&home.path("user"), ["demo", "--size", "8MiB"]);
    command.env("TMPDIR", &scratch).env("PEERD_DOWNLOADS__MAX_CONCURRENT", "not a number");
    let output = Output::of(command).await.expect_code(0);
    for part in ["kill -9", "resumes at byte", "byte for byte the same: 8.00 MiB", "re-transferred"] {
        assert!(output.stdout.contains(part), "{part} not in {}", output.stdout);
    }
    assert_eq!(home.names("scratch"), [] as [&str; 0]);
    assert_eq!(home.names("user"), [] as [&str; 0]);
}
