//! Reading the configuration again while everything runs: what can be applied is, and a mistake changes nothing.

#[path = "reload/applied.rs"]
mod applied;
#[path = "reload/refused.rs"]
mod refused;
mod support;

use serde_json::{Value, json};

use support::{Answer, Daemon, Home};

/// Writes the configuration and asks the daemon to read it.
async fn reload(home: &Home, daemon: &Daemon) -> Answer {
    home.write_config();
    daemon.post("/api/v1/system/reload", &json!({})).await
}

/// What a reload that must succeed applied, and what it left for the next start.
async fn reloaded(home: &Home, daemon: &Daemon) -> (Value, Value) {
    let answer = reload(home, daemon).await;
    assert_eq!(answer.status, 200, "{answer:?}; {}", daemon.log.tail());
    let mut document = answer.json();
    (document["applied"].take(), document["at_restart"].take())
}
