//! The queue: who runs when, how often a failure is tried again, and what an order does.

#[path = "queue/attempts.rs"]
mod attempts;
#[path = "queue/figures.rs"]
mod figures;
#[path = "queue/names.rs"]
mod names;
#[path = "queue/orders.rs"]
mod orders;
#[path = "queue/permits.rs"]
mod permits;
#[path = "queue/sources.rs"]
mod sources;
#[path = "queue/storage.rs"]
mod storage;
mod support;

use std::collections::BTreeMap;

use scripted_peer::ScriptedPeer;
use serde_json::{Value, json};

use support::{DOWNLOADS, Daemon, Home};

/// A machine with one peer, `bob`, and these settings of `[downloads]`.
#[expect(clippy::needless_pass_by_value, reason = "every call makes it on the spot")]
fn home_with(peer: &ScriptedPeer, downloads: Value) -> Home {
    let wide = json!({ "max_concurrent": 64 });
    Home::new()
        .knowing("bob", peer.url("/"))
        .with(json!({ "downloads": downloads, "peers": { "bob": wide } }))
}

/// How many rows there are of each state.
async fn states(daemon: &Daemon) -> BTreeMap<String, usize> {
    let rows = daemon.get(DOWNLOADS).await.json()["downloads"].take();
    let mut counts = BTreeMap::new();
    for row in rows.as_array().expect("a list") {
        *counts.entry(row["state"].as_str().expect("a state").to_owned()).or_default() += 1;
    }
    counts
}

/// The items whose bytes were asked for, in order.
fn served(peer: &ScriptedPeer) -> Vec<String> {
    let mut requests = peer.all_requests();
    requests.sort_by_key(|request| request.order);
    let item = |path: &str| Some(path.strip_prefix("/peer/items/")?.strip_suffix("/file")?.to_owned());
    requests.iter().filter_map(|request| item(&request.path)).collect()
}
