//! What is changed, and what is not: `PATCH`, the verbs, `DELETE`.

use reqwest::Method;
use scripted_peer::{Answer as Deviation, Gate, ScriptedPeer};
use serde_json::json;

use super::{daemon_of, refusal};
use crate::support::{DOWNLOADS, Home, offer};

#[tokio::test]
async fn priority_and_limit_can_be_changed_and_only_they() {
    let home = Home::new();
    let daemon = home.start().await;
    let id = daemon.add_with(json!({ "url": "http://127.0.0.1:9/f", "paused": true })).await;
    for (change, priority, limit) in [
        (json!({ "priority": -10 }), json!(-10), json!(null)),
        (json!({ "limit_down": 5000 }), json!(-10), json!(5000)),
        (json!({ "limit_down": "2MiB", "priority": 1 }), json!(1), json!(2 << 20)),
        (json!({}), json!(1), json!(2 << 20)),
        (json!({ "limit_down": null }), json!(1), json!(null)),
        (json!({ "limit_down": 0 }), json!(1), json!(null)),
    ] {
        let answer = daemon.patch(id, &change).await;
        assert_eq!(answer.status, 200, "{change}: {answer:?}");
        assert_eq!(
            (&answer.json()["priority"], &answer.json()["limit_down"]),
            (&priority, &limit),
            "{change}"
        );
    }
    for change in [
        json!({ "priority": 11 }),
        json!({ "priority": 1.5 }),
        json!({ "limit_down": "fast" }),
        json!({ "limit_down": 7, "priority": 11 }),
        json!({ "state": "completed" }),
    ] {
        let answer = daemon.patch(id, &change).await;
        assert_eq!((answer.status, answer.problem()), (422, "invalid".into()), "{change}");
    }
    let row = daemon.row(id).await;
    assert_eq!(
        (&row["priority"], &row["limit_down"]),
        (&json!(1), &json!(null)),
        "a refusal changes nothing"
    );
}

#[tokio::test]
async fn an_order_in_the_wrong_state_is_409_and_changes_nothing() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "done", 7, 100);
    let gone = offer(&peer, "gone", 7, 100);
    peer.always(&gone, Deviation::status(404));
    offer(&peer, "aside", 7, 100);
    let (_home, daemon) = daemon_of(&peer).await;
    let done = daemon.add("bob", "done").await;
    daemon.until_state(done, "completed").await;
    let failed = daemon.add("bob", "gone").await;
    daemon.until_state(failed, "failed").await;
    let aside = daemon.add_with(json!({ "peer": "bob", "item": "aside", "paused": true })).await;
    let cancelled = daemon.add_with(json!({ "url": "http://127.0.0.1:9/f", "paused": true })).await;
    daemon.obeyed(cancelled, "cancel").await;
    for (id, verbs) in [
        (done, &["pause", "resume", "retry", "cancel"][..]),
        (failed, &["pause", "resume"]),
        (aside, &["pause", "retry"]),
        (cancelled, &["pause", "resume", "retry", "cancel"]),
    ] {
        let before = daemon.row(id).await;
        for verb in verbs {
            let answer = daemon.order(id, verb).await;
            assert_eq!((answer.status, answer.problem()), (409, "wrong-state".into()), "{verb}: {before:#}");
            let state = before["state"].as_str().expect("a state");
            assert!(answer.json()["detail"].as_str().expect("a detail").contains(state), "{answer:?}");
        }
        assert_eq!(daemon.row(id).await, before);
    }
}

#[tokio::test]
async fn a_row_cannot_come_back_over_one_that_took_its_place() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let path = offer(&peer, "m", 7, 100);
    peer.script(&path, [Deviation::status(404), Deviation::hold_head(&gate)]);
    let (_home, daemon) = daemon_of(&peer).await;
    let first = daemon.add("bob", "m").await;
    daemon.until_state(first, "failed").await;
    let second = daemon.add("bob", "m").await;
    let answer = daemon.order(first, "retry").await;
    assert_eq!((answer.status, answer.problem()), (409, "destination-active".into()));
    assert_eq!(answer.json()["download_id"], second);
    gate.release();
    daemon.until_state(second, "completed").await;
}

#[tokio::test]
async fn delete_wants_a_clear_word_about_the_data() {
    let home = Home::new();
    let daemon = home.start().await;
    let id = daemon.add_with(json!({ "url": "http://127.0.0.1:9/f", "paused": true })).await;
    let request = daemon.request(Method::DELETE, &format!("{DOWNLOADS}/{id}?data=perhaps"));
    assert_eq!(refusal(request).await, (400, "bad-request".into()));
    assert_eq!(daemon.row(id).await["state"], "paused");
    let gone = daemon.delete(id, "?data=true").await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""));
}
