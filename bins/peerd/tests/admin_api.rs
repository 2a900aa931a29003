//! The admin API: for its owner alone, and the same answer to the same question every time.

#[path = "admin_api/access.rs"]
mod access;
#[path = "admin_api/adding.rs"]
mod adding;
#[path = "admin_api/changing.rs"]
mod changing;
#[path = "admin_api/health.rs"]
mod health;
#[path = "admin_api/limits.rs"]
mod limits;
#[path = "admin_api/listing.rs"]
mod listing;
mod support;

use scripted_peer::ScriptedPeer;

use support::{Answer, Daemon, Home};

async fn daemon_of(peer: &ScriptedPeer) -> (Home, Daemon) {
    let home = Home::new().knowing("bob", peer.url("/"));
    let daemon = home.start().await;
    (home, daemon)
}

/// Asks, and gives the status and the name of the problem.
async fn refusal(request: reqwest::RequestBuilder) -> (u16, String) {
    let answer = Answer::to(request).await;
    (answer.status, answer.problem())
}
