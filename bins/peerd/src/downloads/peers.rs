//! The peers we know: where they are, what they want to hear, and what they say about an item.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use resume_fetch::{Transport, TransportError};
use retry_kit::{RateLimiter, SharedClock};
use serde::Deserialize;
use thiserror::Error;
use url::Url;

use crate::config::PeerConfig;

/// Every configured peer by name.
#[derive(Clone)]
pub struct Peers {
    peers: Arc<BTreeMap<String, Peer>>,
    transport: Arc<dyn Transport>,
    clock: SharedClock,
}

/// One peer.
#[derive(Clone)]
pub struct Peer {
    base: Url,
    headers: HeaderMap,
    /// Downloads from this peer at once.
    pub(super) max_concurrent: usize,
    pub(super) limit_down: RateLimiter,
}

/// What a peer says about an item: names and sizes from a stranger, to be checked before use.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) filename: Option<String>,
    #[serde(default)]
    pub(super) size: Option<u64>,
}

/// Why a peer said nothing useful about an item.
#[derive(Debug, Error)]
pub(super) enum PeerError {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No answer in time.
    #[error("no answer within {} s", METADATA_TIMEOUT.as_secs())]
    Timeout,
    /// An answer that says no.
    #[error("the peer answered {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// An answer that says nothing.
    #[error("the peer's answer about the item cannot be read")]
    Malformed,
}

/// Why a peer's configuration cannot be used.
#[derive(Debug, Error)]
#[error("peer {peer}: the {what} holds characters no header can carry")]
pub struct UnusablePeer {
    peer: String,
    what: String,
}

impl Peers {
    /// Takes the peers out of the configuration.
    ///
    /// # Errors
    /// When a key or header cannot be sent.
    pub fn new(
        config: &BTreeMap<String, PeerConfig>,
        transport: Arc<dyn Transport>,
        clock: SharedClock,
    ) -> Result<Self, UnusablePeer> {
        let peers = config.iter().map(|(name, config)| Ok((name.clone(), Peer::new(name, config, &clock)?)));
        Ok(Self { peers: Arc::new(peers.collect::<Result<_, _>>()?), transport, clock })
    }

    /// The peer of this name.
    pub fn get(&self, name: &str) -> Option<&Peer> {
        self.peers.get(name)
    }

    /// Asks a peer about an item.
    pub(super) async fn metadata(&self, peer: &Peer, item: &str) -> Result<Metadata, PeerError> {
        let mut request =
            http::Request::get(peer.item_url(item)).body(()).map_err(|_| PeerError::Malformed)?;
        *request.headers_mut() = peer.headers.clone();
        let late = self.clock.sleep(METADATA_TIMEOUT);
        tokio::select! {
            metadata = self.read_metadata(request) => metadata,
            () = late => Err(PeerError::Timeout),
        }
    }

    async fn read_metadata(&self, request: http::Request<()>) -> Result<Metadata, PeerError> {
        let response = self.transport.get(request).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refusal(response.status(), response.headers()));
        }
        let mut text = BytesMut::new();
        let mut body = response.into_body();
        while let Some(frame) = body.try_next().await? {
            if text.len() + frame.len() > MAX_METADATA {
                return Err(PeerError::Malformed);
            }
            text.extend_from_slice(&frame);
        }
        serde_json::from_slice(&text).map_err(|_| PeerError::Malformed)
    }

    fn refusal(&self, status: StatusCode, headers: &HeaderMap) -> PeerError {
        let date = headers.get(DATE).map(HeaderValue::as_bytes);
        let retry_after = retry_kit::retry_after(headers.get_all(RETRY_AFTER), date, self.clock.wall());
        PeerError::Status { status, retry_after }
    }
}

impl Peer {
    fn new(name: &str, config: &PeerConfig, clock: &SharedClock) -> Result<Self, UnusablePeer> {
        let unusable = |what: &str| UnusablePeer { peer: name.to_owned(), what: what.to_owned() };
        let mut headers = HeaderMap::new();
        for (header, value) in &config.headers {
            let name = header.parse::<HeaderName>().map_err(|_| unusable(header))?;
            headers.insert(name, sensitive(value.expose()).ok_or_else(|| unusable(header))?);
        }
        if let Some(key) = &config.key {
            let key = sensitive(key.expose()).ok_or_else(|| unusable("key"))?;
            headers.insert(HeaderName::from_static("x-api-key"), key);
        }
        Ok(Self {
            base: config.url.base().clone(),
            headers,
            max_concurrent: config.max_concurrent as usize,
            limit_down: RateLimiter::new(
                Arc::clone(clock),
                NonZeroU64::new(config.limit_down.bytes()).into(),
            ),
        })
    }

    /// Where the peer's bytes of an item are.
    pub(super) fn file_url(&self, item: &str) -> String {
        format!("{}/file", self.item_url(item))
    }

    fn item_url(&self, item: &str) -> String {
        format!("{}peer/items/{}", self.base, utf8_percent_encode(item, SEGMENT))
    }

    /// The key and the configured headers.
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }
}

