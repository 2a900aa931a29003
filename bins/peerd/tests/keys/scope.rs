//! A key for some shares sees those and nothing of the others.

use serde_json::{Value, json};

use super::life::shown_with;
use crate::support::{Home, eventually, seeded_file};

#[tokio::test]
async fn a_key_for_one_share_sees_one_share() {
    let home = Home::sharing();
    let music = home.path("music");
    std::fs::create_dir(&music).expect("a directory");
    let home = home.with(json!({ "shares": { "music": { "path": music } } }));
    seeded_file(home.shared("film.mkv"), 1, 1000);
    seeded_file(home.path("music").join("song.flac"), 2, 1000);
    let daemon = home.start().await;
    let (film, _song) = (daemon.item("film.mkv").await, daemon.item("song.flac").await);
    let made =
        daemon.cli(["key", "create", "carol", "--share", "music", "--json"]).await.expect_code(0).json();
    assert_eq!(made["shares"], json!(["music"]));
    let key = made["secret"].as_str().expect("a secret");
    let names = eventually(async || {
        let items = shown_with(&daemon, key).await.json()["items"].take();
        let names: Vec<Value> = items.as_array()?.iter().map(|item| item["filename"].clone()).collect();
        Some(names).filter(|names| !names.is_empty())
    });
    assert_eq!(names.await.expect("a list"), [json!("song.flac")]);
    let url = format!("http://{}/peer/items/{film}", daemon.peer);
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let foreign = client.get(url).header("x-api-key", key).send().await.expect("an answer");
    assert_eq!(foreign.status().as_u16(), 404);
    let unknown = daemon.cli(["key", "create", "dave", "--share", "musik"]).await.expect_code(1);
    assert!(unknown.stderr.contains("musik") && unknown.stdout.is_empty(), "{unknown:?}");
}
