//! The one thing the engine needs from an HTTP stack: send a GET, give back the head and a stream of bytes.

use std::error::Error as StdError;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use thiserror::Error;

/// A boxed future, as returned by [`Transport`] and [`crate::Ledger`].
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The body of an answer: frames in order, then the end or an error.
pub type BodyStream = Pin<Box<dyn Stream<Item = Result<Bytes, TransportError>> + Send>>;

/// Sends one GET.
///
/// An implementation must not decode content codings, follow redirects, retry, or impose a total timeout: the engine
/// judges answers as they came, follows and retries by its own rules, and watches the time.
pub trait Transport: Send + Sync + 'static {
    /// Sends `request` (method GET, absolute URI) and resolves when the response head has arrived.
    ///
    /// A request with `Connection: close` (RFC 9112 §9.6) is to go over a connection that has carried no other: the one
    /// before may be dead, slow, or the wrong one (421, RFC 9110 §15.5.20).
    ///
    /// # Cancel safety
    /// Dropping the future or the body must close or return the connection; nothing else is left behind.
    fn get(
        &self,
        request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>>;
}

/// The network failed.
#[derive(Debug, Error)]
#[error("{failure}")]
pub struct TransportError {
    /// What kind of failure it was.
    pub failure: NetworkFailure,
    /// What the HTTP stack says about it.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

/// Kinds of network failure that lead to different decisions.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkFailure {
    /// The name could not be looked up: the resolver is away, or answers with a failure of its own.
    #[error("the peer's name cannot be resolved")]
    Dns,
    /// The resolver says that there is no such name.
    #[error("no host has the peer's name")]
    UnknownHost,
    /// No connection: refused, unreachable, or nobody there.
    #[error("cannot connect to the peer")]
    Connect,
    /// No connection within this time.
    #[error("no connection within {} s", .0.as_secs_f32())]
    ConnectTimeout(Duration),
    /// The peer's certificate or TLS version is not acceptable.
    #[error("the peer's TLS certificate or version is not accepted")]
    Tls,
    /// The peer's certificate does not hold at this moment: it is late in being renewed, or one of the two clocks is
    /// wrong. Nothing that a second attempt would change; a later call may find it mended.
    #[error("the peer's TLS certificate has expired, or does not hold yet")]
    CertificateDates,
    /// The connection broke while a message was on it.
    #[error("the connection broke")]
    Broken,
    /// What came is not HTTP.
    #[error("the peer does not speak proper HTTP")]
    Protocol,
    /// The request itself cannot be sent (URL or header).
    #[error("the request cannot be sent")]
    Request,
}

impl TransportError {
    /// A failure without a cause to show.
    pub fn new(failure: NetworkFailure) -> Self {
        Self { failure, source: None }
    }

    /// A failure with the stack's own error.
    pub fn with_source(failure: NetworkFailure, source: impl StdError + Send + Sync + 'static) -> Self {
        Self { failure, source: Some(Box::new(source)) }
    }

    /// Whether another attempt may get through.
    pub fn is_transient(&self) -> bool {
        match self.failure {
            NetworkFailure::Dns
            | NetworkFailure::UnknownHost
            | NetworkFailure::Connect
            | NetworkFailure::ConnectTimeout(_)
            | NetworkFailure::Broken
            | NetworkFailure::Protocol => true,
            NetworkFailure::Tls | NetworkFailure::CertificateDates | NetworkFailure::Request => false,
        }
    }

    /// Whether the peer cannot be reached for the moment: nobody listens, the name is unknown, or its certificate has to
    /// be renewed first.
    pub fn is_unreachable(&self) -> bool {
        matches!(
            self.failure,
            NetworkFailure::Dns
                | NetworkFailure::UnknownHost
                | NetworkFailure::Connect
                | NetworkFailure::ConnectTimeout(_)
                | NetworkFailure::CertificateDates
        )
    }

    pub(crate) fn is_protocol_fault(&self) -> bool {
        self.failure == NetworkFailure::Protocol
    }

    /// How many more tries it is worth; `None` leaves that to the policy.
    pub(crate) fn tolerance(&self) -> Option<u32> {
        match self.failure {
            // Not the last word: a name can be new, and a resolver that cannot reach the others says so at times.
            NetworkFailure::UnknownHost | NetworkFailure::Protocol => Some(2),
            NetworkFailure::Dns
            | NetworkFailure::Connect
            | NetworkFailure::ConnectTimeout(_)
            | NetworkFailure::Tls
            | NetworkFailure::CertificateDates
            | NetworkFailure::Broken
            | NetworkFailure::Request => None,
        }
    }
}
