//! A peer as it is shown.

use serde::Serialize;

use crate::access::Origin;
use crate::config::PeerConfig;

/// A peer as the admin API shows it: no secret is in it.
#[derive(Clone, Debug, Serialize)]
pub struct PeerView {
    /// What we call it.
    pub name: String,
    /// Where it answers.
    pub url: String,
    /// Whether we show it a key.
    pub key: bool,
    /// Names of the headers sent with every request.
    pub headers: Vec<String>,
    /// Whether certificates of its own are trusted for it.
    pub ca: bool,
    /// Downloads from it at once.
    pub max_concurrent: u32,
    /// Bytes per second from it; 0 is no limit.
    pub limit_down: u64,
    /// Whether it answers; unknown until somebody has asked it something.
    pub up: Option<bool>,
    /// When it was added; unknown of those of the configuration.
    pub created_at: Option<String>,
    /// Where it is defined.
    pub origin: Origin,
    /// What is wrong with it, and what to do.
    pub error: Option<String>,
}

/// One of the configuration; what only others have is left open.
pub(super) fn configured_view(name: &str, config: &PeerConfig) -> PeerView {
    PeerView {
        name: name.to_owned(),
        url: config.url.to_string(),
        key: config.key.is_some(),
        headers: config.headers.keys().cloned().collect(),
        ca: config.ca_file().is_some(),
        max_concurrent: config.max_concurrent,
        limit_down: config.limit_down.bytes(),
        up: None,
        created_at: None,
        origin: Origin::File,
        error: None,
    }
}
