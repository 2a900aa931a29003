//! The folder itself: missing, taken away, replaced.

use std::fs;

use scripted_peer::{ScriptedPeer, assert_same_bytes};
use serde_json::json;

use super::support::{Home, offer};
use super::{drop_stub, gone, watching};

async fn unreadable_told(daemon: &super::Daemon) {
    let about = |event: &serde_json::Value| {
        event["message"].as_str()?.contains("cannot be read; make it").then_some(())
    };
    daemon.log.wait_for("that the folder cannot be read", about).await;
}

#[tokio::test]
async fn a_missing_folder_is_made_at_the_start_and_a_flag_can_name_it() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = Home::new().knowing("bob", bob.url("/")).with(json!({ "watch": { "settle": "10ms" } }));
    let mut serve = home.serve();
    serve.arg("--watch-dir").arg(home.path("deep/below/watch"));
    let daemon = super::Daemon::start(&home, serve).await;
    let made = super::eventually(async || home.path("deep/below/watch").is_dir().then_some(())).await;
    assert!(made.is_some(), "{}", daemon.log.tail());
    let stub = home.path("deep/below/watch/m.torrent");
    fs::write(&stub, super::stub("bob", "m")).unwrap();
    gone(&stub, &daemon).await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_told_of_and_waited_for() {
    let bob = ScriptedPeer::start().await;
    offer(&bob, "m", 7, 1000);
    let home = watching(&bob);
    fs::remove_dir(home.path("watch")).unwrap();
    fs::write(home.path("watch"), "in the way").unwrap();
    let daemon = home.start().await;
    unreadable_told(&daemon).await;
    fs::remove_file(home.path("watch")).unwrap();
    fs::create_dir(home.path("watch")).unwrap();
    gone(&drop_stub(&home, "m"), &daemon).await;
    assert_same_bytes(home.completed("m.bin"), 7, 1000);
}

#[tokio::test]
async fn a_folder_that_goes_away_is_told_of_once_and_taken_up_where_it_comes_back() {
    let bob = ScriptedPeer::start().await;
    for item in ["a", "b"] {
        offer(&bob, item, 7, 1000);
    }
    let home = watching(&bob);
    let daemon = home.start().await;
    gone(&drop_stub(&home, "a"), &daemon).await;
    fs::rename(home.path("watch"), home.path("elsewhere")).unwrap();
    unreadable_told(&daemon).await;
    assert!(!home.path("watch").exists(), "the disk may be away: nothing is put in its place");
    // Another folder under the name: nothing tells of changes in it until it is looked at.
    fs::create_dir(home.path("watch")).unwrap();
    gone(&drop_stub(&home, "b"), &daemon).await;
    assert_eq!(daemon.log.text().matches("cannot be read; make it").count(), 1);
}

#[tokio::test]
async fn with_downloads_disabled_the_folder_is_left_alone() {
    let bob = ScriptedPeer::start().await;
    let home = watching(&bob).with(json!({ "downloads": { "enabled": false } }));
    let stub = drop_stub(&home, "m");
    let daemon = home.start().await;
    let told = |event: &serde_json::Value| {
        event["message"].as_str()?.contains("downloads are disabled").then_some(())
    };
    daemon.log.wait_for("that the folder is left alone", told).await;
    assert!(stub.exists() && bob.all_requests().is_empty());
}
