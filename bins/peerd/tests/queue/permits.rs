//! Who runs when: permits, peers that have enough, priorities.

use std::collections::{BTreeMap, BTreeSet};

use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use super::{home_with, served, states};
use crate::support::{Home, offer};

#[tokio::test]
async fn no_more_downloads_run_at_once_than_allowed() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let home = home_with(&peer, json!({ "max_concurrent": 2 }));
    let daemon = home.start().await;
    let mut ids = Vec::new();
    for n in 0..5 {
        let path = offer(&peer, &format!("i{n}"), n, 1000);
        peer.script(&path, [Answer::hold_at(0, &gate)]);
        ids.push(daemon.add("bob", &format!("i{n}")).await);
    }
    gate.parked(2).await;
    assert_eq!(states(&daemon).await, BTreeMap::from([("downloading".into(), 2), ("queued".into(), 3)]));
    assert_eq!(daemon.metric("peerd_permits_in_use").await, Some(2.0));
    // The first two; which of their requests arrives first is the network's affair.
    assert_eq!(
        BTreeSet::from_iter(served(&peer)),
        BTreeSet::from(["i0".into(), "i1".into()]),
        "first come, first served"
    );
    gate.release();
    for id in ids {
        daemon.until_state(id, "completed").await;
    }
    assert_eq!(states(&daemon).await, BTreeMap::from([("completed".into(), 5)]));
}

#[tokio::test]
async fn one_peer_gets_no_more_connections_than_it_is_meant_to_and_stops_nobody_else() {
    let (bob, carol) = (ScriptedPeer::start().await, ScriptedPeer::start().await);
    let gate = Gate::closed();
    let home = Home::new().knowing("bob", bob.url("/")).knowing("carol", carol.url("/")).with(json!({
        "downloads": { "max_concurrent": 8 },
        "peers": { "bob": { "max_concurrent": 1 }, "carol": { "max_concurrent": 2 } },
    }));
    let daemon = home.start().await;
    let mut ids = Vec::new();
    for (peer, name) in [(&bob, "bob"), (&carol, "carol")] {
        for n in 0..3 {
            let item = format!("{name}{n}");
            let path = offer(peer, &item, n, 1000);
            peer.script(&path, [Answer::hold_at(0, &gate)]);
            ids.push(daemon.add(name, &item).await);
        }
    }
    gate.parked(3).await;
    assert_eq!((served(&bob).len(), served(&carol).len()), (1, 2));
    assert_eq!(states(&daemon).await, BTreeMap::from([("downloading".into(), 3), ("queued".into(), 3)]));
    gate.release();
    for id in ids {
        daemon.until_state(id, "completed").await;
    }
    assert_eq!(served(&bob), ["bob0", "bob1", "bob2"]);
}

#[tokio::test]
async fn a_peer_that_asks_for_patience_holds_no_permit() {
    let peer = ScriptedPeer::start().await;
    let slow = offer(&peer, "slow", 1, 1000);
    peer.always(&slow, Answer::status(429).header("Retry-After", "120"));
    offer(&peer, "quick", 2, 1000);
    let home = home_with(&peer, json!({ "max_concurrent": 1 }));
    let daemon = home.start().await;
    let waiting = daemon.add("bob", "slow").await;
    let quick = daemon.add("bob", "quick").await;
    daemon.until_state(quick, "completed").await;
    let row = daemon.row(waiting).await;
    assert_eq!((&row["state"], &row["attempts"]), (&json!("waiting"), &json!(1)));
    assert!(row["retry_at"].is_string(), "{row:#}");
    daemon.until_metric("peerd_permits_in_use", 0.0).await;
    // The peer's word is a floor, and a tenth more at most keeps a crowd apart.
    let delay = daemon.metric("peerd_retry_delay_seconds_sum").await.expect("a sum");
    assert!((120.0..=126.0).contains(&delay), "{delay}");
    assert_eq!(peer.requests(&slow).len(), 1);
}

