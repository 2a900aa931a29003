//! What is said about requests.

use reqwest::Method;
use serde_json::json;

use crate::support::{Answer, Home};

#[tokio::test]
async fn every_answer_of_both_listeners_has_the_number_its_lines_have() {
    let home = Home::sharing().with(json!({ "log": { "level": "debug" } }));
    let daemon = home.start().await;
    for answer in
        [daemon.get("/api/v1/limits").await, daemon.ask("/peer/items").await, daemon.ask("/ping").await]
    {
        let id = answer.field("x-request-id").to_owned();
        assert_eq!(id.len(), 16, "{answer:?}");
        let line = daemon.log.wait_for("its line", |line| {
            (line["message"] == "answered" && line["span"]["request_id"] == id.as_str()).then(|| line.clone())
        });
        assert_eq!(line.await["status"], 200);
    }
    let given = daemon.request(Method::GET, "/api/v1/limits").header("x-request-id", "proxy-7");
    assert_eq!(Answer::to(given).await.field("x-request-id"), "proxy-7");
}

#[tokio::test]
async fn refusals_are_told_without_being_asked_for_and_successes_are_not() {
    let home = Home::sharing();
    let daemon = home.start().await;
    daemon.get("/api/v1/limits").await;
    daemon.ask("/peer/items?q=private").await;
    let refused = daemon.bare(Method::GET, "/api/v1/limits?token=private").header("x-api-key", "wrong");
    assert_eq!(Answer::to(refused).await.status, 401);
    let missing = daemon.ask("/peer/items/films:nothing/file").await;
    let line =
        daemon.log.wait_for("the missing item", |line| (line["status"] == 404).then(|| line.clone())).await;
    assert_eq!(line["span"]["request_id"], missing.field("x-request-id"));
    assert_eq!((&line["level"], &line["path"]), (&json!("INFO"), &json!("/peer/items/films:nothing/file")));
    let text = daemon.log.text();
    assert_eq!(text.matches("\"answered\"").count(), 2, "{text}");
    assert!(!text.contains("private"), "a query is not logged: {text}");
}

#[tokio::test]
async fn behind_a_trusted_proxy_every_line_names_the_client_and_elsewhere_nobodys_word_is_taken() {
    for (proxies, client) in [(json!(["127.0.0.1"]), json!("192.0.2.7")), (json!([]), json!(null))] {
        let home = Home::sharing().with(json!({ "server": { "trusted_proxies": proxies } }));
        let daemon = home.start().await;
        let refused = reqwest::Client::new().get(format!("{}handshake", daemon.base()));
        let refused = refused.header("x-api-key", "wrong").header("x-forwarded-for", "192.0.2.7");
        assert_eq!(Answer::to(refused).await.status, 401);
        let line = daemon
            .log
            .wait_for("its line", |line| (line["message"] == "answered").then(|| line.clone()))
            .await;
        assert_eq!(line["span"]["client"], client, "{line}");
    }
}
