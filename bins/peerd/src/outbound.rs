//! Ways out: to peers, and to programs that are none and often carry a key, such as importers and webhooks.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use reqwest::ClientBuilder;
use resume_fetch::{NetworkFailure, ReqwestTransport, Transport, TransportError};

use crate::tls::Trust;

/// The ways to peers: one for all who are vouched for by the system's authorities, and one of its own for each that
/// has a `ca_file`. All speak HTTP/1.1: what several connections to a peer are worth, streams of one are not.
#[derive(Clone, Debug)]
pub struct Ways {
    connect_timeout: Duration,
    common: ReqwestTransport,
}

/// A way to one peer, and what makes it different from the common one.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) transport: Arc<dyn Transport>,
    /// Whose certificates are taken besides those everybody's are; `None` is the common way.
    pub(crate) trust: Option<Trust>,
}

/// Why there is no way to a peer.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoWay(String);

impl Ways {
    /// Ways on which connecting takes at most this long.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(connect_timeout: Duration) -> Result<Self, TransportError> {
        let tls = Trust::default().client_config();
        let tls = tls.map_err(|error| TransportError::with_source(NetworkFailure::Tls, error))?;
        let common = ReqwestTransport::with_settings(connect_timeout, as_peerd(tls))?;
        Ok(Self { connect_timeout, common })
    }

    /// The way to peers that need none of their own.
    pub fn common(&self) -> ReqwestTransport {
        self.common.clone()
    }

    /// What a `ca_file` holds now; blocks. `None` without one.
    pub(crate) fn trust(ca_file: Option<&Path>) -> Result<Option<Trust>, NoWay> {
        ca_file.map(Trust::read).transpose().map_err(|error| NoWay(format!("ca_file: {error}")))
    }

    /// The way to a peer whose certificates are trusted like this.
    pub(crate) fn to(&self, trust: Option<Trust>) -> Result<Way, NoWay> {
        let Some(trusted) = &trust else {
            return Ok(Way { transport: Arc::new(self.common.clone()), trust });
        };
        let tls = trusted.client_config().map_err(|error| NoWay(format!("ca_file: {error}")))?;
        let transport = ReqwestTransport::with_settings(self.connect_timeout, as_peerd(tls));
        let transport = transport.map_err(|error| NoWay(resume_fetch::describe(&error)))?;
        Ok(Way { transport: Arc::new(transport), trust })
    }
}

fn as_peerd(tls: rustls::ClientConfig) -> impl Fn(ClientBuilder) -> ClientBuilder + Send + Sync + 'static {
    move |client| client.no_proxy().user_agent(USER_AGENT).tls_backend_preconfigured(tls.clone())
}

/// A client whose requests go to the address they are made to and nowhere else: no redirect, no proxy, no second try.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn client(connect_timeout: Duration) -> anyhow::Result<reqwest::Client> {
    let tls = Trust::default().client_config().context("cannot set up TLS")?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .user_agent(USER_AGENT)
        .build()
        .context("cannot set up HTTP")
}

/// The innermost cause of a failure: what the system said.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

const USER_AGENT: &str = concat!("peerd/", env!("CARGO_PKG_VERSION"));

/// Shorter than what servers keep an idle connection for.
const IDLE: Duration = Duration::from_secs(4);
