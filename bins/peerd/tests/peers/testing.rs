//! `peer test`: what stands in the way, and what to do about it.

use scripted_peer::{Answer as Scripted, Representation, ScriptedPeer};
use serde_json::{Value, json};

use crate::support::{Daemon, Home, seeded_file};

async fn knowing(url: &str) -> (Home, Daemon) {
    let home = Home::new().knowing("bob", url);
    let daemon = home.start().await;
    (home, daemon)
}

async fn tested(daemon: &Daemon) -> Value {
    let answer = daemon.post("/api/v1/peers/bob/test", &json!({})).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()
}

fn outcome<'a>(tested: &'a Value, check: &str) -> &'a str {
    let checks = tested["checks"].as_array().expect("checks");
    let found = checks.iter().find(|found| found["check"] == check);
    found.map_or("", |check| check["outcome"].as_str().expect("an outcome"))
}

#[tokio::test]
async fn a_sound_peer_passes_every_check() {
    let sharing = Home::sharing();
    seeded_file(sharing.shared("a.bin"), 1, 1000);
    let sharer = sharing.start().await;
    sharer.item("a.bin").await;
    let (_home, daemon) = knowing(&sharer.base()).await;
    let tested = tested(&daemon).await;
    assert_eq!((&tested["ok"], &tested["system"]), (&json!(true), &json!("peerd")), "{tested:#}");
    for check in ["reach", "clock", "key", "items", "ranges"] {
        assert_eq!(outcome(&tested, check), "ok", "{check}: {tested:#}");
    }
    let printed = daemon.cli(["peer", "test", "bob"]).await.expect_code(0).stdout;
    assert!(printed.contains("peerd ") && printed.contains("ranges"), "{printed}");
    daemon.cli(["peer", "test", "nobody"]).await.expect_code(4);
}

#[tokio::test]
async fn what_is_wrong_comes_with_a_remedy_and_a_code() {
    let sharing = Home::sharing().with(json!({ "keys": { "friend": { "secret": "another-key" } } }));
    let sharer = sharing.start().await;
    let (_home, daemon) = knowing(&sharer.base()).await;
    let refused = tested(&daemon).await;
    assert_eq!((outcome(&refused, "reach"), outcome(&refused, "key")), ("ok", "failed"), "{refused:#}");
    assert_eq!(refused["ok"], false);
    let printed = daemon.cli(["peer", "test", "bob"]).await.expect_code(77).stdout;
    assert!(printed.contains("peerd peer add bob"), "{printed}");
    sharer.terminate().await;
    let away = tested(&daemon).await;
    assert_eq!(outcome(&away, "reach"), "failed", "{away:#}");
    let printed = daemon.cli(["peer", "test", "bob"]).await.expect_code(69).stdout;
    assert!(printed.contains("server.listen"), "{printed}");
}

#[tokio::test]
async fn a_peer_of_the_original_system_works_with_warnings() {
    let bob = ScriptedPeer::start().await;
    bob.serve("/ping", Representation::bytes(r#"{"status":"OK"}"#));
    bob.always("/ping", Scripted::honest().header("Date", "Sun, 06 Nov 1994 08:49:37 GMT"));
    let catalogue = json!({ "items": [{ "id": "x:movie:1", "title": "Film", "size": 1000 }] });
    bob.serve("/peer/search", Representation::bytes(catalogue.to_string()));
    bob.serve("/peer/items/x%3Amovie%3A1/file", Representation::seeded(1, 1000));
    for path in ["/handshake", "/peer/items"] {
        bob.always(path, Scripted::status(404));
    }
    let (_home, daemon) = knowing(&bob.url("/")).await;
    let tested = tested(&daemon).await;
    assert_eq!((&tested["ok"], &tested["system"]), (&json!(true), &json!("original")), "{tested:#}");
    assert_eq!((outcome(&tested, "ranges"), outcome(&tested, "validator")), ("ok", "warning"), "{tested:#}");
    assert_eq!(outcome(&tested, "clock"), "warning", "{tested:#}");
    assert!(tested["clock_skew"].as_i64().expect("a number") < -86_400 * 365);
}

#[tokio::test]
async fn a_peer_that_ignores_ranges_is_not_read_to_the_end() {
    let bob = ScriptedPeer::start().await;
    bob.serve("/ping", Representation::bytes("{}"));
    bob.serve("/handshake", Representation::bytes(r#"{"version":"9","name":"b\u001b[2Job"}"#));
    let list = json!({ "items": [{ "id": "m", "size": 1_u64 << 40 }] });
    bob.serve("/peer/items", Representation::bytes(list.to_string()));
    bob.serve("/peer/items/m/file", Representation::seeded(1, 1 << 40).without_ranges());
    let (_home, daemon) = knowing(&bob.url("/")).await;
    let tested = tested(&daemon).await;
    assert_eq!(outcome(&tested, "ranges"), "warning", "{tested:#}");
    assert_eq!((&tested["node"], &tested["version"]), (&json!("b[2Job"), &json!("9")));
}
