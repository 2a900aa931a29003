//! What a crash left, and what the next start makes of it: a row in some state, its part file, and the file under its
//! final name. Each combination has a test, and a line in `docs/recovery.md`.
//!
//! A row is written through the registry, the files beside it are made, then the real daemon is started on them.

#[path = "recovery/crash_points.rs"]
mod crash_points;
#[path = "recovery/fetching.rs"]
mod fetching;
#[path = "recovery/in_line.rs"]
mod in_line;
#[path = "recovery/over.rs"]
mod over;
#[path = "recovery/page.rs"]
mod page;
#[path = "recovery/start_up.rs"]
mod start_up;
#[path = "recovery/strangers.rs"]
mod strangers;
mod support;
#[path = "recovery/whole.rs"]
mod whole;

use scripted_peer::ScriptedPeer;

use support::{Daemon, Home, Left, MIB, Stage, Staged, offer};

/// A machine that fetches from `peer` under the name `bob`.
fn home_of(peer: &ScriptedPeer) -> Home {
    Home::new().knowing("bob", peer.url("/"))
}

/// A peer that has the item `m`: the first mebibyte of the stream of seed 7.
async fn bob() -> (ScriptedPeer, String) {
    let peer = ScriptedPeer::start().await;
    let path = offer(&peer, "m", 7, MIB);
    (peer, path)
}

/// A row for that item, left in this state with so many bytes on record. There is no file yet.
async fn left(home: &Home, left: Left, durable: u64) -> Staged {
    left_with(home, left, durable, None).await
}

/// As [`left`], for a file that must have this digest.
async fn left_with(home: &Home, left: Left, durable: u64, blake3: Option<[u8; 32]>) -> Staged {
    Stage { item: "m", seed: 7, total: MIB, durable, left, blake3 }.set(home).await
}

/// The first bytes asked for by the requests for `path`, from the `skip`-th on; 0 for the whole.
fn asked_from(peer: &ScriptedPeer, path: &str, skip: usize) -> Vec<u64> {
    let requests = peer.requests(path);
    requests[skip..].iter().map(|request| request.asked().map_or(0, |(start, _)| start)).collect()
}

/// Waits until the daemon has said something about `part` that contains `words`.
async fn said(daemon: &Daemon, words: &str, part: &std::path::Path) {
    let part = part.to_str().expect("a readable path");
    let about = |event: &serde_json::Value| {
        (event["message"].as_str()?.contains(words) && event["part"] == part).then_some(())
    };
    daemon.log.wait_for(&format!("{words:?} about {part}"), about).await;
}
