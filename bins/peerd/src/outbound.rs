//! Calls to programs that are no peers, and often carry a key: importers and webhooks.

use std::time::Duration;

use anyhow::Context;

/// A client whose requests go to the address they are made to and nowhere else: no redirect, no proxy, no second try.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn client(connect_timeout: Duration) -> anyhow::Result<reqwest::Client> {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Somebody else may have been quicker; then theirs is used.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(connect_timeout)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("peerd/", env!("CARGO_PKG_VERSION")))
        .build()
        .context("cannot set up HTTP")
}

/// The innermost cause of a failure: what the system said.
pub(crate) fn root_cause(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

/// Shorter than what servers keep an idle connection for.
const IDLE: Duration = Duration::from_secs(4);
