//! What a peer says about an item.

use std::time::Duration;

use bytes::BytesMut;
use futures_util::TryStreamExt;
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use resume_fetch::TransportError;
use serde::Deserialize;
use thiserror::Error;

use super::{Directory, Peer, Peers};

/// Names and sizes from a stranger, to be checked before use.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::downloads) struct Metadata {
    #[serde(default)]
    pub(in crate::downloads) filename: Option<String>,
    #[serde(default)]
    pub(in crate::downloads) size: Option<u64>,
}

/// Why a peer said nothing useful about an item.
#[derive(Debug, Error)]
pub(in crate::downloads) enum PeerError {
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

impl Peers {
    /// Asks a peer about an item.
    pub(in crate::downloads) async fn metadata(
        &self,
        peer: &Peer,
        item: &str,
    ) -> Result<Metadata, PeerError> {
        let mut request =
            http::Request::get(peer.item_url(item)).body(()).map_err(|_| PeerError::Malformed)?;
        *request.headers_mut() = peer.headers().clone();
        let late = self.shared.clock.sleep(METADATA_TIMEOUT);
        tokio::select! {
            metadata = self.shared.read_metadata(peer, request) => metadata,
            () = late => Err(PeerError::Timeout),
        }
    }
}

impl Directory {
    async fn read_metadata(&self, peer: &Peer, request: http::Request<()>) -> Result<Metadata, PeerError> {
        let response = peer.way().transport.get(request).await?;
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

const METADATA_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_METADATA: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use retry_kit::ManualClock;
    use scripted_peer::{Answer, Representation, ScriptedPeer};

    use super::*;
    use crate::config::{PeerConfig, Secret};

    /// One peer, `bob`, and the clock its answers are waited for by.
    fn knowing(url: &str) -> (Peers, ManualClock) {
        let clock = ManualClock::new();
        let bob = PeerConfig {
            key: Some(Secret::new("the-key")),
            headers: BTreeMap::from([("x-colour".to_owned(), Secret::new("red"))]),
            ..serde_json::from_value(serde_json::json!({ "url": url })).unwrap()
        };
        let ways = crate::outbound::Ways::new(Duration::from_secs(10)).unwrap();
        let peers = BTreeMap::from([("bob".to_owned(), bob)]);
        (Peers::new(&peers, ways, Arc::new(clock.clone())).unwrap(), clock)
    }

    #[tokio::test]
    async fn a_peer_is_asked_with_its_key_and_headers() {
        let bob = ScriptedPeer::start().await;
        let document = r#"{"filename": "film.mkv", "size": 7, "of a later version": true}"#;
        bob.serve("/peer/items/m", Representation::bytes(document));
        let (peers, _) = knowing(&bob.url("/"));
        let metadata = peers.metadata(&peers.get("bob").unwrap(), "m").await.unwrap();
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
        let peer = &peers.get("bob").unwrap();
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
        let bob_as_known = peers.get("bob").unwrap();
        let (answer, ()) = tokio::join!(peers.metadata(&bob_as_known, "m"), async {
            bob.wait_for_requests("/peer/items/m", 1).await;
            clock.advance(METADATA_TIMEOUT);
        });
        assert!(matches!(answer, Err(PeerError::Timeout)), "{answer:?}");
    }
}
