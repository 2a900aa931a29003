//! `key create --invite`: what the friend types, and the key it asks for.

use serde_json::json;

use crate::support::Home;

#[tokio::test]
async fn an_invitation_is_a_command_and_the_key_it_asks_for() {
    let home = Home::sharing();
    let daemon = home.start().await;
    let made =
        daemon.cli(["key", "create", "carol", "--invite", "--peer-name", "alice"]).await.expect_code(0);
    let [command, key] = made.stdout.lines().collect::<Vec<_>>()[..] else { panic!("two lines: {made:?}") };
    assert_eq!(command, format!("peerd peer add alice http://{}/ --key-file -", daemon.peer));
    assert!(!command.contains(key) && key.starts_with("prd_"), "{made:?}");
    let said = &made.stderr;
    assert!(
        said.contains("loopback only") && said.contains("server.listen"),
        "nobody could follow it: {said}"
    );
}

#[tokio::test]
async fn the_address_of_an_invitation_can_be_said_and_is_checked_first() {
    let home = Home::sharing();
    let daemon = home.start().await;
    let made =
        daemon.cli(["key", "create", "carol", "--invite", "--peer-url", "https://alice.example/p"]).await;
    let made = made.expect_code(0);
    assert!(made.stdout.contains(" https://alice.example/p/ --key-file -\n"), "{made:?}");
    assert!(!made.stderr.contains("loopback"), "{made:?}");
    for url in ["alice.example", "http://al:pw@x/", "http://x/?a", "http://x/$(reboot)", "ftp://x/"] {
        daemon.cli(["key", "create", "dave", "--invite", "--peer-url", url]).await.expect_code(2);
    }
    let keys = daemon.cli(["key", "ls", "--json"]).await.expect_code(0).json();
    assert_eq!(keys.as_array().map(Vec::len), Some(2), "none was made for a bad address");
    daemon.cli(["key", "create", "dave", "--peer-url", "http://x/"]).await.expect_code(2);
}

#[tokio::test]
async fn an_invitation_from_a_machine_that_can_be_reached_names_it() {
    let home = Home::sharing().with(json!({ "server": { "listen": ["0.0.0.0:0"] } }));
    let daemon = home.start().await;
    let made = daemon.cli(["key", "create", "carol", "--invite", "--json"]).await.expect_code(0).json();
    let command = made["invite"]["command"].as_str().expect("a command");
    assert!(command.contains(&format!(":{}/ --key-file -", daemon.peer.port())), "{command}");
    assert!(!command.contains("0.0.0.0") && made["secret"].is_string(), "{made}");
}

#[tokio::test]
async fn a_name_that_the_friend_could_not_use_makes_no_key() {
    let home = Home::new();
    let daemon = home.start().await;
    for name in ["a/b", "..", ""] {
        let refused =
            daemon.cli(["key", "create", "carol", "--invite", "--peer-name", name]).await.expect_code(2);
        assert!(refused.stderr.contains("--peer-name"), "{refused:?}");
    }
    assert_eq!(daemon.cli(["key", "ls", "--json"]).await.expect_code(0).json(), serde_json::json!([]));
}
