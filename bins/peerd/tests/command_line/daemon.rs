//! Commands that talk to the running daemon.

use std::fs;

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::run;
use crate::support::{Home, MIB, Output, offer, program};

#[tokio::test]
async fn without_a_daemon_it_is_69_and_says_how_to_start_one() {
    let home = Home::new();
    let nobody = "http://127.0.0.1:9";
    for arguments in
        [["--url", nobody, "ls", "--json"], ["--url", nobody, "show", "1"], ["--url", nobody, "add", "bob/x"]]
    {
        let output = run(&home, arguments).await;
        assert_eq!(output.code, 69, "{output:?}");
        assert!(output.stdout.is_empty() && output.stderr.contains("peerd serve"), "{output:?}");
    }
}

#[tokio::test]
async fn a_wrong_key_is_77_and_a_missing_key_file_74() {
    let home = Home::new();
    let daemon = home.start().await;
    let wrong = home.path("wrong.key");
    fs::write(&wrong, "wrong-key-wrong-key\n").expect("a file");
    let wrong = wrong.to_str().expect("a path");
    let refused = daemon.cli(["--api-key-file", wrong, "ls"]).await.expect_code(77);
    assert!(refused.stderr.contains("--api-key-file") && refused.stdout.is_empty(), "{refused:?}");
    daemon.cli(["--api-key-file", "/no/such/key", "ls"]).await.expect_code(74);
    daemon.cli(["ls"]).await.expect_code(0);
    let url = format!("http://{}", daemon.admin);
    run(&home, ["--url", &url, "ls"]).await.expect_code(77);
}

#[tokio::test]
async fn a_key_that_was_kept_from_another_address_is_named() {
    let home = Home::new();
    let daemon = home.start().await;
    let (url, state) = (format!("http://{}", daemon.admin), home.path("state"));
    // As after `serve --admin-listen`: nothing on record says that our own daemon is there.
    let mut command = program(&home.path("user"), ["--url", &url, "ls"]);
    command.env("STATE_DIRECTORY", &state);
    let kept = Output::of(command).await.expect_code(77);
    let advice = format!("--api-key-file {}", state.join("admin.key").display());
    assert!(kept.stderr.contains("goes to admin.listen only") && kept.stderr.contains(&advice), "{kept:?}");
    let key = state.join("admin.key");
    let key = key.to_str().expect("a path");
    run(&home, ["--url", &url, "--api-key-file", key, "ls"]).await.expect_code(0);
}

#[tokio::test]
async fn an_unknown_id_is_4() {
    let home = Home::new();
    let daemon = home.start().await;
    let output = daemon.cli(["show", "99999999"]).await.expect_code(4);
    assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    daemon.cli(["add", "nobody/x"]).await.expect_code(4);
}

#[tokio::test]
async fn add_ls_and_show_print_what_is_queued() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::hold_at(MIB / 2, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let empty = daemon.cli(["ls"]).await.expect_code(0);
    assert!(empty.stdout.is_empty() && !empty.stderr.is_empty(), "no rows are no result: {empty:?}");
    assert_eq!(daemon.cli(["ls", "--json"]).await.expect_code(0).json(), json!([]));

    let added = daemon.cli(["add", "bob/m"]).await.expect_code(0);
    let id = added.stdout.trim().to_owned();
    let number: u64 = id.parse().expect("an id alone on stdout");
    let aside =
        daemon.cli(["add", "http://127.0.0.1:9/aside.bin", "--paused", "--json"]).await.expect_code(0);
    assert_eq!((&aside.json()["state"], &aside.json()["filename"]), (&json!("paused"), &json!("aside.bin")));

    daemon.until(number, "was half there", |row| row["written"] == MIB / 2).await;
    let list = daemon.cli(["ls"]).await.expect_code(0).stdout;
    let line = list.lines().find(|line| line.contains("m.bin")).expect("its line");
    assert!(line.contains("downloading") && line.contains("50 %") && line.contains("1.00 MiB"), "{line}");
    let rows = daemon.cli(["ls", "--json"]).await.expect_code(0).json();
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
    let only = daemon.cli(["ls", "--json", "--state", "paused"]).await.expect_code(0).json();
    assert_eq!(only.as_array().map(Vec::len), Some(1));
    let of_bob = daemon.cli(["ls", "--json", "--peer", "bob"]).await.expect_code(0).json();
    assert_eq!(of_bob[0]["id"], number);
    let shown = daemon.cli(["show", &id, "--json"]).await.expect_code(0).json();
    assert_eq!((&shown["id"], &shown["total"]), (&json!(number), &json!(MIB)));
    let text = daemon.cli(["show", &id]).await.expect_code(0).stdout;
    assert!(text.lines().any(|line| line.starts_with("filename") && line.ends_with("m.bin")), "{text}");
    gate.release();
    daemon.until_state(number, "completed").await;
    let quiet = daemon.cli(["-q", "add", "http://127.0.0.1:9/other.bin", "--paused"]).await.expect_code(0);
    assert!(quiet.stderr.is_empty() && quiet.stdout.trim().parse::<u64>().is_ok(), "{quiet:?}");
}

#[tokio::test]
async fn ls_shows_more_rows_than_fit_a_page() {
    let home = Home::new();
    let daemon = home.start().await;
    // A page of the command line holds 500.
    let requests = (0..503)
        .map(|n| daemon.add_with(json!({ "url": format!("http://127.0.0.1:9/f{n}.bin"), "paused": true })));
    futures_util::future::join_all(requests).await;
    assert_eq!(daemon.cli(["ls", "--json"]).await.expect_code(0).json().as_array().map(Vec::len), Some(503));
}

#[tokio::test]
async fn add_wait_ends_when_the_file_is_there() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, MIB);
    offer(&peer, "n", 8, MIB);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let output = daemon.cli(["add", "bob/m", "--wait"]).await.expect_code(0);
    assert!(output.stdout.starts_with(home.completed("m.bin").to_str().expect("a path")), "{output:?}");
    assert_same_bytes(home.completed("m.bin"), 7, MIB);
    let output = daemon.cli(["add", "bob/n", "--wait", "--json"]).await.expect_code(0);
    assert_eq!(output.json()["state"], "completed");
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[tokio::test]
async fn add_wait_ends_with_the_code_of_what_went_wrong() {
    let peer = ScriptedPeer::start().await;
    let downloads = json!({ "max_attempts": 2, "max_size": "2MiB" });
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "downloads": downloads }));
    let daemon = home.start().await;
    for (item, answer, code) in [
        ("gone", Answer::status(404), 5),
        ("refused", Answer::status(401), 77),
        ("busy", Answer::status(503), 75),
        ("cut", Answer::truncate_at(0), 75),
        ("unsupported", Answer::status(501), 5),
    ] {
        let path = offer(&peer, item, 7, 1000);
        peer.always(&path, answer);
        let output = daemon.cli(["add", &format!("bob/{item}"), "--wait"]).await;
        assert_eq!(output.code, code, "{item}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.contains("peerd: "), "{item}: {output:?}");
    }
    offer(&peer, "large", 7, 3 * MIB);
    daemon.cli(["add", "bob/large", "--wait"]).await.expect_code(5);
    offer(&peer, "other", 7, 1000);
    daemon.cli(["add", "bob/other", "--wait", "--sha256", &"0".repeat(64)]).await.expect_code(65);
    peer.go_away().await;
    daemon.cli(["add", "bob/m", "--wait"]).await.expect_code(69);
}
