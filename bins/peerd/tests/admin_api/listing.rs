//! `GET /downloads`: pages, filters, orders.

use reqwest::Method;
use scripted_peer::ScriptedPeer;
use serde_json::json;

use super::{daemon_of, refusal};
use crate::support::{DOWNLOADS, Home, offer};

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_and_without_an_echo() {
    let home = Home::new().knowing("bob", "http://127.0.0.1:9/");
    let daemon = home.start().await;
    let mut ids = Vec::new();
    for n in 0..7 {
        ids.push(
            daemon.add_with(json!({ "url": format!("http://127.0.0.1:9/f{n}.bin"), "paused": true })).await,
        );
    }
    for (sort, newest_first) in
        [("", true), ("&sort=newest", true), ("&sort=oldest", false), ("&sort=name", false)]
    {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = daemon.get(&format!("{DOWNLOADS}?limit=3{sort}{cursor}")).await.json();
            let rows = page["downloads"].as_array().expect("a list").clone();
            assert!(rows.len() <= 3 && !rows.is_empty(), "{page:#}");
            seen.extend(rows.iter().map(|row| row["id"].as_u64().expect("an id")));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        let mut expected = ids.clone();
        if newest_first {
            expected.reverse();
        }
        assert_eq!(seen, expected, "{sort:?}");
    }
}

#[tokio::test]
async fn a_list_can_be_narrowed_by_state_peer_and_words() {
    let peer = ScriptedPeer::start().await;
    offer(&peer, "done", 7, 100);
    let (_home, daemon) = daemon_of(&peer).await;
    let done = daemon.add("bob", "done").await;
    daemon.until_state(done, "completed").await;
    let aside = daemon.add_with(json!({ "url": "http://127.0.0.1:9/100%25_real.mkv", "paused": true })).await;
    let list = async |query: &str| {
        let rows = daemon.get(&format!("{DOWNLOADS}?{query}")).await.json()["downloads"].take();
        let ids = rows.as_array().expect("a list").iter().map(|row| row["id"].as_u64().expect("an id"));
        ids.collect::<Vec<_>>()
    };
    for (query, expected) in [
        ("state=completed", vec![done]),
        ("state=paused", vec![aside]),
        ("state=paused,completed", vec![aside, done]),
        ("state=queued", vec![]),
        ("peer=bob", vec![done]),
        ("peer=nobody", vec![]),
        ("q=DONE", vec![done]),
        ("q=100%25_", vec![aside]),
        ("q=%25", vec![aside]),
        ("state=&peer=&q=&cursor=&sort=&limit=", vec![aside, done]),
    ] {
        assert_eq!(list(query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn a_list_that_makes_no_sense_is_400() {
    let home = Home::new();
    let daemon = home.start().await;
    for n in 0..2 {
        daemon.add_with(json!({ "url": format!("http://127.0.0.1:9/f{n}"), "paused": true })).await;
    }
    let page = daemon.get(&format!("{DOWNLOADS}?limit=1")).await.json();
    let of_another_order = format!("sort=name&cursor={}", page["next"].as_str().expect("a cursor"));
    for query in
        ["state=running", "sort=colour", "cursor=abc", "limit=0", "limit=x", "limit=-1", &of_another_order]
    {
        let request = daemon.request(Method::GET, &format!("{DOWNLOADS}?{query}"));
        assert_eq!(refusal(request).await, (400, "bad-request".into()), "{query}");
    }
    let capped = daemon.get(&format!("{DOWNLOADS}?limit=1000000")).await;
    assert_eq!(capped.status, 200, "more than a page holds is a page");
}
