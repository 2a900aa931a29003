//! A map of a download: what is held, on its way, and waited for.

use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::{Value, json};

use crate::support::{DOWNLOADS, Daemon, Home, MIB, eventually, offer};

const KIB: u64 = 1 << 10;
const LONG: u64 = 8 * MIB;

async fn ranges(daemon: &Daemon, id: u64) -> Value {
    let answer = daemon.get(&format!("{DOWNLOADS}/{id}/ranges")).await;
    assert_eq!(answer.status, 200, "{answer:?}; {}", daemon.log.tail());
    answer.json()
}

/// Waits until one of the lists is as expected, and returns the whole map.
async fn until(daemon: &Daemon, id: u64, list: &str, expected: Value) -> Value {
    let mut last = Value::Null;
    let found = eventually(async || {
        last = ranges(daemon, id).await;
        (last[list] == expected).then(|| last.clone())
    });
    match found.await {
        Some(map) => map,
        None => panic!("{list} never came to {expected}: {last}; {}", daemon.log.tail()),
    }
}

fn map(total: u64, held: &Value) -> Value {
    json!({ "total": total, "held": held, "arriving": [], "wanted": [] })
}

#[tokio::test]
async fn a_transfer_is_shown_as_it_goes_and_a_row_at_rest_as_it_is_on_record() {
    let peer = ScriptedPeer::start().await;
    let (first, second) = (Gate::closed(), Gate::closed());
    let path = offer(&peer, "m", 7, LONG);
    peer.script(&path, [Answer::hold_at(256 * KIB, &first), Answer::hold_at(64 * KIB, &second)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let begun = until(&daemon, id, "held", json!([[0, 256 * KIB]])).await;
    assert_eq!((&begun["total"], &begun["wanted"]), (&json!(LONG), &json!([])));
    assert_eq!(begun["arriving"], json!([[256 * KIB, LONG]]));
    let shown = daemon.cli(["show", &id.to_string()]).await.expect_code(0).stdout;
    assert!(shown.contains(&format!("\nmap            #+{}\n", ">".repeat(58))), "{shown}");

    // Somebody reads further on: that is fetched first, and shows.
    let (from, to) = (6 * MIB, 7 * MIB);
    let reading = daemon.request(reqwest::Method::GET, &format!("{DOWNLOADS}/{id}/content"));
    let reading = reading.header("range", format!("bytes={from}-{}", to - 1));
    let mut reading = reading.send().await.expect("an answer");
    assert!(reading.chunk().await.expect("a body").is_some());
    let there = from + 64 * KIB;
    let held = json!([[0, 256 * KIB], [from, there]]);
    let sought = until(&daemon, id, "held", held.clone()).await;
    assert_eq!(sought["wanted"], json!([[there, to]]), "as far as that response goes");
    let arriving = sought["arriving"][0].as_array().expect("a span");
    assert_eq!(arriving[0], there, "{sought}");
    drop(reading);

    daemon.obeyed(id, "pause").await;
    assert_eq!(until(&daemon, id, "arriving", json!([])).await, map(LONG, &held));
    first.release();
    second.release();
    daemon.obeyed(id, "resume").await;
    daemon.until_state(id, "completed").await;
    assert_eq!(ranges(&daemon, id).await, map(LONG, &json!([[0, LONG]])));
    let target = daemon.row(id).await["target"].as_str().expect("a path").to_owned();
    std::fs::remove_file(target).expect("the file is there");
    assert_eq!(ranges(&daemon, id).await, map(LONG, &json!([])), "nothing is claimed that is not there");
}

#[tokio::test]
async fn a_row_nobody_has_begun_and_one_that_was_given_up_hold_nothing() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, MIB);
    peer.script(&path, [Answer::hold_at(256 * KIB, &gate)]);
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    let aside = daemon.add_with(json!({ "url": "http://127.0.0.1:9/x", "paused": true })).await;
    let nothing = json!({ "total": null, "held": [], "arriving": [], "wanted": [] });
    assert_eq!(ranges(&daemon, aside).await, nothing);
    let id = daemon.add("bob", "m").await;
    until(&daemon, id, "held", json!([[0, 256 * KIB]])).await;
    daemon.obeyed(id, "cancel").await;
    assert_eq!(ranges(&daemon, id).await, map(MIB, &json!([])));
    let answer = daemon.get(&format!("{DOWNLOADS}/999/ranges")).await;
    assert_eq!((answer.status, answer.problem().as_str()), (404, "download-unknown"));
    gate.release();
}
