//! [`Transport`] over reqwest: no redirects, no decoding, no retries, no total timeout.

mod failure;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::TryStreamExt;

use self::failure::failure;
use crate::transport::{BodyStream, BoxFuture, NetworkFailure, Transport, TransportError};

/// The transport most callers want: HTTP/1.1 over TCP or TLS.
#[derive(Clone, Debug)]
pub struct ReqwestTransport {
    client: reqwest::Client,
    fresh: Option<Arc<Fresh>>,
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
        Self::with_settings(connect_timeout, |builder| builder)
    }

    /// As [`ReqwestTransport::new`], with the caller's own certificates, proxies or user agent. Redirects, retries,
    /// referers and timeouts are set here in any case.
    ///
    /// `settings` is called at once, and a second time when the first request wants a connection of its own: reqwest
    /// reuses what lies idle for every request of a client, so those get a client that keeps nothing.
    ///
    /// # Errors
    /// [`NetworkFailure::Request`] when the builder refuses.
    pub fn with_settings(
        connect_timeout: Duration,
        settings: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync + 'static,
    ) -> Result<Self, TransportError> {
        let transport = Self::from_builder(settings(reqwest::Client::builder()), connect_timeout)?;
        let fresh = Fresh { settings: Box::new(settings), client: OnceLock::new() };
        Ok(Self { fresh: Some(Arc::new(fresh)), ..transport })
    }

    /// As [`ReqwestTransport::with_settings`], for a builder that can be had only once: a request that wants a
    /// connection of its own may then meet an idle one.
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
        let client = build(builder.pool_idle_timeout(POOL_IDLE), connect_timeout)?;
        Ok(Self { client, fresh: None, connect_timeout })
    }

    fn client_for(&self, request: &http::Request<()>) -> Result<&reqwest::Client, TransportError> {
        match &self.fresh {
            Some(fresh) if is_the_only_one(request) => fresh.client(self.connect_timeout),
            _ => Ok(&self.client),
        }
    }

    fn failed(&self, error: reqwest::Error) -> TransportError {
        let error = error.without_url();
        TransportError::with_source(failure(&error, self.connect_timeout), error)
    }
}

impl Transport for ReqwestTransport {
    fn get(
        &self,
        request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        Box::pin(async move {
            let client = self.client_for(&request)?;
            let request = reqwest::Request::try_from(request.map(|()| reqwest::Body::default()))
                .map_err(|error| TransportError::with_source(NetworkFailure::Request, error.without_url()))?;
            let response = client.execute(request).await.map_err(|error| self.failed(error))?;
            let mut head = http::Response::new(());
            *head.status_mut() = response.status();
            *head.headers_mut() = response.headers().clone();
            let this = self.clone();
            let body: BodyStream = Box::pin(response.bytes_stream().map_err(move |error| this.failed(error)));
            Ok(head.map(|()| body))
        })
    }
}

/// The client for requests that must not meet a connection somebody used before, built when the first of them comes.
struct Fresh {
    settings: Box<dyn Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder + Send + Sync>,
    client: OnceLock<reqwest::Client>,
}

impl Fresh {
    fn client(&self, connect_timeout: Duration) -> Result<&reqwest::Client, TransportError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let builder = (self.settings)(reqwest::Client::builder()).pool_max_idle_per_host(0);
        let client = build(builder, connect_timeout)?;
        Ok(self.client.get_or_init(|| client))
    }
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").finish_non_exhaustive()
    }
}

/// Whether its connection is for this request alone.
fn is_the_only_one(request: &http::Request<()>) -> bool {
    let options = request.headers().get_all(http::header::CONNECTION);
    options.iter().any(|options| options.as_bytes().eq_ignore_ascii_case(b"close"))
}

fn build(
    builder: reqwest::ClientBuilder,
    connect_timeout: Duration,
) -> Result<reqwest::Client, TransportError> {
    builder
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .build()
        .map_err(|error| TransportError::with_source(NetworkFailure::Request, error))
}

/// Shorter than the keep-alive of common servers, so that a request rarely meets a connection being closed.
const POOL_IDLE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests;
