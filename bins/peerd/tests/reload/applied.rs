//! What a reload changes, and how soon.

use rustix::process::Signal;
use scripted_peer::{Answer, Gate, ScriptedPeer};
use serde_json::json;

use super::{reload, reloaded};
use crate::support::{Home, KEY, MIB, offer, seeded_file};

const LIMITS: &str = "/api/v1/limits";

#[tokio::test]
async fn a_rate_is_changed_at_once_also_for_what_runs() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 4 * MIB);
    // At this rate the file would take more than an hour.
    let home = Home::new().knowing("bob", peer.url("/")).with(json!({ "limits": { "down": "1KiB" } }));
    let daemon = home.start().await;
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "downloading").await;
    let home = home.with(json!({ "limits": { "down": "0", "up": "5MiB" } }));
    assert_eq!(reloaded(&home, &daemon).await, (json!(["limits.down", "limits.up"]), json!([])));
    assert_eq!(daemon.get(LIMITS).await.json(), json!({ "down": 0, "up": 5 * MIB }));
    daemon.until_state(id, "completed").await;
}

#[tokio::test]
async fn a_hangup_reads_the_configuration_again() {
    let home = Home::new();
    let daemon = home.start().await;
    let home = home.with(json!({ "limits": { "down": "3MiB" }, "server": { "max_connections": 9 } }));
    home.write_config();
    daemon.signal(Signal::HUP);
    let line = daemon.log.wait_for("what it applied", |line| {
        (line["message"] == "the configuration was read again").then(|| line.clone())
    });
    let line = line.await;
    assert_eq!(
        (&line["applied"], &line["at_restart"]),
        (&json!("limits.down"), &json!("server.max_connections"))
    );
    assert_eq!(daemon.get(LIMITS).await.json()["down"], 3 * MIB);
}

#[tokio::test]
async fn a_limit_set_by_hand_stays_unless_the_file_changed_it() {
    let home = Home::new().with(json!({ "limits": { "down": "3MiB" } }));
    let daemon = home.start().await;
    daemon.cli(["limits", "set", "--down", "7MiB"]).await.expect_code(0);
    let home = home.with(json!({ "limits": { "up": "1MiB" } }));
    assert_eq!(reloaded(&home, &daemon).await.0, json!(["limits.up"]));
    assert_eq!(daemon.get(LIMITS).await.json(), json!({ "down": 7 * MIB, "up": MIB }));
}

#[tokio::test]
async fn more_permits_let_more_run() {
    let peer = ScriptedPeer::start().await;
    let gate = Gate::closed();
    let home =
        Home::new().knowing("bob", peer.url("/")).with(json!({ "downloads": { "max_concurrent": 1 } }));
    let daemon = home.start().await;
    for item in ["one", "two"] {
        let path = offer(&peer, item, 7, 1000);
        peer.script(&path, [Answer::hold_at(100, &gate)]);
        daemon.add("bob", item).await;
    }
    gate.parked(1).await;
    assert_eq!(daemon.metric("peerd_permits_in_use").await, Some(1.0));
    let home = home.with(json!({ "downloads": { "max_concurrent": 2 } }));
    assert_eq!(reloaded(&home, &daemon).await.0, json!(["downloads.max_concurrent"]));
    gate.parked(2).await;
    gate.release();
}

