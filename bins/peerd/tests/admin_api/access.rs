//! Who may ask, and under which addresses.

use reqwest::Method;
use serde_json::json;

use super::refusal;
use crate::support::{Answer, DOWNLOADS, Home};

#[tokio::test]
async fn everything_but_the_probes_wants_the_key() {
    let home = Home::new();
    let daemon = home.start().await;
    let key = daemon.key.clone();
    for path in ["/metrics", DOWNLOADS, "/api/v1/downloads/1", "/api/v1/shares", "/no/such/address"] {
        assert_eq!(refusal(daemon.bare(Method::GET, path)).await, (401, "key-missing".into()), "{path}");
        for wrong in ["wrong", &key[..key.len() - 1], &format!("{key}x")] {
            let request = daemon.bare(Method::GET, path).header("x-api-key", wrong);
            assert_eq!(refusal(request).await, (401, "key-wrong".into()), "{path}");
        }
        let in_the_query = daemon.bare(Method::GET, &format!("{path}?key={key}&apikey={key}"));
        assert_eq!(refusal(in_the_query).await.0, 401, "{path}: an address ends up in logs");
    }
    let challenge = Answer::to(daemon.bare(Method::GET, DOWNLOADS)).await;
    assert!(challenge.field("www-authenticate").starts_with("Bearer"), "{challenge:?}");
    let bearer = daemon.bare(Method::GET, DOWNLOADS).bearer_auth(&key);
    assert_eq!(Answer::to(bearer).await.status, 200);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(Answer::to(daemon.bare(Method::GET, path)).await.status, 200, "{path}");
    }
    let failures = daemon.metric("peerd_auth_failures_total{listener=\"admin\"}").await;
    assert_eq!(failures, Some(26.0), "every refusal is counted");
    assert!(!daemon.log.text().contains(&key), "the key is in no log");
}

#[tokio::test]
async fn the_key_is_made_once_and_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let daemon = home.start().await;
    let mode = |path: std::path::PathBuf| path.metadata().expect("a file").permissions().mode() & 0o777;
    assert_eq!(mode(home.state()), 0o700);
    assert_eq!(mode(home.state().join("admin.key")), 0o600);
    assert_eq!(mode(home.state().join("peerd.db")) & 0o077, 0, "the queue is nobody else's business");
    let key = daemon.key.clone();
    daemon.terminate().await;
    assert_eq!(home.start().await.key, key, "the same after a restart");
}

#[tokio::test]
async fn the_key_can_be_waived_for_metrics_or_for_everything_on_loopback() {
    for (admin, path) in [
        (json!({ "metrics_key": false }), "/metrics"),
        (json!({ "require_key": false }), "/metrics"),
        (json!({ "require_key": false }), DOWNLOADS),
    ] {
        let home = Home::new().with(json!({ "admin": admin }));
        let daemon = home.start().await;
        assert_eq!(Answer::to(daemon.bare(Method::GET, path)).await.status, 200, "{admin} {path}");
    }
    let home = Home::new().with(json!({ "admin": { "metrics_key": false } }));
    let daemon = home.start().await;
    assert_eq!(Answer::to(daemon.bare(Method::GET, DOWNLOADS)).await.status, 401);
}

#[tokio::test]
async fn a_page_from_elsewhere_cannot_reach_it() {
    let home = Home::new().with(json!({ "admin": { "allowed_hosts": ["nas.lan"] } }));
    let daemon = home.start().await;
    for (field, value, status) in [
        ("host", "localhost:5281", 200),
        ("host", "[::1]:5281", 200),
        ("host", "NAS.lan", 200),
        ("host", "evil.example", 403),
        ("host", "127.0.0.1.evil.example", 403),
        ("origin", "http://localhost:5281", 200),
        ("origin", "http://evil.example", 403),
        ("origin", "null", 403),
    ] {
        let answer = Answer::to(daemon.request(Method::GET, DOWNLOADS).header(field, value)).await;
        assert_eq!(answer.status, status, "{field}: {value}");
        if status == 403 {
            assert_eq!(answer.problem(), "host-not-allowed");
        }
    }
    let probe = daemon.bare(Method::GET, "/healthz").header("host", "10.0.0.7");
    assert_eq!(Answer::to(probe).await.status, 200, "a probe asks under whatever name there is");
}

#[tokio::test]
async fn an_unknown_address_is_404_and_an_unknown_method_says_which_there_are() {
    let home = Home::new();
    let daemon = home.start().await;
    for path in
        ["/ui", "/api/v1", "/api/v1/download", "/api/v1/downloads/1/explode", "/api/v1/downloads/1/pause/2"]
    {
        assert_eq!(refusal(daemon.request(Method::GET, path)).await, (404, "not-found".into()), "{path}");
    }
    for (method, path, allowed) in [
        (Method::PUT, DOWNLOADS, ["GET", "POST"]),
        (Method::POST, "/api/v1/downloads/1", ["GET", "DELETE"]),
        (Method::DELETE, "/metrics", ["GET", "HEAD"]),
    ] {
        let answer = Answer::to(daemon.request(method, path)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (405, "method-not-allowed"), "{path}");
        assert!(allowed.iter().all(|method| answer.field("allow").contains(method)), "{answer:?}");
    }
}

#[tokio::test]
async fn what_is_no_download_is_404_for_every_verb() {
    let home = Home::new();
    let daemon = home.start().await;
    for id in ["1", "0", "-1", "abc", "99999999999999999999999"] {
        let path = format!("{DOWNLOADS}/{id}");
        let unknown = (404, "download-unknown".to_owned());
        assert_eq!(refusal(daemon.request(Method::GET, &path)).await, unknown, "{id}");
        assert_eq!(refusal(daemon.request(Method::DELETE, &path)).await, unknown, "{id}");
        let patch = daemon.request(Method::PATCH, &path).json(&json!({ "priority": 1 }));
        assert_eq!(refusal(patch).await, unknown, "{id}");
        for verb in ["pause", "resume", "retry", "cancel"] {
            let order = daemon.request(Method::POST, &format!("{path}/{verb}"));
            assert_eq!(refusal(order).await, unknown, "{verb} {id}");
        }
    }
}
