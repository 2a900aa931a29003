//! Two daemons under TLS: whose certificate is taken, and what is said of one that is not.

use std::path::Path;

use scripted_peer::seeded_bytes;
use serde_json::{Value, json};

use crate::certificates::{Authority, Pair};
use crate::renewal::film;
use crate::support::{Daemon, Home, KEY, MIB, eventually, seeded_file};

/// Somebody who shares `film` under this certificate.
async fn sharer(pair: &Pair, size: u64) -> (Home, Daemon) {
    let home = Home::sharing();
    let files = pair.put(home.as_ref());
    let home = home.with(files.config());
    seeded_file(home.shared("film"), 7, size);
    let daemon = home.start().await;
    (home, daemon)
}

/// A machine that knows the sharer as `bob`.
fn knowing(bob: &Daemon, ca: Option<&str>) -> Home {
    let home = Home::new().knowing("bob", base(bob));
    let Some(ca) = ca else { return home };
    let file = home.path("bob.pem");
    std::fs::write(&file, ca).expect("a file");
    home.with(json!({ "peers": { "bob": { "ca_file": file } } }))
}

fn base(daemon: &Daemon) -> String {
    format!("https://127.0.0.1:{}/", daemon.peer.port())
}

fn assert_whole(path: &Path, size: u64) {
    let received = std::fs::read(path).expect("a file");
    assert!(received == seeded_bytes(7, 0..size), "{} bytes of {size}", received.len());
}

/// What `peer test` found about reaching bob.
async fn reach(daemon: &Daemon) -> Value {
    let probe = daemon.post("/api/v1/peers/bob/test", &json!({})).await.json();
    let mut checks = probe["checks"].as_array().expect("checks").clone();
    checks.retain(|check| check["check"] == "reach");
    checks.remove(0)
}

