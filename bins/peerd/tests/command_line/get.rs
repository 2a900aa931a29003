//! `peerd get`: one download, resumable, without a daemon.

use std::fs;

use scripted_peer::{Answer, Gate, Representation, assert_same_bytes, seeded_bytes};
use serde_json::{Value, json};

use super::{get, peer_with_file, run};
use crate::support::{Home, KEY, MIB, eventually, program, seeded_file};

#[tokio::test]
async fn get_brings_a_file_and_leaves_nothing_else() {
    let (peer, url) = peer_with_file().await;
    let home = Home::new();
    let output = get(&home, &url, &[]).await.expect_code(0);
    assert!(output.stdout.starts_with(home.path("out.bin").to_str().expect("a path")), "{output:?}");
    assert_same_bytes(home.path("out.bin"), 7, MIB);
    assert_eq!(home.names("."), ["out.bin", "shared", "user"], "no part and no record is left");
    let named = run(&home, ["-q", "get", &url]).await.expect_code(0);
    assert!(named.stdout.is_empty() && named.stderr.is_empty(), "{named:?}");
    assert_same_bytes(home.path("user/m.bin"), 7, MIB);
    peer.serve("/", Representation::seeded(7, 10));
    run(&home, ["get", &peer.url("/")]).await.expect_code(2);
}

#[tokio::test]
async fn get_continues_with_the_same_command() {
    let (peer, url) = peer_with_file().await;
    peer.script("/m.bin", [Answer::truncate_at(300_000), Answer::status(503)]);
    let home = Home::new();
    let output = get(&home, &url, &["--connections", "1", "--max-attempts", "2"]).await.expect_code(75);
    assert!(output.stderr.contains("same command"), "it says how to go on: {output:?}");
    let names = home.names(".");
    assert!(!names.contains(&"out.bin".to_owned()), "{names:?}");
    assert!(["out.bin.part", "out.bin.part.ledger"].iter().all(|name| names.contains(&(*name).to_owned())));
    assert_eq!(fs::read(home.path("out.bin.part")).expect("a part"), seeded_bytes(7, 0..300_000));
    get(&home, &url, &["--connections", "1"]).await.expect_code(0);
    assert_same_bytes(home.path("out.bin"), 7, MIB);
    let last = peer.requests("/m.bin").pop().expect("a request");
    assert_eq!(last.asked().map(|(start, _)| start), Some(300_000));
    assert_eq!(home.names("."), ["out.bin", "shared", "user"]);
}

#[tokio::test]
async fn get_takes_over_a_part_without_a_record_only_with_a_proof() {
    let (peer, url) = peer_with_file().await;
    let digest = blake3::hash(&seeded_bytes(7, 0..MIB)).to_hex().to_string();
    let size = MIB.to_string();
    for (more, adopted) in [
        (&[][..], false),
        (&["--expect-size", &size], false),
        (&["--etag", "\"m\""], false),
        (&["--etag", "\"m\"", "--expect-size", &size], true),
        (&["--blake3", &digest], true),
    ] {
        let home = Home::new();
        seeded_file(home.path("out.bin.part"), 7, 400_000);
        let before = peer.requests("/m.bin").len();
        let output = get(&home, &url, &[more, &["--connections", "1"]].concat()).await.expect_code(0);
        assert_same_bytes(home.path("out.bin"), 7, MIB);
        let first = &peer.requests("/m.bin")[before];
        assert_eq!(first.asked().is_some_and(|(start, _)| start > 0), adopted, "{more:?}: {first:?}");
        assert_eq!(output.stderr.contains("starting over"), !adopted, "it says so: {more:?}: {output:?}");
    }
}

#[tokio::test]
async fn get_leaves_an_existing_file_alone_unless_told_otherwise() {
    let (peer, url) = peer_with_file().await;
    let home = Home::new();
    fs::write(home.path("out.bin"), "precious").expect("a file");
    get(&home, &url, &[]).await.expect_code(1);
    assert_eq!(fs::read(home.path("out.bin")).expect("the file"), b"precious");
    assert_eq!(peer.requests("/m.bin").len(), 0);
    get(&home, &url, &["--overwrite"]).await.expect_code(0);
    assert_same_bytes(home.path("out.bin"), 7, MIB);
}

