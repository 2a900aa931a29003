#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod answer;
mod body;
mod connection;
mod delivery;
mod deviation;
mod gate;
mod honest;
mod link;
mod log;
mod pacer;
mod peer;
mod relay;
mod reply;
mod representation;
mod route;
mod seeded;
mod server;

use std::time::Duration;

pub use crate::answer::Answer;
pub use crate::gate::Gate;
pub use crate::link::Link;
pub use crate::log::RecordedRequest;
pub use crate::peer::ScriptedPeer;
pub use crate::relay::Relay;
pub use crate::representation::Representation;
pub use crate::seeded::{assert_same_bytes, seeded_bytes};

/// Waits for what a test expects, but not for ever: a test that hangs tells nobody why.
async fn patience<T>(expected: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(PATIENCE, expected).await.ok()
}

const PATIENCE: Duration = Duration::from_secs(60);
