//! The watch folder: what becomes of a file that is dropped there. Each test has a line in `docs/watch-folder.md`.

#[path = "watch/again.rs"]
mod again;
#[path = "watch/command.rs"]
mod command;
#[path = "watch/crowd.rs"]
mod crowd;
#[path = "watch/dropped.rs"]
mod dropped;
#[path = "watch/folder.rs"]
mod folder;
#[path = "watch/killed.rs"]
mod killed;
#[path = "watch/left_alone.rs"]
mod left_alone;
#[path = "watch/original.rs"]
mod original;
#[path = "watch/page.rs"]
mod page;
mod support;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use peerd::stub::{Prefix, Torrent};
use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use support::{DOWNLOADS, Daemon, Home, eventually};

/// A machine that knows `peer` as `bob` and watches a folder, which is there already.
fn watching(peer: &ScriptedPeer) -> Home {
    let home = Home::new().knowing("bob", peer.url("/"));
    let dir = home.path("watch");
    std::fs::create_dir(&dir).expect("a directory");
    home.with(json!({ "watch": { "dir": dir, "rescan": "500ms", "settle": "50ms" } }))
}

/// A stub that asks `peer` for `item`.
fn stub(peer: &str, item: &str) -> Vec<u8> {
    let (peer, item) = (peer.to_owned(), item.to_owned());
    Torrent { prefix: Prefix::Jack, name: Some(item.clone()), size: Some(1), peer, item }.to_bytes()
}

/// What other machines call the peer: the first eight hex digits of the SHA-256 of its URL.
fn id_of(peer: &ScriptedPeer) -> String {
    Sha256::digest(peer.url("/"))[..4].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Drops a file into the watched folder by writing it there.
fn drop_file(home: &Home, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = home.path("watch").join(name);
    std::fs::write(&path, bytes).expect("a file");
    path
}

/// Drops a stub for an item of `bob`, called like the item.
fn drop_stub(home: &Home, item: &str) -> PathBuf {
    drop_file(home, &format!("{item}.torrent"), stub("bob", item))
}

async fn gone(path: &Path, daemon: &Daemon) {
    let gone = eventually(async || (!path.exists()).then_some(())).await;
    assert!(gone.is_some(), "{} stays; {}", path.display(), daemon.log.tail());
}

/// Waits until the daemon has said something about the file of this name that contains `words`.
async fn said(daemon: &Daemon, words: &str, name: &str) {
    let about = |event: &Value| {
        let file = event["stub"].as_str().or(event["file"].as_str())?;
        (event["message"].as_str()?.contains(words) && file == name).then_some(())
    };
    daemon.log.wait_for(&format!("{words:?} about {name}"), about).await;
}

/// How often it has.
fn times_said(daemon: &Daemon, words: &str, name: &str) -> usize {
    let log = daemon.log.text();
    let events = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let about = |event: &Value| event["stub"] == name || event["file"] == name;
    events
        .filter(|event| event["message"].as_str().is_some_and(|said| said.contains(words)) && about(event))
        .count()
}

/// Waits until the watcher has looked at the folder again, and done what followed.
async fn looked_again(home: &Home, daemon: &Daemon) {
    // What is seen later than the rest was decided later, too.
    static MARKERS: AtomicUsize = AtomicUsize::new(0);
    let name = format!("marker-{}.txt", MARKERS.fetch_add(1, Ordering::Relaxed));
    let marker = drop_file(home, &name, "");
    said(daemon, "left alone", &name).await;
    std::fs::remove_file(marker).expect("the marker");
}

async fn rows(daemon: &Daemon) -> Vec<Value> {
    let mut rows = daemon.get(&format!("{DOWNLOADS}?sort=oldest&limit=1000")).await.json();
    rows["downloads"].take().as_array().cloned().expect("a list")
}

/// Waits for the first row and returns its id.
async fn taken(daemon: &Daemon) -> u64 {
    let id = eventually(async || rows(daemon).await.first()?["id"].as_u64()).await;
    id.unwrap_or_else(|| panic!("no row; {}", daemon.log.tail()))
}

/// How often the bytes of an item were asked for.
fn fetches(peer: &ScriptedPeer, item: &str) -> usize {
    peer.requests(&format!("/peer/items/{item}/file")).len()
}

/// How often what the item is was asked for.
fn questions(peer: &ScriptedPeer, item: &str) -> usize {
    peer.requests(&format!("/peer/items/{item}")).len()
}