#[tokio::test]
async fn three_peers_that_ask_for_a_minute_do_not_delay_a_fourth() {
    let mut home = Home::new().with(json!({ "downloads": { "max_concurrent": 3 } }));
    let mut peers = Vec::new();
    for name in ["ann", "bob", "cyd", "dan"] {
        let peer = ScriptedPeer::start().await;
        let path = offer(&peer, "m", 1, 1000);
        if name != "dan" {
            peer.always(&path, Answer::status(429).header("Retry-After", "60"));
        }
        home = home.knowing(name, peer.url("/"));
        peers.push((name, peer, path));
    }
    let daemon = home.start().await;
    let mut ids = Vec::new();
    for (name, ..) in &peers {
        // Every row has a name of its own: it is the peers that are alike.
        let item = json!({ "peer": name, "item": "m", "filename": format!("{name}.bin") });
        ids.push(daemon.add_with(item).await);
    }
    daemon.until_state(ids[3], "completed").await;
    for ((name, peer, path), id) in peers.iter().zip(&ids).take(3) {
        let row = daemon.until_state(*id, "waiting").await;
        assert_eq!(row["attempts"], 1, "{name}");
        assert_eq!(peer.requests(path).len(), 1, "{name} is left alone for as long as it asked");
    }
    daemon.until_metric("peerd_permits_in_use", 0.0).await;
    let delays = daemon.metric("peerd_retry_delay_seconds_sum").await.expect("a sum");
    assert!((180.0..=198.0).contains(&delays), "a minute each, and a tenth more at most: {delays}");
}

#[tokio::test]
async fn a_row_that_backs_off_holds_no_permit() {
    let peer = ScriptedPeer::start().await;
    let broken = offer(&peer, "broken", 1, 1000);
    peer.always(&broken, Answer::status(500));
    offer(&peer, "fine", 2, 1000);
    let home = home_with(&peer, json!({ "max_concurrent": 1, "retry_base": "10d", "retry_max": "10d" }));
    let daemon = home.start().await;
    let backing_off = daemon.add("bob", "broken").await;
    let fine = daemon.add("bob", "fine").await;
    daemon.until_state(fine, "completed").await;
    let row = daemon.row(backing_off).await;
    assert_eq!((&row["state"], &row["attempts"]), (&json!("waiting"), &json!(1)));
    assert_eq!(peer.requests(&broken).len(), 1);
}

#[tokio::test]
async fn a_row_whose_time_has_come_goes_on_by_itself() {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 1, 1000);
    peer.script(&path, [Answer::status(503).header("Retry-After", "2")]);
    let home = home_with(&peer, json!({}));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    let requests = peer.requests(&path);
    assert_eq!(requests.len(), 2);
    let gap = requests[1].at - requests[0].at;
    assert!(gap.as_millis() >= 1990, "asked again after {gap:?} though 2 s were asked for");
}

#[tokio::test]
async fn a_higher_priority_goes_first_and_equals_in_their_order() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let first = offer(&peer, "first", 1, 1000);
    peer.script(&first, [Answer::hold_at(0, &gate)]);
    let home = home_with(&peer, json!({ "max_concurrent": 1 }));
    let daemon = home.start().await;
    let mut ids = vec![daemon.add("bob", "first").await];
    gate.parked(1).await;
    for (item, priority) in [("low", -5), ("a", 0), ("b", 0), ("high", 10), ("raised", -10)] {
        offer(&peer, item, 1, 1000);
        ids.push(daemon.add_with(json!({ "peer": "bob", "item": item, "priority": priority })).await);
    }
    let answer = daemon.patch(ids[5], &json!({ "priority": 5 })).await;
    assert_eq!((answer.status, &answer.json()["priority"]), (200, &json!(5)));
    gate.release();
    for id in ids {
        daemon.until_state(id, "completed").await;
    }
    assert_eq!(served(&peer), ["first", "high", "raised", "a", "b", "low"]);
}
