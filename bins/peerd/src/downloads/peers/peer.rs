//! One peer: where it is and what it wants to hear.

use std::num::NonZeroU64;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use retry_kit::{RateLimiter, SharedClock};
use thiserror::Error;

use crate::config::PeerConfig;
use crate::outbound::{NoWay, Way, Ways};

/// One peer, as it was configured when it was taken out of the directory.
pub struct Peer {
    name: String,
    config: PeerConfig,
    headers: HeaderMap,
    way: Way,
    pub(in crate::downloads) limit_down: RateLimiter,
}

/// A peer that can be put in force: all that could fail has been done.
pub struct Draft {
    name: String,
    config: PeerConfig,
    headers: HeaderMap,
    way: Way,
}

/// Why a peer's configuration cannot be used.
#[derive(Debug, Error)]
#[error("peer {peer}: {flaw}")]
pub struct UnusablePeer {
    peer: String,
    flaw: Flaw,
}

/// What is wrong with a peer's configuration.
#[derive(Debug, Error)]
enum Flaw {
    /// What would have to be sent cannot be.
    #[error("the {0} holds characters no header can carry")]
    Unsendable(String),
    /// Its certificates cannot be used.
    #[error(transparent)]
    NoWay(#[from] NoWay),
}

impl UnusablePeer {
    /// Whether the certificates that are trusted for it are to blame.
    pub fn is_about_certificates(&self) -> bool {
        matches!(self.flaw, Flaw::NoWay(_))
    }
}

impl Draft {
    /// Reads what a peer needs; blocks. Where the certificates are those of `before`, so is the way.
    ///
    /// # Errors
    /// When a key or header cannot be sent, or the `ca_file` cannot be used.
    pub(super) fn new(
        name: &str,
        config: PeerConfig,
        before: Option<&Peer>,
        ways: &Ways,
    ) -> Result<Self, UnusablePeer> {
        let unusable = |flaw| UnusablePeer { peer: name.to_owned(), flaw };
        let headers = headers(&config).map_err(|what| unusable(Flaw::Unsendable(what)))?;
        let trust = Ways::trust(config.ca_file()).map_err(|error| unusable(error.into()))?;
        // Connections that are there were made under the certificates of before.
        let way = match before.filter(|before| before.way.trust == trust) {
            Some(before) => before.way.clone(),
            None => ways.to(trust).map_err(|error| unusable(error.into()))?,
        };
        Ok(Self { name: name.to_owned(), config, headers, way })
    }

    /// What it is to be called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is made of.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// Whether `peer` is already what this would make of it.
    pub(super) fn is_as(&self, peer: &Peer) -> bool {
        self.config == peer.config && self.way.trust == peer.way.trust
    }
}

impl Peer {
    /// A peer in the place of `before`, whose rate limit goes on at the new rate.
    pub(super) fn new(draft: Draft, before: Option<&Peer>, clock: &SharedClock) -> Self {
        let Draft { name, config, headers, way } = draft;
        let rate = NonZeroU64::new(config.limit_down.bytes()).into();
        let limit_down = match before {
            Some(before) => before.limit_down.clone(),
            None => RateLimiter::new(Arc::clone(clock), rate),
        };
        limit_down.set_rate(rate);
        Self { name, config, headers, way, limit_down }
    }

    /// What it is called here.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it was made of.
    pub fn config(&self) -> &PeerConfig {
        &self.config
    }

    /// How it is reached.
    pub(in crate::downloads) fn way(&self) -> &Way {
        &self.way
    }

    /// Downloads from this peer at once.
    pub(in crate::downloads) fn max_concurrent(&self) -> usize {
        self.config.max_concurrent as usize
    }

    /// Where the peer's bytes of an item are.
    pub(in crate::downloads) fn file_url(&self, item: &str) -> String {
        self.url(&Self::file_path(item))
    }

    /// The same, below the address of the peer.
    pub(super) fn file_path(item: &str) -> String {
        format!("{}/file", item_path(item))
    }

    /// Where it describes an item.
    pub(super) fn item_url(&self, item: &str) -> String {
        self.url(&item_path(item))
    }

    /// An address of the peer; `path` begins without a slash.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.config.url.base())
    }

    /// The key and the configured headers.
    pub(in crate::downloads) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn item_path(item: &str) -> String {
    format!("peer/items/{}", utf8_percent_encode(item, SEGMENT))
}

/// Everything that goes with a request, or the name of what cannot.
fn headers(config: &PeerConfig) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (header, value) in &config.headers {
        let name = header.parse::<HeaderName>().map_err(|_| header.clone())?;
        headers.insert(name, sensitive(value.expose()).ok_or_else(|| header.clone())?);
    }
    if let Some(key) = &config.key {
        let key = sensitive(key.expose()).ok_or_else(|| "key".to_owned())?;
        headers.insert(HeaderName::from_static("x-api-key"), key);
    }
    Ok(headers)
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Everything but the unreserved characters (RFC 3986 §2.3): an item is one path segment, whatever it contains.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use retry_kit::ManualClock;
    use url::Url;

    use super::*;
    use crate::config::Secret;

    fn peer_config(url: &str) -> PeerConfig {
        serde_json::from_value(serde_json::json!({ "url": url })).unwrap()
    }

    fn peer(config: PeerConfig) -> Result<Peer, UnusablePeer> {
        let clock: SharedClock = Arc::new(ManualClock::new());
        let ways = Ways::new(std::time::Duration::from_secs(1)).unwrap();
        Ok(Peer::new(Draft::new("bob", config, None, &ways)?, None, &clock))
    }

    #[test]
    fn an_item_is_one_segment_of_the_path_whatever_it_contains() {
        let bob = peer(peer_config("http://bob.example/behind/a/proxy")).unwrap();
        for (item, segment) in [
            ("films:aGVsbG8", "films%3AaGVsbG8"),
            ("a/../../b", "a%2F..%2F..%2Fb"),
            ("a?b#c", "a%3Fb%23c"),
            ("50 % ü", "50%20%25%20%C3%BC"),
        ] {
            let base = "http://bob.example/behind/a/proxy/peer/items";
            assert_eq!(bob.file_url(item), format!("{base}/{segment}/file"));
            let url = Url::parse(&bob.file_url(item)).unwrap();
            assert_eq!(url.as_str(), bob.file_url(item), "nobody on the way reads it differently");
        }
    }

    #[test]
    fn what_no_header_can_carry_is_refused_without_showing_it() {
        for (key, headers, what) in [
            (Some(Secret::new("two\nlines")), BTreeMap::new(), "key"),
            (None, BTreeMap::from([("x-a".to_owned(), Secret::new("secret\0"))]), "x-a"),
            (None, BTreeMap::from([("no header".to_owned(), Secret::new("v"))]), "no header"),
        ] {
            let config = PeerConfig { key, headers, ..peer_config("http://bob.example/") };
            let error = peer(config).err().unwrap().to_string();
            assert!(error.contains("bob") && error.contains(what), "{error}");
            assert!(!error.contains("lines") && !error.contains("secret"), "{error}");
        }
    }
}
