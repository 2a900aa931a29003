//! The admin API: the queue and the health of this daemon, for its owner alone.

mod admission;
mod content;
mod description;
mod document;
mod downloads;
mod events;
mod health;
mod hosts;
mod imports;
mod keys;
mod limits;
mod page;
mod peers;
mod repeats;
mod routes;
mod session;
mod system;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use retry_kit::SharedClock;
use serde_json::json;

use self::document::Document;
use self::repeats::Repeats;
use self::routes::{Route, routes};
use self::session::{Session, Sessions};
use super::ConnectionInfo;
use super::auth::Keys;
use super::body::{self, Body};
use super::failed_limit::FailedLimit;
use super::page::Query;
use super::problem::Problem;
use super::router::{Match, Params, Router};
use super::transfers::Transfers;
use crate::access::{KeyRing, Listening, PeerBook};
use crate::config::{AdminConfig, AuthConfig};
use crate::downloads::Downloads;
use crate::events::Events;
use crate::import::Imports;
use crate::library::{Library, RescanError};
use crate::metrics::{self, Metrics};
use crate::moment::rfc3339;

pub use hosts::AllowedHosts;
pub use limits::Limits;
pub use routes::addresses;
pub use system::{Started, System};

/// Everything the admin listener answers.
pub struct AdminApi {
    downloads: Downloads,
    imports: Imports,
    library: Arc<Library>,
    metrics: Arc<Metrics>,
    events: Arc<Events>,
    limits: Limits,
    keys: Keys,
    failed_limit: FailedLimit,
    metrics_key: AtomicBool,
    allowed_hosts: AllowedHosts,
    ui: bool,
    access: Access,
    sessions: Sessions,
    repeats: Repeats,
    system: System,
    router: Router<Route>,
}

/// Who may fetch from us, and whom we fetch from.
pub struct Access {
    /// Inbound keys.
    pub keys: Arc<KeyRing>,
    /// Peers.
    pub peers: Arc<PeerBook>,
    /// Where a friend reaches us.
    pub listening: Listening,
    /// Who reads from us right now.
    pub transfers: Arc<Transfers>,
}

/// Who may speak to the admin API.
#[derive(Debug)]
pub struct AdminOptions {
    /// The keys that open it.
    pub keys: Keys,
    /// How many wrong keys one address may send.
    pub failed_limit: FailedLimit,
    /// Whether `/metrics` wants the key.
    pub metrics_key: bool,
    /// Names the listener may be reached under.
    pub allowed_hosts: AllowedHosts,
    /// Whether the web page is there.
    pub ui: bool,
}

impl AdminApi {
    /// Serves `downloads` and what surrounds them to whoever `options` let in.
    #[expect(clippy::too_many_arguments, reason = "every piece it shows")]
    pub fn new(
        downloads: Downloads,
        imports: Imports,
        library: Arc<Library>,
        metrics: Arc<Metrics>,
        events: Arc<Events>,
        limits: Limits,
        access: Access,
        options: AdminOptions,
        system: System,
        clock: SharedClock,
    ) -> Arc<Self> {
        let AdminOptions { keys, failed_limit, metrics_key, allowed_hosts, ui } = options;
        let metrics_key = AtomicBool::new(metrics_key);
        let (sessions, repeats) = (Sessions::new(Arc::clone(&clock)), Repeats::new(clock));
        let router = routes();
        Arc::new(Self {
            downloads,
            imports,
            library,
            metrics,
            events,
            limits,
            keys,
            failed_limit,
            metrics_key,
            allowed_hosts,
            ui,
            access,
            sessions,
            repeats,
            system,
            router,
        })
    }

    /// Changes who may speak to it, from the next request on.
    pub fn reconfigure(&self, auth: &AuthConfig, admin: &AdminConfig) {
        self.keys.set_required(admin.require_key);
        self.failed_limit.set(auth.failed_limit.max, auth.failed_limit.per);
        self.metrics_key.store(admin.metrics_key && admin.require_key, Ordering::Relaxed);
        self.allowed_hosts.replace(admin.allowed_hosts.clone());
    }

    /// Answers one request.
    ///
    /// # Cancel safety
    /// Safe. An order under way is carried out or not, never half.
    pub async fn handle(
        self: Arc<Self>,
        request: Request<Incoming>,
        connection: Arc<ConnectionInfo>,
    ) -> Response<Body> {
        let mut response = self.answer(request, &connection).await.unwrap_or_else(Problem::into_response);
        for (name, value) in OURS_ALONE {
            response.headers_mut().insert(name, value);
        }
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &ConnectionInfo,
    ) -> Result<Response<Body>, Problem> {
        let found = self.router.find(request.method(), request.uri());
        let route = match &found {
            Match::Found(route, _) => Some(**route),
            _ => None,
        };
        // Before anything else, so that nobody without a key learns which addresses there are.
        let session = self.admit(route, &request, connection)?;
        match found {
            Match::Found(route, params) => self.dispatch(*route, &params, request, connection, session).await,
            Match::MethodNotAllowed(allow) => Err(Problem::method_not_allowed(allow)),
            Match::NotFound => Err(Problem::not_found()),
        }
    }

