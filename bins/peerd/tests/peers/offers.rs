//! `peer items`: the list of a peer, whatever it looks like.

use reqwest::Method;
use scripted_peer::{Answer as Scripted, Representation, ScriptedPeer};
use serde_json::json;

use crate::support::{Answer, Daemon, Home, seeded_file};

const ITEMS: &str = "/api/v1/peers/bob/items";

async fn knowing(url: String) -> (Home, Daemon) {
    let home = Home::new().knowing("bob", url);
    let daemon = home.start().await;
    (home, daemon)
}

#[tokio::test]
async fn a_list_is_passed_on_page_by_page_and_can_be_searched() {
    let sharing = Home::sharing();
    for n in 0..5 {
        seeded_file(sharing.shared(&format!("film {n}.mkv")), n, 100 + n);
    }
    let sharer = sharing.start().await;
    sharer.item("film 4.mkv").await;
    let (_home, daemon) = knowing(sharer.base()).await;
    let (mut names, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = daemon.get(&format!("{ITEMS}?limit=2{cursor}")).await;
        assert_eq!(page.status, 200, "{page:?}");
        let page = page.json();
        let items = page["items"].as_array().expect("a list");
        assert!(items.len() <= 2);
        names.extend(items.iter().map(|item| item["filename"].as_str().expect("a name").to_owned()));
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names.len(), 5, "{names:?}");
    let found = daemon.get(&format!("{ITEMS}?q=film+3")).await.json();
    assert_eq!(found["items"][0]["filename"], "film 3.mkv");
    let printed = daemon.cli(["peer", "items", "bob", "--search", "film 3"]).await.expect_code(0).stdout;
    assert!(printed.contains("film 3.mkv") && printed.lines().count() == 1, "{printed}");
    let all = daemon.cli(["peer", "items", "bob", "--json"]).await.expect_code(0).json();
    assert_eq!(all.as_array().map(Vec::len), Some(5));
    daemon.cli(["peer", "items", "nobody"]).await.expect_code(4);
}

#[tokio::test]
async fn what_a_hostile_peer_says_is_checked_before_it_is_shown() {
    let bob = ScriptedPeer::start().await;
    let document = json!({ "items": [
        { "id": "a", "filename": "\u{1b}[2Jfilm\u{202e}vkm.exe", "size": 1 }, { "id": "../../etc" , "size": "big" },
        { "id": "x\r\ny" }, 5,
    ], "next": null });
    bob.serve("/peer/items", Representation::bytes(document.to_string()));
    let (_home, daemon) = knowing(bob.url("/")).await;
    let items = daemon.get(ITEMS).await.json()["items"].take();
    assert_eq!(items.as_array().map(Vec::len), Some(2), "{items:#}");
    assert_eq!(items[0]["filename"], "[2Jfilmvkm.exe");
    let printed = daemon.cli(["peer", "items", "bob"]).await.expect_code(0).stdout;
    assert!(!printed.contains('\u{1b}'), "{printed:?}");
}

#[tokio::test]
async fn a_peer_that_gives_no_list_is_a_bad_gateway_that_says_why() {
    let bob = ScriptedPeer::start().await;
    let (_home, daemon) = knowing(bob.url("/")).await;
    for (answer, status, problem, code) in [
        (Scripted::status(401), 502, "peer-key-refused", 77),
        (Scripted::status(500), 502, "peer-error", 1),
        (Scripted::redirect("http://127.0.0.1:9/"), 502, "peer-error", 1),
        (Scripted::close_before_head(), 502, "peer-unreachable", 69),
    ] {
        bob.always("/peer/items", answer);
        let refused = Answer::to(daemon.request(Method::GET, ITEMS)).await;
        assert_eq!((refused.status, refused.problem().as_str()), (status, problem), "{refused:?}");
        daemon.cli(["peer", "items", "bob"]).await.expect_code(code);
    }
    bob.serve("/peer/items", Representation::bytes("<html>"));
    bob.go_away().await;
    let away = Answer::to(daemon.request(Method::GET, ITEMS)).await;
    assert_eq!((away.status, away.problem().as_str()), (502, "peer-unreachable"));
}

#[tokio::test]
async fn a_peer_of_the_original_system_shows_its_catalogue() {
    let bob = ScriptedPeer::start().await;
    bob.always("/peer/items", Scripted::status(404));
    let release =
        |n: u32| json!({ "id": format!("33cf6f5d:movie:{n}"), "title": format!("Film {n}"), "size": 5 });
    let document = json!({ "items": [release(1), release(2), release(3)] });
    bob.serve("/peer/search", Representation::bytes(document.to_string()));
    let (_home, daemon) = knowing(bob.url("/")).await;
    let first = daemon.get(&format!("{ITEMS}?limit=2")).await.json();
    assert_eq!(
        (first["items"][0]["id"].as_str(), first["next"].as_str()),
        (Some("33cf6f5d:movie:1"), Some("2"))
    );
    let found = daemon.get(&format!("{ITEMS}?q=film+3")).await.json();
    assert_eq!(found["items"][0]["id"], "33cf6f5d:movie:3");
}
