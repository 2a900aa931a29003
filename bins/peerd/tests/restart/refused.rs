//! Starts that are refused before anything is touched.

use std::fs;

use crate::support::{DOWNLOADS, Home};

#[tokio::test]
async fn a_second_daemon_on_the_same_state_is_refused_and_the_first_goes_on() {
    let home = Home::new();
    let daemon = home.start().await;
    let refused = home.refused().await.expect_code(75);
    let state = home.state().display().to_string();
    assert!(refused.stderr.contains(&state), "{}", refused.stderr);
    assert!(refused.stderr.contains(&daemon.pid().to_string()), "it names the holder: {}", refused.stderr);
    assert_eq!(daemon.get(DOWNLOADS).await.status, 200);
    daemon.kill().await;
    home.start().await;
}

#[tokio::test]
async fn a_damaged_database_is_refused_and_left_as_it_is() {
    let whole = Home::new();
    whole.start().await.terminate().await;
    let database = fs::read(whole.state().join("peerd.db")).expect("a database");
    let mut torn = database.clone();
    torn[4096..].fill(0x5a);
    for (what, bytes) in [
        ("no database", b"precious notes, not a database".repeat(300)),
        ("empty", Vec::new()),
        ("overwritten pages", torn),
        ("cut off", database[..database.len() / 2].to_vec()),
    ] {
        let home = Home::new();
        fs::create_dir(home.state()).expect("a directory");
        let path = home.state().join("peerd.db");
        fs::write(&path, &bytes).expect("a file");
        let refused = home.refused().await;
        assert_eq!(refused.code, 65, "{what}: {refused:?}");
        assert!(refused.stderr.contains(&path.display().to_string()), "{what}: {}", refused.stderr);
        assert_eq!(fs::read(&path).expect("the file"), bytes, "{what}");
    }
}
