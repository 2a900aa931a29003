//! healthcheck, share.

use serde_json::json;

use crate::support::{Home, Output, program, seeded_file};

#[tokio::test]
async fn a_health_check_is_0_while_the_daemon_lives_and_69_after() {
    let home = Home::new();
    let daemon = home.start().await;
    let url = format!("http://{}", daemon.admin);
    let checked = daemon.cli(["healthcheck"]).await.expect_code(0);
    assert!(checked.stdout.is_empty(), "{checked:?}");
    assert_eq!(daemon.cli(["healthcheck", "--json"]).await.expect_code(0).json(), json!({ "alive": true }));
    let bare = Output::of(program(&home.path("user"), ["--url", &url, "healthcheck"])).await;
    assert_eq!(bare.code, 0, "it needs no key: {bare:?}");
    daemon.terminate().await;
    let gone = Output::of(program(&home.path("user"), ["--url", &url, "healthcheck"])).await;
    assert_eq!(gone.code, 69, "{gone:?}");
}

#[tokio::test]
async fn shares_are_listed_and_walked_again() {
    let home = Home::sharing();
    let daemon = home.start().await;
    seeded_file(home.shared("film.mkv"), 7, 1000);
    daemon.cli(["share", "rescan", "films"]).await.expect_code(0);
    let line = daemon.cli(["share", "ls"]).await.expect_code(0).stdout;
    assert!(line.starts_with("films ") && line.contains(" 1 "), "{line}");
    let shares = daemon.cli(["share", "ls", "--json"]).await.expect_code(0).json();
    assert_eq!((&shares[0]["name"], &shares[0]["items"]), (&json!("films"), &json!(1)));
    daemon.cli(["share", "rescan", "music"]).await.expect_code(4);
}
