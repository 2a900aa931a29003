//! watch.

use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use crate::support::{Home, offer, program};

#[tokio::test]
async fn watching_ends_when_what_was_asked_for_is_over() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, 100_000);
    peer.script(&path, [Answer::hold_at(50_000, &gate)]);
    let gone = offer(&peer, "gone", 8, 100);
    peer.always(&gone, Answer::status(404));
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await.to_string();
    gate.parked(1).await;
    let opened = async {
        let begun = daemon.get("/metrics").await.status;
        assert_eq!(begun, 200);
        gate.release();
    };
    let (output, ()) = tokio::join!(daemon.cli(["watch", &id]), opened);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stdout.starts_with(home.completed("m.bin").to_str().expect("a path")), "{output:?}");

    let again = daemon.cli(["watch", &id]).await.expect_code(0);
    assert_eq!(again.stdout, output.stdout, "one that is over already is told at once");
    let failed = daemon.add("bob", "gone").await.to_string();
    let output = daemon.cli(["watch", &failed]).await.expect_code(5);
    assert!(output.stdout.is_empty() && output.stderr.contains("404"), "{output:?}");
    daemon.cli(["watch", &failed, &id]).await.expect_code(3);
    daemon.cli(["watch", "77"]).await.expect_code(4);
}

#[tokio::test]
async fn events_are_printed_as_flat_objects_one_a_line() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add_with(json!({ "peer": "bob", "item": "m", "paused": true })).await;
    let text = id.to_string();
    let resume = async {
        daemon.until_metric("peerd_downloads{state=\"paused\"}", 1.0).await;
        daemon.obeyed(id, "resume").await;
    };
    let (output, ()) = tokio::join!(daemon.cli(["watch", "--json", &text]), resume);
    assert_eq!(output.code, 0, "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    let lines = output.json_lines();
    assert_eq!(lines[0]["event"], "snapshot");
    let ids: Vec<_> = lines.iter().map(|line| line["id"].as_u64().expect("a number")).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    // The order may have been carried out before the command began to follow.
    if lines.len() > 1 {
        let last = lines.last().expect("a line");
        assert_eq!((&last["event"], &last["download_id"]), (&json!("download.completed"), &json!(id)));
    }
}

#[tokio::test]
async fn an_interrupted_watch_stops_nothing() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, 1000);
    peer.script(&path, [Answer::hold_at(100, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    gate.parked(1).await;
    let mut command = program(&home.path("user"), ["watch", "--json"]);
    command.env("PEERD_URL", format!("http://{}", daemon.admin));
    command.env("PEERD_API_KEY_FILE", home.state().join("admin.key"));
    command.env("PEERD_API_KEY_FILE", home.state().join("admin.key"));
    let mut watching = command.stdout(std::process::Stdio::piped()).spawn().expect("a process");
    let mut lines = {
        use tokio::io::{AsyncBufReadExt, BufReader};
        BufReader::new(watching.stdout.take().expect("a pipe")).lines()
    };
    let first = lines.next_line().await.expect("output").expect("a line");
    assert!(first.contains("\"event\":\"snapshot\""), "{first}");
    let pid = i32::try_from(watching.id().expect("a process")).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("an id"), rustix::process::Signal::INT).expect("a signal");
    assert_eq!(watching.wait().await.expect("an end").code(), Some(130));
    gate.release();
    daemon.until_state(id, "completed").await;
}
