//! SIGTERM: an end in good order.

use scripted_peer::{Answer, Gate, ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::home_of;
use crate::support::{Home, KEY, MIB, durable_on_record, offer, seeded_file};

#[tokio::test]
async fn sigterm_makes_everything_received_durable_and_ends_with_0() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, 2 * MIB);
    let gate = Gate::closed();
    peer.script(&path, [Answer::hold_at(900_001, &gate)]);
    // No checkpoint comes by itself: what is durable afterwards, the drain made so.
    let rare = json!({ "downloads": { "checkpoint_bytes": "1GiB", "checkpoint_interval": "1h" } });
    let home = home_of(&peer).with(rare);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let row = daemon.until(id, "received what came", |row| row["written"] == 900_001).await;
    assert_eq!(row["durable"], 0);
    let (status, log) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", log.tail());
    assert_eq!(durable_on_record(&home, id).await, 900_001);
    assert_eq!(home.part().metadata().expect("a part").len(), 900_001);

    let daemon = home.start().await;
    let row = daemon.until_state(id, "completed").await;
    assert_same_bytes(home.completed("m.bin"), 7, 2 * MIB);
    assert_eq!(peer.requests(&path)[1].asked(), Some((900_001, None)), "not a byte again");
    assert_eq!(row["attempts"], 0, "a clean stop is no failure");
}

#[tokio::test]
async fn sigterm_does_not_wait_for_a_reader_longer_than_the_grace() {
    let home = Home::sharing().with(json!({ "server": { "shutdown_grace": "100ms" } }));
    seeded_file(home.shared("big.bin"), 1, 64 * MIB);
    let daemon = home.start().await;
    let item = daemon.item("big.bin").await;
    // A reader that takes the head and then nothing.
    let url = format!("http://{}/peer/items/{item}/file", daemon.peer);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let stalled = client.get(url).header("x-api-key", KEY).send().await.expect("a head");
    let (status, log) = daemon.terminate().await;
    assert_eq!(status.code(), Some(0), "{}", log.tail());
    drop(stalled);
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_file_gets_the_rest_of_it() {
    let home = Home::sharing();
    seeded_file(home.shared("big.bin"), 1, 32 * MIB);
    let daemon = home.start().await;
    let item = daemon.item("big.bin").await;
    let url = format!("http://{}/peer/items/{item}/file", daemon.peer);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let reader = client.get(url).header("x-api-key", KEY).send().await.expect("a head");
    let log = daemon.log.clone();
    let read = async {
        log.wait_for("that it stops", |event| {
            event["message"].as_str()?.starts_with("stopping").then_some(())
        })
        .await;
        reader.bytes().await.expect("a whole body").len() as u64
    };
    let ((status, log), length) = tokio::join!(daemon.terminate(), read);
    assert_eq!(length, 32 * MIB);
    assert_eq!(status.code(), Some(0), "{}", log.tail());
}

#[tokio::test]
async fn whoever_asks_twice_does_not_wait_for_the_grace() {
    use rustix::process::Signal;
    let home = Home::sharing().with(json!({ "server": { "shutdown_grace": "1h" } }));
    seeded_file(home.shared("big.bin"), 1, 64 * MIB);
    let daemon = home.start().await;
    let item = daemon.item("big.bin").await;
    let url = format!("http://{}/peer/items/{item}/file", daemon.peer);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let stalled = client.get(url).header("x-api-key", KEY).send().await.expect("a head");
    daemon.signal(Signal::TERM);
    let stopping =
        |event: &serde_json::Value| event["message"].as_str()?.starts_with("stopping").then_some(());
    daemon.log.wait_for("that it stops", stopping).await;
    let (status, log) = daemon.terminate().await;
    assert_eq!(status.code(), Some(143), "{}", log.tail());
    drop(stalled);
}