#[tokio::test]
async fn a_transfer_killed_half_way_goes_on_under_tls() {
    let authority = Authority::new();
    let (_sharing, bob) = sharer(&authority.pair(), 8 * MIB).await;
    let item = film(bob.peer, &authority).await;
    let home = knowing(&bob, Some(&authority.pem())).with(json!({ "limits": { "down": "2MiB" } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", &item).await;
    daemon.until(id, "had a part of it durable", |row| row["durable"].as_u64() >= Some(MIB)).await;
    daemon.kill().await;
    assert_eq!(home.names("completed"), [] as [&str; 0]);
    let home = home.with(json!({ "limits": { "down": "0" } }));
    let daemon = home.start().await;
    let row = daemon.until_state(id, "completed").await;
    assert_eq!(row["restarts"], 0, "{row:#}");
    assert_whole(&home.completed("film"), 8 * MIB);
}

#[tokio::test]
async fn a_friend_whose_certificate_stands_for_itself_is_taken_by_it() {
    let pair = Pair::by_itself();
    let (_sharing, bob) = sharer(&pair, MIB).await;
    let home = knowing(&bob, Some(&pair.certificate));
    let daemon = home.start().await;
    assert_eq!(reach(&daemon).await["outcome"], "ok");
    let items = eventually(async || {
        let items = daemon.get("/api/v1/peers/bob/items").await.json()["items"].take();
        items.get(0).cloned()
    });
    let item = items.await.expect("a film");
    let id = daemon.add("bob", item["id"].as_str().expect("an id")).await;
    daemon.until_state(id, "completed").await;
    assert_whole(&home.completed("film"), MIB);
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused_for_good_with_the_next_step() {
    let authority = Authority::new();
    let (_sharing, bob) = sharer(&authority.pair(), MIB).await;
    for ca in [None, Some(Authority::new().pem())] {
        let home = knowing(&bob, ca.as_deref());
        let daemon = home.start().await;
        let id = daemon.add("bob", "an-item").await;
        let row = daemon.until_state(id, "failed").await;
        let message = row["error"]["message"].as_str().expect("a message");
        assert!(
            message.contains("invalid peer certificate") && message.contains("set peers.bob.ca_file"),
            "{message}"
        );
        assert_eq!((&row["retryable"], &row["error"]["kind"]), (&json!(false), &json!("rejected")));
        let reach = reach(&daemon).await;
        assert_eq!(reach["outcome"], "failed");
        let remedy = reach["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains("peers.bob.ca_file"), "{remedy}");
    }
}

#[tokio::test]
async fn another_name_and_an_old_certificate_are_refused_whoever_vouches() {
    let authority = Authority::new();
    for (pair, message, step) in [
        (authority.pair_for(&["bob.example"]), "bob.example", "peers.bob.url"),
        (authority.expired(), "expired", "renew"),
    ] {
        let (_sharing, bob) = sharer(&pair, MIB).await;
        let home = knowing(&bob, Some(&authority.pem()));
        let daemon = home.start().await;
        let reach = reach(&daemon).await;
        assert_eq!(reach["outcome"], "failed");
        let said = (reach["detail"].as_str().expect("a detail"), reach["remedy"].as_str().expect("a remedy"));
        assert!(said.0.contains(message) && said.1.contains(step), "{said:?}");
    }
}

#[tokio::test]
async fn a_download_waits_for_a_certificate_that_has_expired_and_goes_on_when_it_is_renewed() {
    let authority = Authority::new();
    let (sharing, bob) = sharer(&authority.pair(), MIB).await;
    let item = film(bob.peer, &authority).await;
    authority.expired().put(sharing.as_ref());
    bob.post("/api/v1/system/reload", &json!({})).await;
    let home = knowing(&bob, Some(&authority.pem()));
    let daemon = home.start().await;
    let id = daemon.add("bob", &item).await;
    let held = daemon.until(id, "waited", |row| row["error"]["kind"] == "unreachable").await;
    assert!(held["state"] != "failed", "{held:#}");
    let message = held["error"]["message"].as_str().expect("a message");
    assert!(message.contains("expired"), "{message}");
    authority.pair().put(sharing.as_ref());
    bob.post("/api/v1/system/reload", &json!({})).await;
    daemon.until_state(id, "completed").await;
    assert_whole(&home.completed("film"), MIB);
}

#[tokio::test]
async fn a_ca_file_is_read_anew_at_a_reload() {
    let (before, after) = (Authority::new(), Authority::new());
    let (_sharing, bob) = sharer(&after.pair(), MIB).await;
    let item = film(bob.peer, &after).await;
    let home = knowing(&bob, Some(&before.pem()));
    let daemon = home.start().await;
    let id = daemon.add("bob", &item).await;
    daemon.until_state(id, "failed").await;
    std::fs::write(home.path("bob.pem"), after.pem()).expect("a file");
    let answer = daemon.post("/api/v1/system/reload", &json!({})).await.json();
    assert_eq!(answer["applied"], json!(["peers.bob.ca_file"]), "{answer}");
    daemon.obeyed(id, "retry").await;
    daemon.until_state(id, "completed").await;
    std::fs::write(home.path("bob.pem"), "nothing of use").expect("a file");
    let answer = daemon.post("/api/v1/system/reload", &json!({})).await;
    assert_eq!(answer.problem(), "config-invalid");
    assert!(answer.body.contains("bob.pem holds no certificate"), "{answer:?}");
    assert_eq!(reach(&daemon).await["outcome"], "ok", "the one of before stays in force");
}

#[tokio::test]
async fn a_peer_added_with_its_certificate_is_known_by_it_after_a_restart() {
    let pair = Pair::by_itself();
    let (sharing, bob) = sharer(&pair, MIB).await;
    let home = Home::new();
    let daemon = home.start().await;
    let (key, ca) = (home.path("user/key"), sharing.path("certificate.pem"));
    std::fs::write(&key, KEY).expect("a file");
    let (url, key, ca) = (base(&bob), key.display().to_string(), ca.display().to_string());
    let add = ["peer", "add", "bob", &url, "--key-file", &key, "--ca-file", &ca];
    daemon.cli(add).await.expect_code(0);
    assert_eq!(reach(&daemon).await["outcome"], "ok");
    daemon.cli(add).await.expect_code(0);
    let refused = daemon.cli(["peer", "add", "carol", &url, "--ca-file", &key]).await.expect_code(2);
    assert!(refused.stderr.contains("holds no certificate"), "{refused:?}");
    let (status, _) = daemon.terminate().await;
    assert!(status.success());
    let daemon = home.start().await;
    assert_eq!(daemon.get("/api/v1/peers/bob").await.json()["ca"], true);
    assert_eq!(reach(&daemon).await["outcome"], "ok");
    daemon.cli(["peer", "rm", "bob"]).await.expect_code(0);
    assert_eq!(home.names("state/peers"), [] as [&str; 0]);
}