#[tokio::test]
async fn get_ends_with_the_code_of_what_went_wrong() {
    let (peer, url) = peer_with_file().await;
    let home = Home::new();
    let zeros = "0".repeat(64);
    for (answer, more, code) in [
        (Answer::status(404), &[][..], 5),
        (Answer::status(410), &[], 5),
        (Answer::status(401), &[], 77),
        (Answer::status(403), &[], 77),
        (Answer::status(407), &[], 77),
        (Answer::status(503), &["--max-attempts", "2"], 75),
        (Answer::status(429).header("Retry-After", "9999"), &[], 75),
        (Answer::close_before_head(), &["--max-attempts", "2"], 75),
        (Answer::honest(), &["--max-size", "1KiB"], 5),
        (Answer::honest(), &["--expect-size", "5"], 65),
        (Answer::honest(), &["--sha256", &zeros], 65),
        (Answer::honest(), &["--blake3", &zeros], 65),
    ] {
        peer.always("/m.bin", answer.clone());
        let output = get(&home, &url, more).await;
        assert_eq!(output.code, code, "{answer:?} {more:?}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.contains("peerd: "), "{output:?}");
        assert!(!home.path("out.bin").exists(), "{answer:?} {more:?}");
    }
    peer.go_away().await;
    get(&home, &url, &["--max-attempts", "2"]).await.expect_code(69);
    // No label of a name has more than 63 octets (RFC 1035 §2.3.4): no resolver has to be asked.
    let nobody = format!("http://{}.example/m.bin", "a".repeat(64));
    let output = get(&home, &nobody, &[]).await.expect_code(69);
    assert!(output.stderr.contains("no host has the peer's name"), "{output:?}");
    let unwritable = run(&home, ["get", &url, "-o", "/proc/no/such/place"]).await;
    assert_eq!(unwritable.code, 74, "{unwritable:?}");
}

#[tokio::test]
async fn get_sends_the_key_and_the_headers_it_is_given() {
    let (peer, url) = peer_with_file().await;
    let home = Home::new();
    let key = home.path("key");
    fs::write(&key, format!("{KEY}\n")).expect("a file");
    let key = key.to_str().expect("a path");
    get(&home, &url, &["--api-key-file", key, "-H", "X-Colour: red"]).await.expect_code(0);
    let request = &peer.requests("/m.bin")[0];
    assert_eq!((request.header("x-api-key"), request.header("x-colour")), (Some(KEY), Some("red")));
    get(&home, &url, &["--overwrite", "--api-key-file", "/no/such/key"]).await.expect_code(74);
}

#[tokio::test]
async fn get_json_is_one_event_a_line_and_the_last_says_how_it_ended() {
    let (peer, url) = peer_with_file().await;
    peer.script("/m.bin", [Answer::truncate_at(300_000)]);
    let home = Home::new();
    let output = get(&home, &url, &["--json"]).await.expect_code(0);
    let events = output.json_lines();
    let named = |name: &str| events.iter().filter(|event| event["event"] == name).collect::<Vec<_>>();
    assert_eq!(named("download.started")[0]["total"], MIB);
    let retrying = named("download.retrying")[0];
    assert_eq!((&retrying["attempt"], &retrying["source"]), (&json!(1), &json!("backoff")));
    let progress = named("download.progress");
    let written = |event: &&Value| event["written"].as_u64().expect("a number");
    assert!(progress.iter().map(written).is_sorted(), "progress goes one way: {progress:#?}");
    assert_eq!(progress.last().map(written), Some(MIB));
    let last = events.last().expect("an event");
    assert_eq!((&last["event"], &last["total"]), (&json!("download.completed"), &json!(MIB)));
    assert!(output.stderr.is_empty(), "{output:?}");

    peer.always("/m.bin", Answer::status(404));
    let output = get(&home, &url, &["--json", "--overwrite"]).await.expect_code(5);
    let events = output.json_lines();
    let last = events.last().expect("an event");
    assert_eq!((&last["event"], &last["error"]["kind"]), (&json!("download.failed"), &json!("not-found")));
    assert_eq!((&last["retryable"], &last["exit"]), (&json!(false), &json!(5)));
}

#[tokio::test]
async fn an_interrupted_get_keeps_what_it_has_and_ends_with_130_or_143() {
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let (peer, url) = peer_with_file().await;
        let gate = Gate::closed();
        peer.script("/m.bin", [Answer::hold_at(400_000, &gate)]);
        let home = Home::new();
        let mut command = program(&home.path("user"), ["get", &url, "--connections", "1", "-q", "-o"]);
        command.arg(home.path("out.bin"));
        let mut running = command.stderr(std::process::Stdio::null()).spawn().expect("a process");
        gate.parked(1).await;
        let arrived = eventually(async || {
            let part = home.path("out.bin.part").metadata().ok()?;
            (part.len() == 400_000).then_some(())
        });
        arrived.await.expect("what was sent reaches the disk");
        let pid = running.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)).expect("a process id");
        kill_process(pid, signal).expect("a process to signal");
        let status = running.wait().await.expect("an exit status");
        assert_eq!(status.code(), Some(code));
        get(&home, &url, &["--connections", "1"]).await.expect_code(0);
        assert_eq!(peer.requests("/m.bin")[1].asked().map(|(start, _)| start), Some(400_000));
        assert_same_bytes(home.path("out.bin"), 7, MIB);
    }
}
