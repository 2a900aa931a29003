//! A full run with every kind of secret in it, and then a search for each of them.

use reqwest::Method;
use rustix::process::Signal;
use scripted_peer::{Answer as Reply, ScriptedPeer};
use serde_json::json;

use crate::support::{Answer, Home, offer, seeded_file};

const INBOUND: &str = "secret-of-a-friend";
const OUTBOUND: &str = "secret-for-a-peer";
const HEADER: &str = "secret-in-a-header";
const TOKEN: &str = "secret-in-a-query";
const WRONG: &str = "secret-somebody-tried";
const BROKEN: &str = "secret-in-a-broken-line";
const REPLACED: &str = "secret-that-comes-later";

#[tokio::test]
async fn no_secret_is_in_the_log_in_any_answer_or_in_what_commands_print() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "good", 7, 100_000);
    let refused = offer(&peer, "refused", 7, 1000);
    peer.always(&refused, Reply::status(401));
    let bob = json!({ "url": peer.url("/"), "key": OUTBOUND, "headers": { "x-door": HEADER } });
    let home = Home::sharing().with(json!({
        "log": { "level": "trace" },
        "keys": { "friend": { "secret": INBOUND } },
        "peers": { "bob": bob },
        "downloads": { "max_attempts": 1 },
    }));
    seeded_file(home.shared("film.mkv"), 7, 1000);
    let daemon = home.start().await;

    // A run with successes, refusals and failures.
    let id = daemon.add("bob", "good").await;
    daemon.until_state(id, "completed").await;
    let id = daemon.add("bob", "refused").await;
    daemon.until_state(id, "failed").await;
    let url = format!("{}?token={TOKEN}", peer.url("/gone.bin"));
    let id = daemon.add_with(json!({ "url": url })).await;
    daemon.until_state(id, "failed").await;
    let asked = |key: &'static str| {
        let url = format!("{}peer/items?token={TOKEN}", daemon.base());
        Answer::to(reqwest::Client::new().get(url).header("x-api-key", key))
    };
    assert_eq!((asked(INBOUND).await.status, asked(WRONG).await.status), (200, 401));
    let wrong = daemon.bare(Method::GET, "/api/v1/limits").bearer_auth(WRONG);
    assert_eq!(Answer::to(wrong).await.status, 401);

    // The configuration, shown, refused and read again.
    let mut said = Vec::new();
    for arguments in [&["config", "show", "--origin"][..], &["config", "show", "--json"], &["check-config"]] {
        let output = match *arguments {
            [a, b, c] => daemon.cli([a, b, c]).await,
            [a, ..] => daemon.cli([a]).await,
            [] => continue,
        };
        said.extend([output.stdout, output.stderr]);
    }
    let home =
        home.with(json!({ "keys": { "friend": { "secret": REPLACED } }, "limits": { "down": "fast" } }));
    home.write_config();
    let reload = async || daemon.post("/api/v1/system/reload", &json!({})).await;
    said.push(reload().await.body);
    daemon.signal(Signal::HUP);
    daemon.log.wait_for("the refusal", |line| (line["error"] == "1 problem").then_some(())).await;
    for broken in [
        format!("[peers.bob]\nkey = {BROKEN}\n"),
        format!("[peers.bob.headers]\nAuthorization = \"Bearer {BROKEN}\n"),
        format!("[hooks.a] url = \"https://h/{BROKEN}\n"),
    ] {
        std::fs::write(home.path("peerd.toml"), broken).expect("a file");
        let refused = reload().await;
        assert_eq!(refused.status, 422, "{refused:?}");
        let checked = daemon.cli(["check-config"]).await.expect_code(78);
        said.extend([refused.body, checked.stdout, checked.stderr]);
    }
    let home = home.with(json!({ "limits": { "down": "1MiB" } }));
    home.write_config();
    let reloaded = reload().await;
    assert_eq!(reloaded.status, 200, "{reloaded:?}");
    said.push(reloaded.body);

    for path in [
        "/api/v1/system",
        "/api/v1/downloads",
        "/api/v1/downloads/1/history",
        "/api/v1/downloads/3",
        "/api/v1/shares",
        "/api/v1/limits",
        "/metrics",
        "/readyz",
    ] {
        said.push(daemon.get(path).await.body);
    }
    for arguments in [["ls", "--json"], ["show", "3"], ["show", "2"]] {
        let output = daemon.cli(arguments).await;
        said.extend([output.stdout, output.stderr]);
    }
    let key = daemon.key.clone();
    let (_, log) = daemon.terminate().await;
    said.push(log.text());
    assert!(log.text().contains("\"completed\"") && log.text().contains("\"failed\""), "{}", log.tail());
    for secret in [INBOUND, OUTBOUND, HEADER, TOKEN, WRONG, BROKEN, REPLACED, key.as_str()] {
        for text in &said {
            assert!(!text.contains(secret), "{secret} is in {text}");
        }
    }
}
