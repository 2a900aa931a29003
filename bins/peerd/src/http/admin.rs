//! The admin API: the queue and the health of this daemon, for its owner alone.

mod downloads;
mod health;
mod hosts;

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::ConnectionInfo;
use super::auth::Keys;
use super::body::{self, Body, BoxError};
use super::page::Query;
use super::problem::Problem;
use super::router::{Match, Params, Router};
use crate::downloads::Downloads;
use crate::library::{Library, RescanError, rfc3339};
use crate::metrics::{self, Metrics};

pub use hosts::AllowedHosts;

/// Everything the admin listener answers.
pub struct AdminApi {
    downloads: Downloads,
    library: Arc<Library>,
    metrics: Arc<Metrics>,
    keys: Keys,
    options: AdminOptions,
    router: Router<Route>,
}

/// Who may speak to the admin API.
#[derive(Clone, Debug)]
pub struct AdminOptions {
    /// Whether `/metrics` wants the key.
    pub metrics_key: bool,
    /// Names the listener may be reached under.
    pub allowed_hosts: AllowedHosts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Health,
    Ready,
    Metrics,
    List,
    Add,
    Show,
    Patch,
    Delete,
    Pause,
    Resume,
    Retry,
    Cancel,
    Shares,
    Rescan,
}

impl Route {
    /// Probes ask under whatever name the network gave us, and learn nothing worth a key.
    fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }
}

impl AdminApi {
    /// Serves `downloads` and what surrounds them to the holder of a key in `keys`.
    pub fn new(
        downloads: Downloads,
        library: Arc<Library>,
        metrics: Arc<Metrics>,
        keys: Keys,
        options: AdminOptions,
    ) -> Arc<Self> {
        let router = Router::new()
            .get("/healthz", Route::Health)
            .get("/readyz", Route::Ready)
            .get("/metrics", Route::Metrics)
            .get("/api/v1/downloads", Route::List)
            .on(Method::POST, "/api/v1/downloads", Route::Add)
            .get("/api/v1/downloads/{id}", Route::Show)
            .on(Method::PATCH, "/api/v1/downloads/{id}", Route::Patch)
            .on(Method::DELETE, "/api/v1/downloads/{id}", Route::Delete)
            .on(Method::POST, "/api/v1/downloads/{id}/pause", Route::Pause)
            .on(Method::POST, "/api/v1/downloads/{id}/resume", Route::Resume)
            .on(Method::POST, "/api/v1/downloads/{id}/retry", Route::Retry)
            .on(Method::POST, "/api/v1/downloads/{id}/cancel", Route::Cancel)
            .get("/api/v1/shares", Route::Shares)
            .on(Method::POST, "/api/v1/shares/{name}/rescan", Route::Rescan);
        Arc::new(Self { downloads, library, metrics, keys, options, router })
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
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let response = self.answer(request).await.unwrap_or_else(Problem::into_response);
        let status = response.status().as_u16();
        match status {
            500.. => tracing::error!(peer = %connection.peer, %method, path, status, "answered"),
            _ => tracing::debug!(peer = %connection.peer, %method, path, status, "answered"),
        }
        response
    }

    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let found = self.router.find(request.method(), request.uri());
        let route = match &found {
            Match::Found(route, _) => Some(**route),
            _ => None,
        };
        // Before anything else, so that nobody without a key learns which addresses there are.
        self.admit(route, request.headers())?;
        match found {
            Match::Found(route, params) => self.dispatch(*route, &params, request).await,
            Match::MethodNotAllowed(allow) => Err(Problem::method_not_allowed(allow)),
            Match::NotFound => Err(Problem::not_found()),
        }
    }

    /// Lets probes pass; everything else needs an allowed name, and the key.
    fn admit(&self, route: Option<Route>, headers: &HeaderMap) -> Result<(), Problem> {
        if route.is_some_and(Route::is_probe) {
            return Ok(());
        }
        self.options.allowed_hosts.check(headers)?;
        if route == Some(Route::Metrics) && !self.options.metrics_key {
            return Ok(());
        }
        self.keys.authenticate(headers).map(drop).map_err(|refusal| {
            self.metrics.auth_failures.get_or_create(&metrics::Listener { listener: "admin".into() }).inc();
            refusal.problem()
        })
    }

    async fn dispatch(
        &self,
        route: Route,
        params: &Params,
        request: Request<Incoming>,
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
            Route::Add => downloads::add(&self.downloads, document(request).await?).await,
            Route::Show => downloads::show(&self.downloads, params).await,
            Route::Patch => downloads::patch(&self.downloads, params, document(request).await?).await,
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
            Route::Shares => Ok(self.shares()),
            Route::Rescan => self.rescan(params.get("name")).await,
        }
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

/// 201 with the address of what was made.
fn created(location: &str, document: &impl serde::Serialize) -> Response<Body> {
    let mut response = body::json(StatusCode::CREATED, document);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// 422 for a value that is well-formed and cannot be used.
fn invalid(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value cannot be used").with_detail(detail)
}

/// Reads a bounded JSON document.
async fn document<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Problem> {
    let collected = Limited::new(request.into_body(), MAX_DOCUMENT)
        .collect()
        .await
        .map_err(|error| unreadable(&error))?;
    let bytes = collected.to_bytes();
    let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes[..] };
    serde_json::from_slice(bytes).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => invalid(error.to_string()),
        _ => Problem::bad_request(format!("the body is no JSON document: {error}")),
    })
}

fn unreadable(error: &BoxError) -> Problem {
    if error.is::<http_body_util::LengthLimitError>() {
        return Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body-too-large",
            "The request body is too large",
        )
        .closing();
    }
    Problem::bad_request("the body ended early").closing()
}

const MAX_DOCUMENT: usize = 64 << 10;
