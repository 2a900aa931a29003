//! The directories a service manager makes for its service, and what lies in them.

use serde_json::json;

use crate::support::{Daemon, Home, KEY, program, seeded_file};

#[tokio::test]
async fn state_configuration_and_credentials_are_where_the_service_manager_put_them() {
    let home =
        Home::sharing().with(json!({ "keys": { "friend": { "secret": { "credential": "friend" } } } }));
    seeded_file(home.shared("film.mkv"), 7, 1000);
    let (credentials, configuration) = (home.path("credentials"), home.path("configuration"));
    for dir in [&credentials, &configuration] {
        std::fs::create_dir(dir).expect("a directory");
    }
    std::fs::write(credentials.join("friend"), format!("{KEY}\n")).expect("a credential");
    std::fs::copy(home.write_config(), configuration.join("peerd.toml")).expect("a copy");
    let mut command = program(&home.path("user"), ["serve"]);
    command.env("STATE_DIRECTORY", home.state()).env("CONFIGURATION_DIRECTORY", configuration);
    command.env("CREDENTIALS_DIRECTORY", credentials);
    let daemon = Daemon::start(&home, command).await;
    daemon.item("film.mkv").await;
    let system = daemon.get("/api/v1/system").await.json();
    assert_eq!(system["state_dir"], json!(home.state()));

    // The owner is not handed the credentials, and needs none of them to find the daemon.
    daemon.cli(["ls"]).await.expect_code(0);
    let checked = daemon.cli(["check-config"]).await.expect_code(0);
    assert!(checked.stderr.contains("keys.friend.secret: credential friend"), "{checked:?}");
}
