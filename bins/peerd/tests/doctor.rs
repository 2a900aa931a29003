//! `peerd doctor`: what stands in the daemon's way is named, each with its remedy.
#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use scripted_peer::{Answer, Representation, ScriptedPeer};
use serde_json::{Value, json};
use support::{Home, Output, program};

/// Runs the doctor on a machine whose daemon does not run.
async fn doctor(home: &Home, more: &[&str]) -> Output {
    let config = home.write_config();
    std::fs::set_permissions(&config, Permissions::from_mode(0o600)).unwrap();
    let mut command = program(&home.path("user"), ["doctor", "--config"]);
    command.arg(config).arg("--state-dir").arg(home.state()).args(more);
    Output::of(command).await
}

#[tokio::test]
async fn a_sound_machine_is_told_to_be_well_and_nothing_is_left_on_it() {
    let alice = Home::sharing();
    let film = std::fs::File::create(alice.path("shared").join("film.mkv")).unwrap();
    film.set_len(5000).unwrap();
    // Of a file that has just been written nobody can say that it will not change within the same instant.
    film.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)).unwrap();
    let sharer = alice.start().await;
    let home = Home::new().knowing("alice", sharer.base());
    let watch = home.path("watch");
    std::fs::create_dir(&watch).unwrap();
    let home = home.with(json!({ "watch": { "dir": watch } }));
    let well = doctor(&home, &[]).await.expect_code(0);
    assert!(well.stdout.contains("all is well") && well.stdout.contains("peer      alice"), "{well:?}");
    assert_eq!(std::fs::read_dir(home.path("watch")).unwrap().count(), 0);
    assert!(!home.state().exists(), "looking makes nothing");
}

/// Two peers that are not what they should be: one ignores ranges and lives in the past, the other does not say which
/// version of a file it sends.
async fn poor_peers() -> [ScriptedPeer; 2] {
    let items = r#"{"items": [{"id": "m", "filename": "m.mkv", "size": 5000}], "next": null}"#;
    let forgetful = ScriptedPeer::start().await;
    let long_ago = "Sun, 06 Nov 1994 08:49:37 GMT";
    forgetful.always("/ping", Answer::status(200).header("Date", long_ago));
    forgetful.serve("/peer/items/m/file", Representation::seeded(1, 5000).without_ranges());
    let vague = ScriptedPeer::start().await;
    vague.serve("/ping", Representation::bytes("{}"));
    vague.serve("/peer/items/m/file", Representation::seeded(1, 5000));
    for peer in [&forgetful, &vague] {
        peer.serve("/peer/items", Representation::bytes(items));
    }
    [forgetful, vague]
}

/// A Radarr that answers, and does not see the folder our files are in.
async fn blind_radarr() -> ScriptedPeer {
    let radarr = ScriptedPeer::start().await;
    let status = r#"{"appName": "Radarr", "version": "5.4.6"}"#;
    radarr.serve("/api/v3/system/status", Representation::bytes(status));
    radarr.serve("/api/v3/filesystem", Representation::bytes(r#"{"directories": [], "files": []}"#));
    radarr
}

#[tokio::test]
async fn many_troubles_are_all_named_in_one_run_each_with_what_to_do() {
    let [forgetful, vague] = poor_peers().await;
    let radarr = blind_radarr().await;
    let home = Home::new();
    let file = home.path("file");
    std::fs::write(&file, "in the way").unwrap();
    std::fs::create_dir(home.state()).unwrap();
    std::fs::set_permissions(home.state(), Permissions::from_mode(0o755)).unwrap();
    std::fs::write(home.state().join("peerd.db"), "no database at all").unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (nobody, completed) = ("http://127.0.0.1:9/", home.path("completed"));
    let home = home
        .knowing("ghost", nobody)
        .knowing("forgetful", forgetful.url("/"))
        .knowing("vague", vague.url("/"))
        .with(json!({
            // `/proc` is another filesystem wherever there is one, and no room is in it.
            "downloads": { "dir": completed, "incomplete_dir": "/proc/incomplete", "min_free": "1MiB" },
            "watch": { "dir": file.join("stubs") },
            "server": { "listen": [taken.local_addr().unwrap()] },
            "import": { "radarr": { "kind": "radarr", "url": radarr.url("/"), "key": "0123456789abcdef" } },
        }));

    let answer = doctor(&home, &["--json"]).await.expect_code(1).json();
    let findings = answer["findings"].as_array().unwrap();
    let wrong = |area: &str, subject: &str, word: &str| {
        let fits = |finding: &&Value| {
            let text = |member: &str| finding[member].as_str().unwrap_or_default();
            text("area") == area && text("subject").contains(subject) && text("detail").contains(word)
        };
        let found = findings.iter().find(fits);
        let found = found.unwrap_or_else(|| panic!("no {area} {subject} {word} in {answer:#}"));
        assert_ne!(found["outcome"], "ok", "{found}");
    };
    wrong("state", "state", "mode 755");
    wrong("folder", "/proc/incomplete", "cannot be written");
    wrong("folder", "completed", "on different filesystems");
    wrong("disk", "incomplete", "are to stay free");
    wrong("database", "peerd.db", "not a database");
    wrong("watch", "stubs", "cannot be written");
    wrong("listen", "127.0.0.1", "in use");
    wrong("peer", "ghost", "");
    wrong("peer", "forgetful", "ignores ranges");
    wrong("peer", "forgetful", "clock");
    wrong("peer", "vague", "which version");
    wrong("import", "radarr", "does not see");
    for finding in findings.iter().filter(|finding| finding["outcome"] != "ok") {
        assert!(finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{finding}");
    }

    let told = doctor(&home, &[]).await.expect_code(1);
    assert!(told.stdout.contains("chmod 700") && told.stderr.contains("peerd doctor"), "{told:?}");
}

#[tokio::test]
async fn a_neighbour_whose_key_only_the_daemon_is_handed_is_not_asked_without_it() {
    let home = Home::new().with(json!({
        "peers": { "alice": { "url": "http://127.0.0.1:9/", "key": { "credential": "alice" } } },
        "import": { "films": { "kind": "radarr", "url": "http://127.0.0.1:9/", "key": { "credential": "films" } } },
    }));
    let well = doctor(&home, &[]).await.expect_code(0);
    for line in [
        "skipped  peer      alice: not asked",
        "skipped  import    films: not asked",
        "peerd peer test alice",
    ] {
        assert!(well.stdout.contains(line), "{line}: {well:?}");
    }
}

#[tokio::test]
async fn what_somebody_else_left_under_a_name_of_ours_stays() {
    let home = Home::new();
    let completed = home.path("completed");
    std::fs::create_dir(&completed).unwrap();
    let elsewhere = home.path("elsewhere");
    std::os::unix::fs::symlink(&elsewhere, completed.join(".peerd-doctor")).unwrap();
    let home = home.with(json!({ "downloads": { "dir": completed } }));
    doctor(&home, &[]).await.expect_code(0);
    assert!(!elsewhere.exists());
    assert!(home.path("completed").join(".peerd-doctor").symlink_metadata().is_ok());
}

#[tokio::test]
async fn a_configuration_with_mistakes_is_told_with_them_and_the_code_of_a_configuration() {
    let home = Home::new().with(json!({ "downloads": { "max_concurent": 3 } }));
    let refused = doctor(&home, &[]).await.expect_code(78);
    assert!(refused.stderr.contains("max_concurrent"), "{refused:?}");
}
