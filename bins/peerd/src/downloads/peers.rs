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
