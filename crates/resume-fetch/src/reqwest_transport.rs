//! [`Transport`] over reqwest: no redirects, no decoding, no retries, no total timeout.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;

use crate::transport::{BodyStream, BoxFuture, NetworkFailure, Transport, TransportError};

/// The transport most callers want: HTTP/1.1 over TCP or TLS.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    connect_timeout: Duration,
}

impl ReqwestTransport {
    /// Builds a client that keeps idle connections for a short while and gives up connecting after `connect_timeout`.
    ///
    /// # Errors
    /// [`NetworkFailure::Request`] when reqwest cannot set up TLS.
    ///
    /// # Side effects
    /// When the process has no rustls provider yet, ring becomes it.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        Self::from_builder(reqwest::Client::builder(), connect_timeout)
    }

    /// As [`ReqwestTransport::new`], on top of a builder with the caller's own certificates, proxies or user agent.
    /// Redirects, retries, referers and timeouts are set here in any case.
    ///
    /// # Errors
    /// [`NetworkFailure::Request`] when the builder refuses.
    pub fn from_builder(
        builder: reqwest::ClientBuilder,
        connect_timeout: Duration,
    ) -> Result<Self, TransportError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Another thread may come first, and then its choice stands.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
        let client = builder
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .build()
            .map_err(|error| TransportError::with_source(NetworkFailure::Request, error))?;
        Ok(Self { client, connect_timeout })
    }

    fn classify(&self, error: reqwest::Error) -> TransportError {
        let error = error.without_url();
        let failure = if error.is_builder()
            || error.is_request() && causes(&error).all(<dyn StdError>::is::<reqwest::Error>)
        {
            NetworkFailure::Request
        } else if error.is_connect() {
            self.connect_failure(&error)
        } else if causes(&error).any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_connection_end))
        {
            NetworkFailure::Broken
        } else if causes(&error).any(is_malformed) {
            NetworkFailure::Protocol
        } else {
            NetworkFailure::Broken
        };
        TransportError::with_source(failure, error)
    }

    fn connect_failure(&self, error: &reqwest::Error) -> NetworkFailure {
        if error.is_timeout() {
            return NetworkFailure::ConnectTimeout(self.connect_timeout);
        }
        // Resolver and TLS errors have no types of their own here; their texts are the only evidence.
        let texts: Vec<String> = causes(error).map(ToString::to_string).collect();
        let says = |words: &[&str]| texts.iter().any(|text| words.iter().any(|word| text.contains(word)));
        if says(&["certificate", "invalid peer", "HandshakeFailure", "ProtocolVersion"]) {
            NetworkFailure::Tls
        } else if says(&["dns error", "failed to lookup", "Name or service not known"]) {
            NetworkFailure::Dns
        } else {
            NetworkFailure::Connect
        }
    }
}

impl Transport for ReqwestTransport {
    fn get(
        &self,
        request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        Box::pin(async move {
            let request = reqwest::Request::try_from(request.map(|()| reqwest::Body::default()))
                .map_err(|error| TransportError::with_source(NetworkFailure::Request, error.without_url()))?;
            let response = self.client.execute(request).await.map_err(|error| self.classify(error))?;
            let mut head = http::Response::new(());
            *head.status_mut() = response.status();
            *head.headers_mut() = response.headers().clone();
            let this = self.clone();
            let body: BodyStream =
                Box::pin(response.bytes_stream().map_err(move |error| this.classify(error)));
            Ok(head.map(|()| body))
        })
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn is_connection_end(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, TimedOut, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | TimedOut | UnexpectedEof)
}

fn is_malformed(error: &(dyn StdError + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput);
    }
    // The stack's own errors have no types of their own here; their texts are the only evidence.
    let text = error.to_string();
    ["invalid HTTP", "invalid content-length", "invalid transfer-encoding", "head is too large"]
        .iter()
        .any(|fault| text.contains(fault))
}

/// Shorter than the keep-alive of common servers, so that a request rarely meets a connection being closed.
const POOL_IDLE: Duration = Duration::from_secs(15);