fn sensitive(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(value).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Everything but the unreserved characters (RFC 3986 §2.3): an item is one path segment, whatever it contains.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_METADATA: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use resume_fetch::ReqwestTransport;
    use retry_kit::ManualClock;
    use scripted_peer::{Answer, Representation, ScriptedPeer};

    /// One peer, `bob`, and the clock its answers are waited for by.
    fn knowing(url: &str) -> (Peers, ManualClock) {
        let clock = ManualClock::new();
        let bob = PeerConfig {
            key: Some(Secret::new("the-key")),
            headers: BTreeMap::from([("x-colour".to_owned(), Secret::new("red"))]),
            ..peer_config(url)
        };
        let transport = Arc::new(ReqwestTransport::new(Duration::from_secs(10)).unwrap());
        let peers = BTreeMap::from([("bob".to_owned(), bob)]);
        (Peers::new(&peers, transport, Arc::new(clock.clone())).unwrap(), clock)
    }

    fn peer_config(url: &str) -> PeerConfig {
        serde_json::from_value(serde_json::json!({ "url": url })).unwrap()
    }

    #[test]
    fn an_item_is_one_segment_of_the_path_whatever_it_contains() {
        let (peers, _) = knowing("http://bob.example/behind/a/proxy");
        let bob = peers.get("bob").unwrap();
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
        let clock: SharedClock = Arc::new(ManualClock::new());
        for (key, headers, what) in [
            (Some(Secret::new("two\nlines")), BTreeMap::new(), "key"),
            (None, BTreeMap::from([("x-a".to_owned(), Secret::new("secret\0"))]), "x-a"),
            (None, BTreeMap::from([("no header".to_owned(), Secret::new("v"))]), "no header"),
        ] {
            let config = PeerConfig { key, headers, ..peer_config("http://bob.example/") };
            let error = Peer::new("bob", &config, &clock).err().unwrap().to_string();
            assert!(error.contains("bob") && error.contains(what), "{error}");
            assert!(!error.contains("lines") && !error.contains("secret"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_peer_is_asked_with_its_key_and_headers() {
        let bob = ScriptedPeer::start().await;
        let document = r#"{"filename": "film.mkv", "size": 7, "of a later version": true}"#;
        bob.serve("/peer/items/m", Representation::bytes(document));
        let (peers, _) = knowing(&bob.url("/"));
        let metadata = peers.metadata(peers.get("bob").unwrap(), "m").await.unwrap();
        assert_eq!((metadata.filename.as_deref(), metadata.size), (Some("film.mkv"), Some(7)));
        let request = &bob.all_requests()[0];
        assert_eq!((request.header("x-api-key"), request.header("x-colour")), (Some("the-key"), Some("red")));
        let shown = format!("{:?}", peers.get("bob").unwrap().headers());
        assert!(!shown.contains("the-key") && !shown.contains("red"), "{shown}");
    }

    #[tokio::test]
    async fn an_answer_that_says_nothing_useful_is_an_error_that_says_why() {
        let bob = ScriptedPeer::start().await;
        let (peers, _) = knowing(&bob.url("/"));
        let peer = peers.get("bob").unwrap();
        for (body, because) in [
            ("no JSON".to_owned(), "not a document"),
            ("\"film.mkv\"".to_owned(), "not an object"),
            (r#"{"size": -1}"#.to_owned(), "no file has such a size"),
            (format!(r#"{{"filename": "{}"}}"#, "x".repeat(MAX_METADATA)), "longer than anybody needs"),
        ] {
            bob.serve("/peer/items/m", Representation::bytes(body));
            let error = peers.metadata(peer, "m").await.unwrap_err();
            assert!(matches!(error, PeerError::Malformed), "{because}: {error:?}");
        }
        bob.script("/peer/items/m", [Answer::status(429).header("Retry-After", "7"), Answer::status(404)]);
        let patience = peers.metadata(peer, "m").await.unwrap_err();
        let seven = Some(Duration::from_secs(7));
        assert!(
            matches!(patience, PeerError::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after }
            if retry_after == seven),
            "{patience:?}"
        );
        let gone = peers.metadata(peer, "m").await.unwrap_err();
        assert!(
            matches!(gone, PeerError::Status { status: StatusCode::NOT_FOUND, retry_after: None }),
            "{gone:?}"
        );
        bob.go_away().await;
        let away = peers.metadata(peer, "m").await.unwrap_err();
        assert!(matches!(away, PeerError::Transport(_)), "{away:?}");
    }

    #[tokio::test]
    async fn a_peer_that_does_not_answer_is_waited_for_five_seconds() {
        let bob = ScriptedPeer::start().await;
        bob.always("/peer/items/m", Answer::stall_before_head());
        let (peers, clock) = knowing(&bob.url("/"));
        let (answer, ()) = tokio::join!(peers.metadata(peers.get("bob").unwrap(), "m"), async {
            bob.wait_for_requests("/peer/items/m", 1).await;
            clock.advance(METADATA_TIMEOUT);
        });
        assert!(matches!(answer, Err(PeerError::Timeout)), "{answer:?}");
    }
}
