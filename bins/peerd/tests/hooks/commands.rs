//! A program: what it is told, what it may do, and what becomes of one that does too much.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Home, Log, eventually};
use crate::{hooked, script, written};

/// The same home with the script as its hook.
fn running(home: Home, text: &str, mut hook: Value) -> Home {
    let path = script(&home, text);
    hook["command"] = json!([path, "an argument", "$HOME; *"]);
    let mut hooks = json!({ "hooks": {} });
    hooks["hooks"]["test"] = hook;
    home.with(hooks)
}

async fn said(log: &Log, message: &'static str) -> Value {
    log.wait_for(message, |line| (line["message"] == message).then(|| line.clone())).await
}

#[tokio::test]
async fn a_program_is_told_by_its_environment_and_on_stdin() {
    let (_peer, home) = hooked(json!({})).await;
    let text = "for a in \"$@\"; do echo \"$a\" >> $out/argv; done\n/usr/bin/env | /usr/bin/sort > $out/env\n\
                cat > $out/stdin.new\nmv $out/stdin.new $out/stdin";
    let home = running(home, text, json!({}));
    let mut command = home.serve();
    command.env("PEERD_SECRET_OF_THE_DAEMON", "x").env("PATH", "/usr/bin:/bin");
    let daemon = crate::support::Daemon::start(&home, command).await;
    let id = daemon.add("bob", "m").await;
    let stdin = written(&home, "stdin").await;
    assert_eq!(stdin.lines().count(), 1, "{stdin}");
    let told: Value = serde_json::from_str(&stdin).expect("JSON");
    let path = home.completed("m.bin");
    assert_eq!(
        (&told["event"], &told["download_id"], &told["path"], &told["total"]),
        (&json!("download.completed"), &json!(id), &json!(path), &json!(1000)),
        "{told:#}"
    );
    assert!(told["id"].is_u64() && told["at"].is_string(), "{told:#}");
    let env = fs::read_to_string(home.path("out/env")).unwrap();
    // What a shell adds by itself does not count.
    let env: Vec<_> = env
        .lines()
        .filter(|line| !["PWD=", "_=", "SHLVL=", "OLDPWD="].iter().any(|own| line.starts_with(own)))
        .collect();
    let expected = [
        format!("HOME={}", home.path("user").display()),
        "PATH=/usr/bin:/bin".to_owned(),
        "PEERD_EVENT=download.completed".to_owned(),
        format!("PEERD_ID={id}"),
        format!("PEERD_PATH={}", path.display()),
    ];
    assert_eq!(env, expected);
    assert_eq!(
        fs::read_to_string(home.path("out/argv")).unwrap(),
        "an argument\n$HOME; *\n",
        "no shell in between"
    );
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"delivered\"}", 1.0).await;
}

#[tokio::test]
async fn only_the_events_that_were_asked_for_are_told() {
    let (peer, home) = hooked(json!({})).await;
    let events = json!({ "events": ["download.failed", "download.created", "download.deleted"] });
    let home = running(home, "echo \"$PEERD_EVENT $PEERD_ID $PEERD_PATH\" >> $out/log", events);
    peer.script("/peer/items/m/file", [scripted_peer::Answer::status(404)]);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "failed").await;
    assert_eq!(daemon.delete(id, "").await.status, 204);
    let three = eventually(async || {
        let log = fs::read_to_string(home.path("out/log")).unwrap_or_default();
        (log.lines().count() == 3).then_some(log)
    });
    let expected = format!("download.created {id} \ndownload.failed {id} \ndownload.deleted {id} \n");
    assert_eq!(three.await.expect("three lines"), expected, "in their order");
}

#[tokio::test]
async fn a_program_that_takes_too_long_is_killed_with_all_it_started() {
    let (_peer, home) = hooked(json!({})).await;
    let text = "/bin/sleep 1000 &\necho $! > $out/child\n/bin/sleep 1000";
    let home = running(home, text, json!({ "timeout": "300ms" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    said(&daemon.log, "the hook's program took too long; killed").await;
    let child: u32 = written(&home, "child").await.trim().parse().expect("a process id");
    let gone = eventually(async || {
        let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    });
    assert_eq!(gone.await, Some(()), "its child still runs");
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"failed\"}", 1.0).await;
}

#[tokio::test]
async fn what_a_program_says_stands_in_the_log_in_bounded_length() {
    let (_peer, home) = hooked(json!({})).await;
    // More than any pipe holds: a program is never held up by saying too much.
    let text = "echo first\n/usr/bin/yes | /usr/bin/head -c 3000000\necho last >&2\nexit 3";
    let home = running(home, text, json!({}));
    let daemon = home.start().await;
    daemon.add("bob", "m").await;
    let line = said(&daemon.log, "the hook's program failed").await;
    let output = line["output"].as_str().expect("its output");
    assert!(output.starts_with("first\n") && output.ends_with("last"), "{output}");
    assert!(output.len() < 10_000, "{}", output.len());
    assert!(line["status"].as_str().expect("a status").contains('3'), "{line}");
}

#[tokio::test]
async fn a_program_that_does_not_read_closes_its_output_or_does_not_exist_harms_nobody() {
    let (_peer, home) = hooked(json!({})).await;
    let home = running(home, "exec 0<&- 1>&- 2>&-\necho \"$PEERD_EVENT\" > $out/done", json!({}));
    let home = home.with(json!({ "hooks": {
        "missing": { "command": ["/nowhere/to/be/found"] },
        "background": { "command": ["/bin/sh", "-c", "/bin/sleep 3 & echo started"] },
    } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    written(&home, "done").await;
    said(&daemon.log, "the hook's program cannot be started").await;
    // One that leaves something running behind it is done all the same.
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"background\",result=\"delivered\"}", 1.0).await;
}

#[tokio::test]
async fn a_hook_that_hangs_delays_neither_downloads_nor_the_end_of_the_daemon() {
    let (peer, home) = hooked(json!({})).await;
    crate::support::offer(&peer, "n", 8, 1000);
    let home = running(home, "echo $$ > $out/pid\nexec /bin/sleep 1000", json!({ "timeout": "1h" }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    let pid: u32 = written(&home, "pid").await.trim().parse().expect("a process id");
    let next = daemon.add("bob", "n").await;
    daemon.until_state(next, "completed").await;
    let stopped = tokio::time::timeout(Duration::from_secs(15), daemon.terminate()).await;
    assert!(stopped.expect("an end within the grace period").0.success());
    let gone = eventually(async || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        (status.is_empty() || status.contains("State:\tZ")).then_some(())
    });
    assert_eq!(gone.await, Some(()), "it outlived the daemon");
}
