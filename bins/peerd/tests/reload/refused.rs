//! A reload that finds a mistake changes nothing at all.

use rustix::process::Signal;
use serde_json::json;

use super::{reload, reloaded};
use crate::support::{Daemon, Home, KEY, program};

#[tokio::test]
async fn every_problem_is_named_and_the_old_configuration_stays_whole() {
    let home = Home::sharing();
    let daemon = home.start().await;
    let home = home.with(json!({
        "keys": { "friend": { "secret": "another-key" } },
        "limits": { "up": "1MiB", "down": "fast" },
        "downloads": { "connections": 17 },
        "peers": { "bob": { "url": "nowhere" } },
    }));
    let refused = reload(&home, &daemon).await;
    assert_eq!((refused.status, refused.problem()), (422, "config-invalid".into()), "{refused:?}");
    let errors = refused.json()["errors"].take();
    let errors = errors.as_array().expect("a list");
    assert_eq!(errors.len(), 3, "{errors:#?}");
    for key in ["limits.down", "downloads.connections", "peers.bob.url"] {
        let error =
            errors.iter().find(|error| error["message"].as_str().is_some_and(|text| text.contains(key)));
        let error = error.unwrap_or_else(|| panic!("{key} is not in {errors:#?}"));
        assert!(error["line"].as_u64() > Some(0) && error["column"].is_u64(), "{error}");
        assert_eq!(error["file"], json!(home.path("peerd.toml")));
    }
    assert!(!refused.body.contains("another-key"), "{refused:?}");
    assert_eq!(daemon.get("/api/v1/limits").await.json(), json!({ "down": 0, "up": 0 }));
    assert_eq!(daemon.ask("/handshake").await.status, 200, "the key of before");

    daemon.signal(Signal::HUP);
    let told = daemon.log.wait_for("that it stays as it was", |line| {
        let stays = line["message"].as_str()?.contains("the old one stays in force");
        stays.then(|| line["error"].clone())
    });
    assert_eq!(told.await, "3 problems");
    let text = daemon.log.text();
    assert!(text.contains("limits.down") && !text.contains("another-key") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn keys_are_not_waived_for_a_listener_that_is_not_there_yet() {
    let home = Home::new().with(json!({ "server": { "listen": ["0.0.0.0:0"] } }));
    let daemon = home.start().await;
    let home =
        home.with(json!({ "server": { "listen": ["127.0.0.1:0"] }, "auth": { "require_key": false } }));
    let refused = reload(&home, &daemon).await;
    assert_eq!(refused.problem(), "config-invalid", "{refused:?}");
    assert!(refused.body.contains("restart"), "{refused:?}");
    let url = format!("http://127.0.0.1:{}/handshake", daemon.peer.port());
    assert_eq!(reqwest::get(url).await.expect("an answer").status().as_u16(), 401);
}

#[tokio::test]
async fn a_directory_still_in_use_is_not_shared() {
    let home = Home::new();
    let (downloads, parts) = (home.path("library/new"), home.path("library/parts"));
    let home = home.with(json!({ "downloads": { "dir": downloads, "incomplete_dir": parts } }));
    let daemon = home.start().await;
    let (downloads, parts, library) = (home.path("completed"), home.path("incomplete"), home.path("library"));
    let home = home.with(json!({
        "downloads": { "dir": downloads, "incomplete_dir": parts },
        "shares": { "library": { "path": library } },
    }));
    let refused = reload(&home, &daemon).await;
    assert_eq!(refused.problem(), "config-invalid", "{refused:?}");
    assert!(refused.body.contains("contains the downloads directory"), "{refused:?}");
    assert_eq!(daemon.get("/api/v1/shares").await.json(), json!({ "shares": [] }));
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_taken_for_one_that_sets_nothing() {
    let home = Home::sharing();
    let written = home.write_config();
    let found = home.path("user/.config/peerd/peerd.toml");
    std::fs::create_dir_all(home.path("user/.config/peerd")).expect("a directory");
    std::fs::rename(written, &found).expect("a file to move");
    let mut command = program(&home.path("user"), ["serve", "--state-dir"]);
    command.arg(home.state());
    let daemon = Daemon::start(&home, command).await;
    assert_eq!(daemon.ask("/handshake").await.status, 200);
    std::fs::remove_file(&found).expect("a file to delete");
    let refused = daemon.post("/api/v1/system/reload", &json!({})).await;
    assert_eq!(refused.problem(), "config-invalid", "{refused:?}");
    assert!(refused.body.contains("is gone"), "{refused:?}");
    assert_eq!(daemon.ask("/handshake").await.status, 200);
}

#[tokio::test]
async fn the_next_reload_succeeds_once_the_mistake_is_mended() {
    let home = Home::new();
    let daemon = home.start().await;
    let home = home.with(json!({ "limits": { "down": "fast" } }));
    assert_eq!(reload(&home, &daemon).await.status, 422);
    let home = home.with(json!({ "limits": { "down": "1MiB" } }));
    assert_eq!(reloaded(&home, &daemon).await.0, json!(["limits.down"]));
}
