//! One bounded question to a peer, and what can come of it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::header::{ACCEPT_ENCODING, DATE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use resume_fetch::TransportError;
use thiserror::Error;

use super::{Directory, Peer};

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why a peer gave no useful answer to a question of its owner's.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AskError {
    /// No answer.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// No answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// Our key is not accepted.
    #[error("the peer refuses our key ({0})")]
    KeyRefused(StatusCode),
    /// An answer that says no.
    #[error("the peer answered {status}")]
    Status {
        /// What it answered.
        status: StatusCode,
        /// How long it asks us to wait.
        retry_after: Option<Duration>,
    },
    /// An answer that makes no sense, or is longer than anybody needs.
    #[error("the peer's answer cannot be used: {0}")]
    Malformed(&'static str),
}

impl Directory {
    /// Sends one GET to the peer, with its key and headers, and reads at most `max` bytes of the answer.
    pub(super) async fn ask(
        &self,
        peer: &Peer,
        path: &str,
        more: &[(HeaderName, HeaderValue)],
        max: usize,
    ) -> Result<Reply, AskError> {
        let request = http::Request::get(peer.url(path)).body(());
        let mut request = request.map_err(|_| AskError::Malformed("its address cannot be asked for"))?;
        *request.headers_mut() = peer.headers().clone();
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request.headers_mut().extend(more.iter().cloned());
        let late = self.clock.sleep(PATIENCE);
        tokio::select! {
            reply = read(peer, request, max) => reply,
            () = late => Err(AskError::Timeout(PATIENCE)),
        }
    }

    /// Asks for a document; anything but 200 is an error.
    pub(super) async fn document(&self, peer: &Peer, path: &str, max: usize) -> Result<Reply, AskError> {
        let reply = self.ask(peer, path, &[], max).await?;
        match reply.status.as_u16() {
            200 => Ok(reply),
            401 | 403 | 407 => Err(AskError::KeyRefused(reply.status)),
            _ => {
                let date = reply.headers.get(DATE).map(HeaderValue::as_bytes);
                let hints = reply.headers.get_all(RETRY_AFTER);
                let retry_after = retry_kit::retry_after(hints, date, self.clock.wall());
                Err(AskError::Status { status: reply.status, retry_after })
            }
        }
    }
}

async fn read(peer: &Peer, request: http::Request<()>, max: usize) -> Result<Reply, AskError> {
    let (head, mut body) = peer.way().transport.get(request).await?.into_parts();
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.try_next().await? {
        if bytes.len() + frame.len() > max {
            return Err(AskError::Malformed("it is too long"));
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(Reply { status: head.status, headers: head.headers, body: bytes.freeze() })
}

/// For one answer, from the connection to its last byte.
const PATIENCE: Duration = Duration::from_secs(10);
