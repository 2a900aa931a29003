//! At least once: how something ended is told, whatever happens to the daemon in between.

use std::sync::Arc;

use serde_json::json;
use tokio::sync::Notify;

use crate::hooked;
use crate::support::{Call, Receiver, Reply, offer};

#[tokio::test]
async fn what_was_not_delivered_before_a_kill_is_told_by_the_next_process() {
    let receiver = Receiver::willing().await;
    let never = Arc::new(Notify::new());
    receiver.script([Reply::nothing().held(&never)]);
    let hook = json!({ "url": receiver.url("/"), "timeout": "1h" });
    let (peer, home) = hooked(hook).await;
    offer(&peer, "gone", 9, 1000);
    peer.script("/peer/items/gone/file", [scripted_peer::Answer::status(404)]);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    let failed = daemon.add("bob", "gone").await;
    daemon.until_state(failed, "failed").await;
    receiver.until_calls(1).await;
    daemon.kill().await;
    let daemon = home.start().await;
    let calls = receiver.until_calls(3).await;
    let (done, gone) = (calls[1].json(), calls[2].json());
    assert_eq!(
        (&done["event"], &done["download_id"], &done["path"], &done["replayed"]),
        (&json!("download.completed"), &json!(id), &json!(home.completed("m.bin")), &json!(true)),
        "{done:#}"
    );
    assert_eq!(
        (&gone["event"], &gone["download_id"]),
        (&json!("download.failed"), &json!(failed)),
        "{gone:#}"
    );
    assert_eq!(gone["error"]["kind"], daemon.row(failed).await["error"]["kind"]);
}

#[tokio::test]
async fn what_was_delivered_is_not_told_again_after_a_stop_in_good_order() {
    let receiver = Receiver::willing().await;
    let (peer, home) = hooked(json!({ "url": receiver.url("/") })).await;
    offer(&peer, "n", 8, 1000);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"delivered\"}", 1.0).await;
    daemon.terminate().await;
    let daemon = home.start().await;
    let next = daemon.add("bob", "n").await;
    daemon.until_state(next, "completed").await;
    let calls = receiver.until_calls(2).await;
    let told: Vec<_> = calls.iter().map(|call: &Call| call.json()["download_id"].clone()).collect();
    assert_eq!(told, [json!(id), json!(next)]);
}

#[tokio::test]
async fn a_new_hook_hears_only_what_is_new() {
    let receiver = Receiver::willing().await;
    let (peer, home) = hooked(json!({ "command": ["/bin/true"] })).await;
    offer(&peer, "n", 8, 1000);
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    daemon.kill().await;
    let home = home.with(json!({ "hooks": { "new": { "url": receiver.url("/") } } }));
    let daemon = home.start().await;
    let next = daemon.add("bob", "n").await;
    daemon.until_state(next, "completed").await;
    assert_eq!(receiver.until_calls(1).await[0].json()["download_id"], next);
}
