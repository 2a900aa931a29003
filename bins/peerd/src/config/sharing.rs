//! `[keys.NAME]`, `[shares.NAME]` and `[peers.NAME]`: who fetches what from us, and from whom we fetch.
//!
//! Names are 1 to 64 of `A-Z a-z 0-9 . _ -`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;
use super::keys::key;
use super::peer_url::PeerUrl;
use super::secret::Secret;
use super::section::{Section, section};
use super::validate::Verdict;

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
    /// PEM file with certificates that are trusted for this peer, besides those the system trusts. Default none.
    #[serde(default)]
    pub ca_file: PathBuf,
    /// Downloads from this peer at once, at least 1. Default `2`.
    #[serde(default = "two")]
    pub max_concurrent: u32,
    /// Bytes per second from this peer, 0 = no limit. Default `0`.
    #[serde(default)]
    pub limit_down: ByteSize,
}

impl PeerConfig {
    /// The file of the certificates that are trusted for it; `None` where those of the system have to do.
    pub fn ca_file(&self) -> Option<&Path> {
        (!self.ca_file.as_os_str().is_empty()).then_some(&*self.ca_file)
    }
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

pub(crate) const KEYS: Section = section(
    "keys",
    "who may fetch from us",
    &[
        key::<Secret>("keys.NAME.secret", "secret", "the key they present; no two keys share one")
            .required(r#"{ file = "/run/secrets/alice" }"#)
            .live(),
        key::<Vec<String>>(
            "keys.NAME.shares",
            "list of share names",
            "what they see; `*` is every share, the rest answers 404",
        )
        .live(),
    ],
)
.of_entries_like("alice")
.judged_by(Verdict::keys);

pub(crate) const SHARES: Section = section(
    "shares",
    "what we offer",
    &[
        key::<PathBuf>("shares.NAME.path", "path", "a directory; one that is not there is waited for")
            .required(r#""/data/media/movies""#)
            .live(),
        key::<Vec<String>>(
            "shares.NAME.include",
            "list of patterns",
            "what is offered, relative to the path",
        )
        .live(),
        key::<Vec<String>>("shares.NAME.exclude", "list of patterns", "what is left out of it").live(),
        key::<bool>("shares.NAME.follow_symlinks", "boolean", "links are followed, never out of the path")
            .live(),
    ],
)
.of_entries_like("movies")
.judged_by(Verdict::shares);

pub(crate) const PEERS: Section = section(
    "peers",
    "from whom we fetch",
    &[
        key::<PeerUrl>(
            "peers.NAME.url",
            "URL",
            "`http` or `https`, without user name, password, query and fragment",
        )
        .required(r#""https://bob.example/""#)
        .live(),
        key::<Secret>("peers.NAME.key", "secret", "the key we present; `\"\"` is none")
            .example(r#"{ env = "BOB_KEY" }"#)
            .live(),
        key::<BTreeMap<String, Secret>>(
            "peers.NAME.headers",
            "table of secrets",
            "sent with every request; not those peerd sets itself, such as Range or Host",
        )
        .live(),
        key::<PathBuf>(
            "peers.NAME.ca_file",
            "path",
            "PEM file with the certificate of this peer, or of the authority that made it; trusted for it alone",
        )
        .live(),
        key::<u32>("peers.NAME.max_concurrent", "count, from 1", "downloads from this peer at once").live(),
        key::<ByteSize>("peers.NAME.limit_down", "size per second, 0 = no limit", "rate from this peer").live(),
    ],
)
.of_entries_like("bob")
.judged_by(Verdict::peers);