#[tokio::test]
async fn keys_and_shares_come_and_go() {
    let home = Home::sharing();
    seeded_file(home.shared("film.mkv"), 7, 1000);
    let daemon = home.start().await;
    let id = daemon.item("film.mkv").await;
    let path = format!("/peer/items/{id}/file");
    assert_eq!(daemon.ask(&path).await.status, 200);

    let home = home.with(json!({ "keys": { "friend": { "secret": "another-key" } } }));
    assert_eq!(
        reloaded(&home, &daemon).await.0,
        json!(["keys.friend.secret"]),
        "a secret that was replaced counts"
    );
    assert_eq!(daemon.ask(&path).await.status, 401);

    let more = home.path("more");
    std::fs::create_dir(&more).expect("a directory");
    seeded_file(more.join("song.ogg"), 8, 1000);
    let home = home.with(json!({
        "keys": { "friend": { "secret": KEY } },
        "shares": { "films": { "exclude": ["*.mkv"] }, "music": { "path": more } },
    }));
    reloaded(&home, &daemon).await;
    daemon.item("song.ogg").await;
    let items = daemon.ask("/peer/items").await.json();
    assert_eq!(items["items"].as_array().map(Vec::len), Some(1), "{items}");
    assert_eq!(daemon.ask(&path).await.status, 404);

    let home = home.without("/shares/films").without("/keys/friend");
    reloaded(&home, &daemon).await;
    assert_eq!(daemon.ask("/peer/items").await.status, 401);
    assert_eq!(daemon.get("/api/v1/shares").await.json()["shares"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn peers_come_and_go() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "m", 7, 1000);
    offer(&peer, "n", 8, 1000);
    let home = Home::new();
    let daemon = home.start().await;
    assert_eq!(daemon.try_add("bob", "m").await.problem(), "peer-unknown");
    let home = home.knowing("bob", peer.url("/"));
    let (applied, _) = reloaded(&home, &daemon).await;
    assert!(applied.as_array().is_some_and(|keys| keys.contains(&json!("peers.bob.url"))), "{applied}");
    let id = daemon.add("bob", "m").await;
    daemon.until_state(id, "completed").await;
    let home = home.without("/peers/bob");
    reloaded(&home, &daemon).await;
    assert_eq!(daemon.try_add("bob", "n").await.problem(), "peer-unknown");
}

#[tokio::test]
async fn a_secret_in_a_file_is_read_again() {
    let home = Home::sharing();
    let secret = home.path("secret");
    std::fs::write(&secret, "first-key").expect("a file");
    let home = home.with(json!({ "keys": { "friend": { "secret": { "file": secret } } } }));
    let daemon = home.start().await;
    assert_eq!(daemon.ask("/handshake").await.status, 401);
    std::fs::write(&secret, KEY).expect("a file");
    assert_eq!(reloaded(&home, &daemon).await.0, json!(["keys.friend.secret"]));
    assert_eq!(daemon.ask("/handshake").await.status, 200);
}

#[tokio::test]
async fn the_log_is_told_more_or_less() {
    let home = Home::new();
    let daemon = home.start().await;
    daemon.get(LIMITS).await;
    assert!(!daemon.log.text().contains("answered"), "{}", daemon.log.tail());
    let home = home.with(json!({ "log": { "level": "debug" } }));
    assert_eq!(reloaded(&home, &daemon).await.0, json!(["log.level"]));
    daemon.get(LIMITS).await;
    daemon.log.wait_for("an answer", |line| (line["message"] == "answered").then_some(())).await;
}

#[tokio::test]
async fn what_needs_a_start_is_named_until_there_is_one() {
    let home = Home::new();
    let daemon = home.start().await;
    assert_eq!(reloaded(&home, &daemon).await, (json!([]), json!([])), "nothing changed");
    let elsewhere = home.path("elsewhere");
    let home = home.with(json!({ "downloads": { "dir": elsewhere }, "log": { "format": "text" } }));
    for _ in 0..2 {
        assert_eq!(reloaded(&home, &daemon).await, (json!([]), json!(["downloads.dir", "log.format"])));
    }
    assert!(!elsewhere.exists(), "nothing of it holds yet");
}

#[tokio::test]
async fn names_for_the_admin_listener_are_allowed_at_once() {
    let home = Home::new();
    let daemon = home.start().await;
    let ask = async || daemon.request(reqwest::Method::GET, LIMITS).header("host", "nas.lan").send().await;
    assert_eq!(ask().await.expect("an answer").status().as_u16(), 403);
    let home = home.with(json!({ "admin": { "allowed_hosts": ["nas.lan"] } }));
    assert_eq!(reload(&home, &daemon).await.status, 200);
    assert_eq!(ask().await.expect("an answer").status().as_u16(), 200);
}

#[tokio::test]
async fn the_system_says_what_it_is_and_which_file_it_read() {
    let home = Home::new().with(json!({ "downloads": { "min_free": "1KiB" } }));
    let daemon = home.start().await;
    let system = daemon.get("/api/v1/system").await.json();
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["state_dir"], json!(home.state()));
    assert_eq!(system["config_file"], json!(home.path("peerd.toml")));
    assert_eq!(system["listeners"], json!({ "peer": [daemon.peer], "admin": [daemon.admin] }));
    assert_eq!(system["disk"]["downloads"]["path"], json!(home.path("completed")));
    assert!(system["disk"]["incomplete"]["free"].is_u64() && system["uptime"].is_u64(), "{system}");
    assert!(!system.to_string().contains(&daemon.key), "{system}");
    assert_eq!(
        daemon.bare(reqwest::Method::GET, "/api/v1/system").send().await.expect("an answer").status(),
        401
    );
}
