//! A certificate that is renewed in place: shown from the next reload on, and nobody loses a byte for it.

use std::net::SocketAddr;

use http::Method;
use http_body_util::BodyExt;
use rustix::process::Signal;
use scripted_peer::seeded_bytes;
use serde_json::{Value, json};

use crate::asking::{BOTH, Connection, Speaks};
use crate::certificates::Authority;
use crate::support::{Answer, Daemon, Home, KEY, MIB, eventually, seeded_file};

const SIZE: u64 = 24 * MIB;

/// A real daemon under TLS that shares `film`.
async fn sharing(authority: &Authority) -> (Home, Daemon) {
    let home = Home::sharing();
    let files = authority.pair().put(home.as_ref());
    let home = home.with(files.config());
    seeded_file(home.shared("film"), 7, SIZE);
    let daemon = home.start().await;
    (home, daemon)
}

async fn open(daemon: &Daemon, authority: &Authority, speaks: Speaks) -> Connection {
    Connection::open(daemon.peer, authority.der(), speaks).await
}

/// Where its `film` is, once the folder has been read.
pub(crate) async fn film(peer: SocketAddr, authority: &Authority) -> String {
    let found = eventually(async || {
        let mut connection = Connection::open(peer, authority.der(), Speaks::Http1).await;
        let answer = connection.get("/peer/items", &[("x-api-key", KEY)]).await;
        let list: Value = serde_json::from_slice(&answer.body).ok()?;
        Some(list["items"].get(0)?["id"].as_str()?.to_owned())
    });
    found.await.expect("a film")
}

async fn reload(daemon: &Daemon) -> Answer {
    daemon.post("/api/v1/system/reload", &json!({})).await
}

#[tokio::test]
async fn a_certificate_renewed_under_load_drops_no_transfer() {
    let authority = Authority::new();
    let (home, daemon) = sharing(&authority).await;
    let route = format!("/peer/items/{}/file", film(daemon.peer, &authority).await);
    let mut under_way = Vec::new();
    for speaks in BOTH {
        let mut connection = open(&daemon, &authority, speaks).await;
        let mut answer = connection.begin(Method::GET, &route, &[("x-api-key", KEY)]).await.expect("a head");
        let first = answer.body_mut().frame().await.expect("a frame").expect("bytes");
        under_way.push((connection, answer, first.into_data().expect("data").to_vec()));
    }
    let renewed = authority.pair();
    renewed.put(home.as_ref());
    daemon.signal(Signal::HUP);
    let message = "new connections are shown another certificate";
    daemon.log.wait_for(message, |line| (line["message"] == message).then_some(())).await;
    for speaks in BOTH {
        assert_eq!(open(&daemon, &authority, speaks).await.shown, renewed.der, "{speaks:?}");
    }
    for (connection, answer, mut received) in under_way {
        assert_ne!(connection.shown, renewed.der);
        received.extend_from_slice(&answer.into_body().collect().await.expect("the rest").to_bytes());
        assert!(received == seeded_bytes(7, 0..SIZE), "{} bytes of {SIZE}", received.len());
    }
}

#[tokio::test]
async fn a_reload_says_what_was_renewed_though_the_configuration_is_as_before() {
    let authority = Authority::new();
    let (home, daemon) = sharing(&authority).await;
    assert_eq!(reload(&daemon).await.json()["applied"], json!([]));
    authority.pair().put(home.as_ref());
    let answer = reload(&daemon).await.json();
    assert_eq!(answer["applied"], json!(["server.tls_cert", "server.tls_key"]), "{answer}");
    assert_eq!(answer["at_restart"], json!([]));
}

#[tokio::test]
async fn a_renewal_that_went_wrong_keeps_the_old_certificate_and_says_what_is_wrong() {
    let authority = Authority::new();
    let (home, daemon) = sharing(&authority).await;
    let shown = open(&daemon, &authority, Speaks::Http1).await.shown;
    let (one, other) = (authority.pair(), authority.pair());
    let files = one.put(home.as_ref());
    for (key, words) in [
        (other.key.as_str(), "does not belong to the certificate"),
        ("half a fi", "holds no private key"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n", "holds an encrypted private key"),
    ] {
        std::fs::write(&files.key, key).expect("a file");
        let answer = reload(&daemon).await;
        assert_eq!((answer.status, answer.problem().as_str()), (422, "config-invalid"), "{answer:?}");
        let said = answer.json()["errors"].to_string();
        assert!(said.contains(words) && said.contains("server.tls_key"), "{said}");
        assert_eq!(open(&daemon, &authority, Speaks::Http2).await.shown, shown, "{words}");
    }
    std::fs::write(&files.key, &one.key).expect("a file");
    assert_eq!(reload(&daemon).await.status, 200);
    assert_eq!(open(&daemon, &authority, Speaks::Http2).await.shown, one.der);
}

#[tokio::test]
async fn tls_comes_and_goes_with_a_reload() {
    let authority = Authority::new();
    let (home, daemon) = sharing(&authority).await;
    assert_eq!(daemon.get("/api/v1/system").await.json()["tls"]["on"], true);
    let home = home.with(json!({ "server": { "tls_cert": null, "tls_key": null } }));
    home.write_config();
    let answer = reload(&daemon).await.json();
    assert_eq!(answer["applied"], json!(["server.tls_cert", "server.tls_key"]), "{answer}");
    assert_eq!(daemon.ask("/ping").await.status, 200);
    assert_eq!(daemon.get("/api/v1/system").await.json()["tls"], json!({ "on": false, "certificate": null }));
    let files = authority.pair().put(home.as_ref());
    let home = home.with(files.config());
    home.write_config();
    let answer = reload(&daemon).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(open(&daemon, &authority, Speaks::Http2).await.get("/ping", &[]).await.status, 200);
}

#[tokio::test]
async fn the_owner_is_told_what_is_shown_and_a_friend_how_to_check_it() {
    let authority = Authority::new();
    let home = Home::sharing();
    let files = authority.pair_for(&["nas.example"]).put(home.as_ref());
    let home = home.with(files.config());
    let daemon = home.start().await;
    let tls = daemon.get("/api/v1/system").await.json()["tls"].take();
    assert_eq!((&tls["on"], &tls["certificate"]["names"]), (&json!(true), &json!(["nas.example"])), "{tls}");
    assert_eq!(tls["certificate"]["self_signed"], false);
    let line = daemon
        .log
        .wait_for("the listener", |line| (line["listener"] == "peer").then(|| line["scheme"].clone()));
    assert_eq!(line.await, "https");
    let port = daemon.peer.port();
    let invited = daemon.cli(["key", "create", "bob", "--invite"]).await.expect_code(0);
    assert!(invited.stdout.contains(&format!(" https://nas.example:{port}/ --key-file -")), "{invited:?}");
    assert!(invited.stderr.contains("does not know the authority of our certificate"), "{invited:?}");
    crate::certificates::Pair::by_itself().put(home.as_ref());
    assert_eq!(reload(&daemon).await.status, 200);
    let invited = daemon.cli(["key", "create", "carol", "--invite"]).await.expect_code(0);
    assert!(invited.stdout.contains(&format!(" https://localhost:{port}/ ")), "{invited:?}");
    assert!(invited.stderr.contains("our certificate stands for itself"), "{invited:?}");
}
