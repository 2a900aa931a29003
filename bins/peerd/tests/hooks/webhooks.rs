//! An address: what it is sent, how that is signed, and when it is told again.

use std::sync::Arc;

use hmac::{Hmac, Mac};
use serde_json::json;
use tokio::sync::Notify;

use crate::hooked;
use crate::support::{Receiver, Reply};

#[tokio::test]
async fn an_address_is_sent_the_event_signed_with_the_secret() {
    let receiver = Receiver::willing().await;
    let hook = json!({ "url": receiver.url("/hook?token=t0k3n"), "secret": "s3cret" });
    let (_peer, home) = hooked(hook).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    let call = receiver.until_calls(1).await.remove(0);
    assert_eq!(
        (call.method.as_str(), call.path.as_str(), call.query.as_str()),
        ("POST", "/hook", "token=t0k3n")
    );
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("x-peerd-event"), Some("download.completed"));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap();
    mac.update(&call.body);
    let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(call.header("x-peerd-signature"), Some(expected.as_str()));
    let told = call.json();
    assert_eq!(
        (&told["event"], &told["download_id"]),
        (&json!("download.completed"), &json!(id)),
        "{told:#}"
    );
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"delivered\"}", 1.0).await;
    let text = daemon.log.text();
    assert!(!text.contains("s3cret") && !text.contains("t0k3n"), "no log holds a secret");
}

#[tokio::test]
async fn without_a_secret_nothing_is_signed() {
    let receiver = Receiver::willing().await;
    let (_peer, home) = hooked(json!({ "url": receiver.url("/"), "secret": "" })).await;
    let daemon = home.start().await;
    daemon.add("bob", "m").await;
    assert_eq!(receiver.until_calls(1).await[0].header("x-peerd-signature"), None);
}

#[tokio::test]
async fn an_address_is_told_again_while_that_may_help_and_with_the_same_words() {
    let receiver = Receiver::willing().await;
    let replies = [Reply::status(500), Reply::nothing(), Reply::status(503), Reply::status(429)];
    receiver.script(replies);
    let (_peer, home) = hooked(json!({ "url": receiver.url("/"), "secret": "s" })).await;
    let daemon = home.start().await;
    daemon.add("bob", "m").await;
    let calls = receiver.until_calls(5).await;
    assert!(calls.iter().all(|call| call.body == calls[0].body), "{calls:#?}");
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"delivered\"}", 1.0).await;
    assert_eq!(
        daemon.metric("peerd_hook_deliveries_total{hook=\"test\",result=\"retried\"}").await,
        Some(4.0)
    );
}

#[tokio::test]
async fn an_address_that_refuses_or_sends_us_elsewhere_is_not_told_again() {
    let elsewhere = Receiver::willing().await;
    for status in [400, 404, 307] {
        let receiver = Receiver::willing().await;
        receiver.script([Reply::status(status).header("location", elsewhere.url("/"))]);
        let (_peer, home) = hooked(json!({ "url": receiver.url("/"), "secret": "s" })).await;
        let daemon = home.start().await;
        daemon.add("bob", "m").await;
        daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"failed\"}", 1.0).await;
        assert_eq!(receiver.calls().len(), 1, "{status}");
    }
    assert_eq!(elsewhere.calls().len(), 0);
}

#[tokio::test]
async fn an_address_that_never_answers_is_given_up_at_last() {
    let receiver = Receiver::willing().await;
    let never = Arc::new(Notify::new());
    receiver.script((0..20).map(|_| Reply::nothing().held(&never)));
    let (_peer, home) = hooked(json!({ "url": receiver.url("/"), "timeout": "50ms" })).await;
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    daemon.until_metric("peerd_hook_deliveries_total{hook=\"test\",result=\"failed\"}", 1.0).await;
    assert_eq!(receiver.calls().len(), 10);
}
