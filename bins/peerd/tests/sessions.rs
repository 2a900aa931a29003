//! Sessions of the web page: the key once, a cookie from then on, and no other page may use it.

mod support;

use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use support::{Answer, DOWNLOADS, Daemon, Home};

const SESSION: &str = "/api/v1/session";

/// The cookie of an answer, as a browser sends it back.
fn cookie(answer: &Answer) -> String {
    answer.field("set-cookie").split(';').next().expect("a cookie").to_owned()
}

fn ours(daemon: &Daemon) -> String {
    format!("http://{}", daemon.admin)
}

async fn logged_in(daemon: &Daemon) -> String {
    let answer = Answer::to(daemon.request(Method::POST, SESSION)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    cookie(&answer)
}

#[tokio::test]
async fn a_session_stands_for_the_key_until_it_is_ended() {
    let home = Home::new();
    let daemon = home.start().await;
    let answer = Answer::to(daemon.request(Method::POST, SESSION)).await;
    let set = answer.field("set-cookie");
    for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure") && !set.contains(&daemon.key), "{set}");
    let cookie = cookie(&answer);
    let list = || daemon.bare(Method::GET, DOWNLOADS).header("cookie", &cookie);
    assert_eq!(Answer::to(list()).await.status, 200);
    let events =
        daemon.bare(Method::GET, "/api/v1/events").header("cookie", &cookie).send().await.expect("a stream");
    assert_eq!(events.status().as_u16(), 200, "EventSource can send nothing but cookies");
    let out = daemon.bare(Method::DELETE, SESSION).header("cookie", &cookie).header("origin", ours(&daemon));
    let out = Answer::to(out).await;
    assert!(out.status == 204 && out.field("set-cookie").contains("Max-Age=0"), "{out:?}");
    assert_eq!(Answer::to(list()).await.status, 401);
    let rest = tokio::time::timeout(Duration::from_secs(20), events.text()).await;
    assert!(rest.is_ok_and(|rest| rest.is_ok()), "its stream ends with it");
    assert!(!daemon.log.text().contains(&cookie), "no log names it");
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_right_key_is_never_locked_out() {
    let home = Home::new().with(json!({ "auth": { "failed_limit": "3/h" } }));
    let daemon = home.start().await;
    let by_header = || Answer::to(daemon.bare(Method::GET, DOWNLOADS).bearer_auth("wrong-wrong-wrong"));
    let log_in = |body| Answer::to(daemon.bare(Method::POST, SESSION).json(&body));
    assert_eq!(by_header().await.status, 401);
    assert_eq!(log_in(json!({ "key": "wrong" })).await.status, 401);
    assert_eq!(log_in(json!({ "token": "wrong" })).await.problem(), "link-spent");
    assert_eq!(by_header().await.problem(), "too-many-wrong-keys");
    for body in [json!({ "key": "wrong" }), json!({ "token": "wrong" })] {
        let answer = log_in(body).await;
        assert!(answer.status == 429 && !answer.field("retry-after").is_empty(), "{answer:?}");
    }
    assert_eq!(daemon.get(DOWNLOADS).await.status, 200);
    assert_eq!(log_in(json!({ "key": daemon.key })).await.status, 200);
    daemon.cli(["--api-key-file", "/dev/null", "ls"]).await.expect_code(74);
}

#[tokio::test]
async fn only_our_own_page_may_change_something_with_a_session() {
    let home = Home::new();
    let daemon = home.start().await;
    let cookie = logged_in(&daemon).await;
    let own = ours(&daemon);
    let neighbour = format!("http://127.0.0.1:{}", daemon.admin.port() ^ 1);
    for (origin, status) in [
        (Some(own.as_str()), 200),
        (None, 403),
        (Some(neighbour.as_str()), 403),
        (Some("http://evil.example"), 403),
    ] {
        let mut request =
            daemon.bare(Method::PUT, "/api/v1/limits").header("cookie", &cookie).json(&json!({}));
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{origin:?}: {answer:?}");
    }
    let reading = daemon.bare(Method::GET, DOWNLOADS).header("cookie", &cookie).header("origin", &neighbour);
    assert_eq!(Answer::to(reading).await.problem(), "origin-not-allowed");
    for (site, status) in [("same-origin", 200), ("none", 200), ("same-site", 403), ("cross-site", 403)] {
        let request =
            daemon.bare(Method::GET, DOWNLOADS).header("cookie", &cookie).header("sec-fetch-site", site);
        let answer = Answer::to(request).await;
        assert_eq!(answer.status, status, "{site}: {answer:?}");
        assert_eq!(answer.field("cross-origin-resource-policy"), "same-origin");
        assert_eq!(answer.field("x-content-type-options"), "nosniff");
    }
    let with_key =
        daemon.request(Method::PUT, "/api/v1/limits").header("origin", &neighbour).json(&json!({}));
    assert_eq!(Answer::to(with_key).await.status, 200, "nobody sends our key by accident");
    let forced = daemon.request(Method::POST, SESSION).header("origin", &neighbour);
    assert_eq!(Answer::to(forced).await.status, 403, "nor is anybody logged in from elsewhere");
}

#[tokio::test]
async fn a_daemon_without_a_key_obeys_its_own_page_and_no_other() {
    let home = Home::new().with(json!({ "admin": { "require_key": false } }));
    let daemon = home.start().await;
    let set = |origin: String| {
        let request = daemon.bare(Method::PUT, "/api/v1/limits").json(&json!({}));
        Answer::to(request.header("origin", origin))
    };
    assert_eq!(set(ours(&daemon)).await.status, 200);
    assert_eq!(set("http://localhost:3000".to_owned()).await.status, 403);
}

#[tokio::test]
async fn whoever_shows_no_key_is_not_let_in() {
    let home = Home::new();
    let daemon = home.start().await;
    for (document, problem) in [
        (json!({}), "key-missing"),
        (json!({ "key": "wrong" }), "key-wrong"),
        (json!({ "token": "prl_wrong" }), "link-spent"),
    ] {
        let answer = Answer::to(daemon.bare(Method::POST, SESSION).json(&document)).await;
        assert_eq!((answer.status, answer.problem().as_str()), (401, problem), "{document}");
        assert!(answer.field("set-cookie").is_empty());
    }
    let by_body = Answer::to(daemon.bare(Method::POST, SESSION).json(&json!({ "key": daemon.key }))).await;
    assert_eq!(by_body.status, 200, "{by_body:?}");
    let forged = daemon.bare(Method::GET, DOWNLOADS);
    let forged = forged.header("cookie", format!("peerd-{}=prs_0000", daemon.admin.port()));
    assert_eq!(Answer::to(forged).await.status, 401);
    let cookie = logged_in(&daemon).await;
    let wrong_key =
        daemon.bare(Method::GET, DOWNLOADS).header("cookie", &cookie).header("x-api-key", "wrong");
    assert_eq!(Answer::to(wrong_key).await.problem(), "key-wrong", "a key that is shown counts");
    daemon.terminate().await;
    let daemon = home.start().await;
    let after = daemon.bare(Method::GET, DOWNLOADS).header("cookie", &cookie);
    assert_eq!(Answer::to(after).await.status, 401, "a restart ends every session");
}

#[tokio::test]
async fn a_link_logs_in_once() {
    let home = Home::new();
    let daemon = home.start().await;
    let link = daemon.cli(["ui"]).await.expect_code(0).stdout.trim().to_owned();
    let token = link.strip_prefix(&format!("{}/#token=", ours(&daemon))).expect("a token behind the hash");
    let use_it = || {
        daemon.bare(Method::POST, SESSION).header("origin", ours(&daemon)).json(&json!({ "token": token }))
    };
    let first = Answer::to(use_it()).await;
    assert_eq!(first.status, 200, "{first:?}");
    let listed = daemon.bare(Method::GET, DOWNLOADS).header("cookie", cookie(&first));
    assert_eq!(Answer::to(listed).await.status, 200);
    assert_eq!(Answer::to(use_it()).await.problem(), "link-spent");
    assert!(!daemon.log.text().contains(token));
    let stranger = Answer::to(daemon.bare(Method::POST, "/api/v1/session/link")).await;
    assert_eq!(stranger.status, 401);
}

#[tokio::test]
async fn the_page_is_there_for_everybody_guarded_and_can_be_switched_off() {
    let home = Home::new();
    let daemon = home.start().await;
    for (path, kind) in
        [("/", "text/html"), ("/ui/style.css", "text/css"), ("/ui/main.js", "text/javascript")]
    {
        let page = Answer::to(daemon.bare(Method::GET, path)).await;
        assert!(page.status == 200 && page.field("content-type").starts_with(kind), "{path}: {page:?}");
        let policy = page.field("content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(!page.body.contains(&daemon.key) && page.field("x-content-type-options") == "nosniff");
    }
    let home = Home::new().with(json!({ "admin": { "ui": false } }));
    let daemon = home.start().await;
    for path in ["/", "/ui/main.js"] {
        assert_eq!(Answer::to(daemon.bare(Method::GET, path)).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_keyed_request_sent_twice_does_its_work_once() {
    let home = Home::new();
    let daemon = home.start().await;
    let add = |key: &str, item: &str| {
        let document = json!({ "url": format!("http://127.0.0.1:9/{item}"), "paused": true });
        Answer::to(daemon.request(Method::POST, DOWNLOADS).header("idempotency-key", key).json(&document))
    };
    let first = add("k1", "a").await;
    let second = add("k1", "a").await;
    assert_eq!((first.status, second.status), (201, 201));
    assert_eq!((first.json(), first.field("location")), (second.json(), second.field("location")));
    assert_eq!(add("k1", "b").await.problem(), "idempotency-key-reused");
    assert_eq!(add("k2", "b").await.status, 201);
    let rows = daemon.get(DOWNLOADS).await.json();
    assert_eq!(rows["downloads"].as_array().map(Vec::len), Some(2));
    assert_eq!(add(&"x".repeat(300), "c").await.status, 400);
}
