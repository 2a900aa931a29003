//! Kills and restarts: whatever moment the process dies at, the next one knows what it holds and goes on by itself.

#[path = "restart/drain.rs"]
mod drain;
#[path = "restart/failing.rs"]
mod failing;
#[path = "restart/kill.rs"]
mod kill;
#[path = "restart/refused.rs"]
mod refused;
mod support;

use scripted_peer::ScriptedPeer;

use support::Home;

/// A machine that fetches from `peer` under the name `bob`, and tries for ever.
fn home_of(peer: &ScriptedPeer) -> Home {
    Home::new().knowing("bob", peer.url("/"))
}
