//! Who is let in to the admin API, and what becomes of those who are not.

use std::sync::atomic::Ordering;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::AdminApi;
use super::document::Document;
use super::routes::Route;
use super::session::{self, Login, Session};
use crate::http::ConnectionInfo;
use crate::http::auth::{Caller, Refusal};
use crate::http::body::Body;
use crate::http::failed_limit::too_many_wrong_keys;
use crate::http::problem::Problem;
use crate::metrics;

impl AdminApi {
    /// Lets probes pass; everything else needs an allowed name, and the key or a session that stands for it. Returns
    /// the session, if it was that.
    pub(super) fn admit(
        &self,
        route: Option<Route>,
        request: &Request<Incoming>,
        connection: &ConnectionInfo,
    ) -> Result<Option<Session>, Problem> {
        if route.is_some_and(Route::is_probe) {
            return Ok(None);
        }
        let (method, headers) = (request.method(), request.headers());
        self.allowed_hosts.check(headers)?;
        if route.is_some_and(Route::is_open) {
            return session::same_origin(method, headers, false).map(|()| None);
        }
        if route == Some(Route::Metrics) && !self.metrics_key.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let refusal = match self.keys.authenticate(headers) {
            // Nobody sends our key by accident, wherever the page is from.
            Ok(Caller::Key(_)) => return Ok(None),
            Ok(Caller::Anyone) => return session::same_origin(method, headers, false).map(|()| None),
            Err(refusal) => refusal,
        };
        match self.sessions.vouch_for(headers, connection.local.port()) {
            Some(session) if refusal == Refusal::Missing => {
                session::same_origin(method, headers, true).map(|()| Some(session))
            }
            _ => Err(self.refuse(refusal, connection)),
        }
    }

    /// Begins a session for whoever shows the key or a link.
    pub(super) async fn log_in(
        &self,
        request: Request<Incoming>,
        connection: &ConnectionInfo,
    ) -> Result<Response<Body>, Problem> {
        let headers = request.headers().clone();
        let shown = Document::read(request).await?;
        let port = connection.local.port();
        self.sessions.log_in(&self.keys, &headers, port, shown).map_err(|login| match login {
            Login::Refused(refusal) => self.refuse(refusal, connection),
            Login::SpentLink => {
                self.count_refusal();
                if let Err(problem) = self.count_wrong_key(connection) {
                    return problem;
                }
                let title = "The link was used before, or is too old";
                Problem::new(StatusCode::UNAUTHORIZED, "link-spent", title)
                    .with_detail("get a new one with: peerd ui")
            }
            Login::Unreadable(problem) => problem,
        })
    }

    fn refuse(&self, refusal: Refusal, connection: &ConnectionInfo) -> Problem {
        self.count_refusal();
        match refusal {
            Refusal::Wrong => self.count_wrong_key(connection).err().unwrap_or_else(|| refusal.problem()),
            _ => refusal.problem(),
        }
    }

    fn count_refusal(&self) {
        self.metrics.auth_failures.get_or_create(&metrics::Listener { listener: "admin".into() }).inc();
    }

    /// Counts a wrong key of this address.
    ///
    /// # Errors
    /// 429 when there were too many before.
    fn count_wrong_key(&self, connection: &ConnectionInfo) -> Result<(), Problem> {
        let (client, now) = (connection.peer.ip(), Instant::now());
        self.failed_limit.check(client, now).map_err(too_many_wrong_keys)?;
        self.failed_limit.failed(client, now);
        tracing::info!(%client, "refused a wrong key for the admin API");
        Ok(())
    }
}
