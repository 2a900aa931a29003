//! SIGKILL of either side, at any moment.

use std::fs;

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::home_of;
use crate::support::{Home, MIB, NameWatch, Relay, offer, seeded_file};

#[tokio::test]
async fn a_download_survives_a_kill_at_every_moment_and_asks_for_no_durable_byte_again() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 4 * MIB);
    let home = home_of(&peer).with(json!({ "downloads": { "checkpoint_bytes": "128KiB" } }));
    let names = NameWatch::on(home.path("completed"));
    // Bytes of the answer the peer has sent when the process dies; `None` is before the head.
    let moments = [None, Some(0), Some(1), Some(64 * 1024), Some(128 * 1024), Some(MIB), Some(2 * MIB)];
    let gates: Vec<_> = moments.iter().map(|_| Gate::closed()).collect();
    for (moment, gate) in moments.iter().zip(&gates) {
        let answer = moment.map_or_else(|| Answer::hold_head(gate), |bytes| Answer::hold_at(bytes, gate));
        peer.script(&path, [answer]);
    }
    let mut id = None;
    let mut promised = Vec::new();
    for (moment, gate) in moments.iter().zip(&gates) {
        let daemon = home.start().await;
        let id = match id {
            Some(id) => id,
            None => *id.insert(daemon.add("bob", "m").await),
        };
        gate.parked(1).await;
        // One of the kills in between comes when everything sent is on record; the others come at once.
        if *moment == Some(MIB) {
            let request = peer.requests(&path).pop().expect("a request");
            let from = request.asked().map_or(0, |(start, _)| start);
            daemon.until(id, "recorded what came", |row| row["durable"] == from + MIB).await;
        }
        promised.push(daemon.row(id).await["durable"].as_u64().expect("a number"));
        daemon.kill().await;
        assert_eq!(home.names("completed"), [] as [&str; 0], "killed at {moment:?}");
    }
    let daemon = home.start().await;
    let id = id.expect("a row");
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, 4 * MIB);
    names.assert_appeared_whole("m.bin");
    let asked = peer.requests(&path);
    assert_eq!(asked.len(), moments.len() + 1, "one request for each life: {asked:#?}");
    for (promised, request) in promised.iter().zip(&asked[1..]) {
        let start = request.asked().map_or(0, |(start, _)| start);
        assert!(start >= *promised, "{promised} bytes were durable, and byte {start} was asked again");
    }
    let row = daemon.row(id).await;
    assert_eq!(
        (&row["restarts"], &row["attempts"]),
        (&json!(0), &json!(0)),
        "a kill is no failure of the peer"
    );
}

#[tokio::test]
async fn after_a_kill_the_row_continues_at_exactly_its_durable_length() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 2 * MIB);
    let (first, second) = (Gate::closed(), Gate::closed());
    peer.script(&path, [Answer::hold_at(700_000, &first), Answer::hold_head(&second)]);
    let home = home_of(&peer);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until(id, "recorded what came", |row| row["durable"] == 700_000).await;
    daemon.kill().await;
    // What a crash leaves behind the record: bytes nobody vouches for.
    let part = home.part();
    let mut bytes = fs::read(&part).expect("a part");
    bytes.extend_from_slice(&[0xee; 5000]);
    fs::write(&part, bytes).expect("a longer part");

    let daemon = home.start().await;
    second.parked(1).await;
    let row = daemon.row(id).await;
    assert_eq!((&row["state"], &row["durable"]), (&json!("downloading"), &json!(700_000)));
    let request = &peer.requests(&path)[1];
    assert_eq!(request.asked(), Some((700_000, None)));
    assert_eq!(request.header("if-range"), Some("\"m-7\""));
    second.release();
    daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, 2 * MIB);
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill_at_once() {
    let home = Home::new().knowing("bob", "http://127.0.0.1:9/");
    let mut ids = Vec::new();
    for n in 0..3 {
        let daemon = home.start().await;
        let queued = daemon.add_with(json!({ "peer": "bob", "item": format!("i{n}"), "paused": true })).await;
        daemon.kill().await;
        ids.push(queued);
    }
    let daemon = home.start().await;
    for id in ids {
        assert_eq!(daemon.row(id).await["state"], "paused");
    }
}

#[tokio::test]
async fn rows_in_every_state_go_on_by_themselves_after_a_kill() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    for (n, answers) in [
        vec![Answer::hold_at(100_000, &gate)],
        vec![Answer::hold_head(&gate)],
        vec![Answer::status(503).header("Retry-After", "1")],
        vec![],
        vec![],
    ]
    .into_iter()
    .enumerate()
    {
        let path = offer(&peer, &format!("i{n}"), n as u64, MIB);
        peer.script(&path, answers);
    }
    let home = home_of(&peer).with(json!({
        "downloads": { "max_concurrent": 2 },
        "peers": { "bob": { "max_concurrent": 8 } },
    }));
    let daemon = home.start().await;
    let waiting = daemon.add("bob", "i2").await;
    daemon.until(waiting, "waited", |row| row["state"] == "waiting").await;
    let mut ids = vec![waiting];
    for item in ["i0", "i1", "i3"] {
        ids.push(daemon.add("bob", item).await);
    }
    let paused = daemon.add_with(json!({ "peer": "bob", "item": "i4", "paused": true })).await;
    gate.parked(2).await;
    assert_eq!(daemon.row(ids[3]).await["state"], "queued");
    daemon.kill().await;
    gate.release();

    let daemon = home.start().await;
    for id in ids {
        daemon.until_state(id, "completed").await;
    }
    for n in 0..4 {
        assert_same_bytes(home.completed(&format!("i{n}.bin")), n, MIB);
    }
    assert_eq!(daemon.row(paused).await["state"], "paused", "what was set aside stays aside");
    assert_eq!(peer.requests("/peer/items/i4/file").len(), 0);
}

#[tokio::test]
async fn a_kill_of_the_serving_side_is_waited_out() {
    let sharing = Home::sharing();
    seeded_file(sharing.shared("film.mkv"), 7, 6 * MIB);
    let relay = Relay::start().await;
    let patient = json!({ "downloads": { "max_attempts": 100_000, "retry_max": "100ms" } });
    let home = Home::new().knowing("bob", relay.base()).with(patient);
    let sharer = sharing.start().await;
    relay.lead_to(Some(sharer.peer));
    let daemon = home.start().await;
    let id = daemon.add("bob", &sharer.item("film.mkv").await).await;
    let mut sharer = Some(sharer);
    for more in [MIB, 2 * MIB] {
        relay.allow(more);
        relay.exhausted().await;
        sharer.take().expect("a sharer").kill().await;
        relay.lead_to(None);
        daemon.until(id, "noticed", |row| row["error"].is_object()).await;
        let again = sharing.start().await;
        relay.open();
        relay.lead_to(Some(again.peer));
        sharer = Some(again);
    }
    let row = daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("film.mkv"), 7, 6 * MIB);
    assert_eq!(row["restarts"], 0, "the file is the same one after the restart of its owner");
}