    async fn dispatch(
        &self,
        route: Route,
        params: &Params,
        request: Request<Incoming>,
        connection: &ConnectionInfo,
        session: Option<Session>,
    ) -> Result<Response<Body>, Problem> {
        let query = Query::of(request.uri());
        match route {
            Route::Health => Ok(text("ok\n", "text/plain; charset=utf-8")),
            Route::Ready => Ok(health::ready(&self.downloads).await),
            Route::Metrics => {
                health::measure(&self.downloads, &self.metrics).await;
                let exposition = self.metrics.exposition().map_err(|_| Problem::internal())?;
                Ok(text(exposition, metrics::CONTENT_TYPE))
            }
            Route::List => downloads::list(&self.downloads, &query).await,
            Route::Add => self.add(request).await,
            Route::Show => downloads::show(&self.downloads, params).await,
            Route::History => downloads::history(&self.downloads, params).await,
            Route::Ranges => downloads::ranges(&self.downloads, params).await,
            Route::Patch => downloads::patch(&self.downloads, params, Document::read(request).await?).await,
            Route::Delete => downloads::delete(&self.downloads, params, &query).await,
            Route::Pause => {
                downloads::ordered(&self.downloads, self.downloads.pause(downloads::id(params)?).await)
            }
            Route::Resume => {
                downloads::ordered(&self.downloads, self.downloads.resume(downloads::id(params)?).await)
            }
            Route::Retry => {
                downloads::ordered(&self.downloads, self.downloads.retry(downloads::id(params)?).await)
            }
            Route::Cancel => {
                downloads::ordered(&self.downloads, self.downloads.cancel(downloads::id(params)?).await)
            }
            Route::Content => {
                let id = downloads::id(params)?;
                content::serve(&self.downloads, &self.metrics, id, &request.into_parts().0).await
            }
            Route::Import => {
                let wish = Document::read(request).await?;
                imports::retry(&self.imports, &self.downloads, params, wish).await
            }
            Route::Imports => Ok(imports::list(&self.imports)),
            Route::TestImport => imports::test(&self.imports, params.get("name")).await,
            Route::Events => Ok(events::follow(&self.events, &self.downloads, request.headers(), session)),
            Route::Transfers => Ok(body::json(StatusCode::OK, &self.access.transfers.view())),
            Route::Limits => Ok(limits::show(&self.limits)),
            Route::SetLimits => limits::set(&self.limits, Document::read(request).await?),
            Route::Shares => Ok(self.shares()),
            Route::Rescan => self.rescan(params.get("name")).await,
            Route::System => Ok(system::show(&self.system, &self.downloads, &self.limits).await),
            Route::Reload => system::reload(&self.system).await,
            Route::Peers => Ok(peers::list(&self.access)),
            Route::AddPeer => peers::add(&self.access, Document::read(request).await?).await,
            Route::ShowPeer => peers::show(&self.access, params.get("name")),
            Route::RemovePeer => peers::remove(&self.access, params.get("name")).await,
            Route::PeerItems => peers::items(&self.access, params.get("name"), &query).await,
            Route::TestPeer => peers::test(&self.access, params.get("name")).await,
            Route::Keys => Ok(keys::list(&self.access)),
            Route::CreateKey => {
                keys::create(&self.access, &self.library, Document::read(request).await?).await
            }
            Route::RevokeKey => keys::revoke(&self.access, params.get("name")).await,
            Route::LogIn => self.log_in(request, connection).await,
            Route::LogOut => Ok(self.sessions.log_out(request.headers(), connection.local.port())),
            Route::Link => self.sessions.link(),
            Route::Description => Ok(description::show()),
            Route::Page if self.ui => Ok(page::show()),
            Route::PagePart if self.ui => page::part(params.get("part")),
            Route::Page | Route::PagePart => Err(Problem::not_found()),
        }
    }

    /// Queues a download, once per `Idempotency-Key`.
    async fn add(&self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let (headers, downloads) = (request.headers().clone(), self.downloads.clone());
        let (new, imports) = (Document::read(request).await?, self.imports.clone());
        let fingerprint = new.fingerprint();
        let adding = async move { downloads::add(&downloads, &imports, new).await };
        self.repeats.once(&headers, fingerprint, adding).await
    }

    fn shares(&self) -> Response<Body> {
        let shares: Vec<_> = self
            .library
            .shares()
            .into_iter()
            .map(|share| {
                json!({
                    "name": share.name,
                    "path": share.root,
                    "items": share.report.map(|report| report.items),
                    "bytes": share.report.map(|report| report.bytes),
                    "scanned_at": share.scanned_at.map(rfc3339),
                    "error": share.error,
                })
            })
            .collect();
        body::json(StatusCode::OK, &json!({ "shares": shares }))
    }

    async fn rescan(&self, name: &str) -> Result<Response<Body>, Problem> {
        match self.library.rescan(name).await {
            Ok(report) => Ok(body::json(StatusCode::OK, &report)),
            Err(RescanError::Unknown) => {
                Err(Problem::new(StatusCode::NOT_FOUND, "share-unknown", "There is no share of that name"))
            }
            Err(error) => Err(Problem::unavailable(Duration::from_secs(5)).with_detail(error.to_string())),
        }
    }
}

fn text(content: impl Into<bytes::Bytes>, kind: &'static str) -> Response<Body> {
    let mut response = Response::new(body::full(content));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

fn no_content() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// No page of another origin may show an answer in itself, nor take it for what it does not claim to be.
const OURS_ALONE: [(HeaderName, HeaderValue); 2] = [
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
];

/// 503 for trouble of ours that may pass; the reason is in the log.
fn registry_failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %resume_fetch::describe(error), "the registry failed");
    Problem::unavailable(Duration::from_secs(5))
}

/// 201 with the address of what was made.
fn created(location: &str, document: &impl serde::Serialize) -> Response<Body> {
    let mut response = body::json(StatusCode::CREATED, document);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}
