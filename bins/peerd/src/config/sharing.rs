//! `[keys.NAME]`, `[shares.NAME]` and `[peers.NAME]`: who fetches what from us, and from whom we fetch.
//!
//! Names are 1 to 64 of `A-Z a-z 0-9 . _ -`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;
use super::peer_url::PeerUrl;
use super::secret::Secret;

/// `[keys.NAME]`: somebody who may fetch from us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// The key they present. Required.
    pub secret: Secret,
    /// Names of the shares they see; `*` is all of them. Default `["*"]`.
    #[serde(default = "all_shares")]
    pub shares: Vec<String>,
}

/// `[shares.NAME]`: a directory peers may fetch from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShareConfig {
    /// An absolute directory that exists. Required.
    pub path: PathBuf,
    /// Patterns of what is offered, relative to `path`. Default `["**"]`.
    #[serde(default = "include_all")]
    pub include: Vec<String>,
    /// Patterns of what is left out of it. Default `["**/.*", "**/*.part"]`.
    #[serde(default = "exclude_hidden_and_partial")]
    pub exclude: Vec<String>,
    /// Whether links are followed; never out of `path`. Default `false`.
    #[serde(default)]
    pub follow_symlinks: bool,
}

/// `[peers.NAME]`: somebody we fetch from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// Where the peer answers. Required.
    pub url: PeerUrl,
    /// The key we present; a peer on loopback may need none. Default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// Headers sent with every request to this peer; their values are secrets. Default `{}`.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Downloads from this peer at once, at least 1. Default `2`.
    #[serde(default = "two")]
    pub max_concurrent: u32,
    /// Bytes per second from this peer, 0 = no limit. Default `0`.
    #[serde(default)]
    pub limit_down: ByteSize,
}

fn all_shares() -> Vec<String> {
    vec!["*".to_owned()]
}

fn include_all() -> Vec<String> {
    vec!["**".to_owned()]
}

fn exclude_hidden_and_partial() -> Vec<String> {
    vec!["**/.*".to_owned(), "**/*.part".to_owned()]
}

fn two() -> u32 {
    2
}
