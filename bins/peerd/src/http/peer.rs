//! The peer API: what we offer to those who hold a key.

use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, HeaderMap};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use range_http::{ContentDisposition, ContentRange, IfRangeFields, Multi, Policy, Reason, sendfile};
use retry_kit::RateLimiter;
use serde_json::json;
use tokio::time::Instant;

use super::ConnectionInfo;
use super::auth::{Caller, Keys, Refusal};
use super::body::{self, Body};
use super::client_address::TrustedProxies;
use super::events::ServeEvents;
use super::failed_limit::{FailedLimit, too_many_wrong_keys};
use super::key_slots::{KeySlot, KeySlots, Slotted};
use super::metered::Metered;
use super::page::Query;
use super::problem::Problem;
use super::router::{Match, Params, Router};
use super::transfers::{Sending, Transfers};
use crate::library::{FIRST_WALK, Library, ListError, ListQuery, LookupError, NotReady, OpenItem};

/// Everything the public listener answers.
pub struct PeerApi {
    library: Arc<Library>,
    keys: Arc<Keys>,
    events: Arc<dyn ServeEvents>,
    options: PeerOptions,
    router: Router<Route>,
}

/// How the peer API presents and guards itself.
#[derive(Clone, Debug)]
pub struct PeerOptions {
    /// The name of this node in `/handshake`.
    pub name: String,
    /// Wrong keys per address.
    pub failed_limit: Arc<FailedLimit>,
    /// Connections per key.
    pub key_slots: Arc<KeySlots>,
    /// Proxies that may say whose request it is.
    pub trusted_proxies: TrustedProxies,
    /// How fast file bodies go out, all together.
    pub upload: RateLimiter,
    /// The bodies that are on their way out.
    pub transfers: Arc<Transfers>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Ping,
    Handshake,
    Items,
    Item,
    File,
}

impl Route {
    fn label(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Handshake => "handshake",
            Self::Items => "items",
            Self::Item => "item",
            Self::File => "file",
        }
    }
}

impl PeerApi {
    /// Serves the items of `library` to the holders of `keys`.
    pub fn new(
        library: Arc<Library>,
        keys: Arc<Keys>,
        events: Arc<dyn ServeEvents>,
        options: PeerOptions,
    ) -> Arc<Self> {
        let router = Router::new()
            .get("/ping", Route::Ping)
            .get("/handshake", Route::Handshake)
            .get("/peer/items", Route::Items)
            .get("/peer/items/{id}", Route::Item)
            .get("/peer/items/{id}/file", Route::File);
        Arc::new(Self { library, keys, events, options, router })
    }

    /// How it presents and guards itself; what is shared in it can be changed while it answers.
    pub fn options(&self) -> &PeerOptions {
        &self.options
    }

    /// Who may ask.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Answers one request. Bodies of requests are not read: nothing here takes one.
    ///
    /// # Cancel safety
    /// Safe. Nothing is changed.
    pub async fn handle<B>(
        self: Arc<Self>,
        request: Request<B>,
        connection: Arc<ConnectionInfo>,
    ) -> Response<Body> {
        let parts = request.into_parts().0;
        let client = self.options.trusted_proxies.client(connection.peer.ip(), &parts.headers);
        if client != connection.peer.ip().to_canonical() {
            // Behind a proxy: every line of the log about this request says for whom it speaks.
            tracing::Span::current().record("client", tracing::field::display(client));
        }
        let (label, answer) = match self.router.find(&parts.method, &parts.uri) {
            Match::Found(&route, params) => {
                (route.label(), self.answer(route, &params, &parts, client, &connection).await)
            }
            Match::MethodNotAllowed(allow) => ("none", Err(Problem::method_not_allowed(allow))),
            Match::NotFound => ("none", Err(Problem::not_found())),
        };
        let response = answer.unwrap_or_else(Problem::into_response);
        self.events.answered(label, response.status());
        response
    }

    async fn answer(
        &self,
        route: Route,
        params: &Params,
        parts: &Parts,
        client: IpAddr,
        connection: &ConnectionInfo,
    ) -> Result<Response<Body>, Problem> {
        if route == Route::Ping {
            return Ok(body::json(StatusCode::OK, &json!({ "status": "OK" })));
        }
        let caller = self.admit(parts, client, connection)?;
        match route {
            Route::Ping | Route::Handshake => Ok(self.handshake()),
            Route::Items => self.items(parts, &caller).await,
            Route::Item => self.item(params.get("id"), &caller).await,
            Route::File => self.file(params.get("id"), parts, connection, &caller).await,
        }
    }

    /// Finds out who asks and whether they may on this connection.
    fn admit(&self, parts: &Parts, client: IpAddr, connection: &ConnectionInfo) -> Result<Caller, Problem> {
        let now = Instant::now();
        self.options.failed_limit.check(client, now).map_err(too_many_wrong_keys)?;
        let caller =
            self.keys.authenticate(&parts.headers).map_err(|refusal| self.refuse(refusal, client, now))?;
        match caller.name() {
            Some(key) if !connection.claim(&self.options.key_slots, key) => Err(too_many_connections()),
            Some(key) => {
                self.events.admitted(key);
                Ok(caller)
            }
            None => Ok(caller),
        }
    }

    /// Room for a file on its way to the caller, as far as files are counted for it.
    fn claim_file(&self, parts: &Parts, caller: &Caller) -> Result<Option<KeySlot>, Problem> {
        let Some(key) = caller.name().filter(|_| parts.method == Method::GET) else { return Ok(None) };
        self.options.key_slots.claim_file(key).map(Some).ok_or_else(too_many_files)
    }

    fn refuse(&self, refusal: Refusal, client: IpAddr, now: Instant) -> Problem {
        self.events.refused(refusal);
        if refusal == Refusal::Wrong {
            self.options.failed_limit.failed(client, now);
            tracing::info!(%client, "refused a wrong key");
        }
        refusal.problem()
    }

    fn handshake(&self) -> Response<Body> {
        let document = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "name": self.options.name,
            "capabilities": CAPABILITIES,
        });
        body::json(StatusCode::OK, &document)
    }

    async fn items(&self, parts: &Parts, caller: &Caller) -> Result<Response<Body>, Problem> {
        let query = Query::of(&parts.uri);
        let wanted = ListQuery {
            search: query.get("q").unwrap_or_default().to_owned(),
            share: query.get("share").map(str::to_owned),
            cursor: query.get("cursor").map(str::to_owned),
            limit: query.limit()?,
        };
        match self.library.list(&wanted, caller.scope()).await {
            Ok(page) => Ok(body::json(StatusCode::OK, &page)),
            Err(error @ ListError::BadCursor) => Err(Problem::bad_request(error.to_string())),
            Err(ListError::NotReady(error)) => Err(not_ready(error)),
            Err(ListError::Unreadable(source)) => {
                tracing::warn!(error = &source as &dyn std::error::Error, "cannot list what is shared");
                Err(Problem::unavailable(UNREADABLE_WAIT))
            }
        }
    }

    async fn item(&self, id: &str, caller: &Caller) -> Result<Response<Body>, Problem> {
        let item = self.library.item(id, caller.scope()).await.map_err(|error| lookup_failed(id, &error))?;
        Ok(body::json(StatusCode::OK, &item))
    }

    async fn file(
        &self,
        id: &str,
        parts: &Parts,
        connection: &ConnectionInfo,
        caller: &Caller,
    ) -> Result<Response<Body>, Problem> {
        let slot = self.claim_file(parts, caller)?;
        let open = self.library.open(id, caller.scope()).await.map_err(|error| lookup_failed(id, &error))?;
        let OpenItem { item, source, seen_at, media_type } = open;
        let source = match connection.chunk() {
            Some(chunk) => source.with_chunk(chunk),
            None => source,
        };
        let representation = source
            .representation(seen_at)
            .with_content_type(media_type)
            .with_cache_control("private, no-transform")
            .with_content_disposition(ContentDisposition::attachment(&item.filename))
            .with_field("x-content-type-options", "nosniff");
        let (method, headers, lane) = (&parts.method, &parts.headers, connection.lane());
        let response = sendfile::respond(method, headers, &representation, &SERVING, source, lane);
        if let Some(reason) = response.extensions().get::<Reason>()
            && parts.method == Method::GET
        {
            self.events.range(reason.as_str());
        }
        match response.status() {
            StatusCode::PRECONDITION_FAILED => Ok(explained(
                response,
                Problem::new(
                    StatusCode::PRECONDITION_FAILED,
                    "precondition-failed",
                    "The file is not in the state asked for",
                ),
            )),
            StatusCode::RANGE_NOT_SATISFIABLE => Ok(explained(
                response,
                Problem::new(
                    StatusCode::RANGE_NOT_SATISFIABLE,
                    "range-not-satisfiable",
                    "The file has no bytes in this range",
                )
                .with_member("size", item.size),
            )),
            _ if response.body().is_end_stream() => Ok(response.map(|_| body::empty())),
            _ => {
                let (upload, events) = (self.options.upload.clone(), Arc::clone(&self.events));
                let range = sent_range(response.headers(), item.size);
                let sending = self.options.transfers.begin(Sending {
                    key: caller.name().map(str::to_owned),
                    address: self.options.trusted_proxies.client(connection.peer.ip(), &parts.headers),
                    item,
                    range,
                });
                let metered = |body| {
                    Metered::new(Slotted::new(body, slot), sending, upload, events).map_err(Into::into)
                };
                Ok(response.map(|body| metered(body).boxed_unsync()))
            }
        }
    }
}

impl std::fmt::Debug for PeerApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PeerApi").field("name", &self.options.name).finish_non_exhaustive()
    }
}

/// The head of a decided answer with a document that explains it.
pub(super) fn explained<B>(decided: Response<B>, problem: Problem) -> Response<Body> {
    let (mut head, _) = decided.into_parts();
    let problem = problem.into_response();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(CACHE_CONTROL);
    head.headers.extend(problem.headers().clone());
    Response::from_parts(head, problem.into_body())
}

/// Which bytes of a file of `size` bytes a decided answer carries.
fn sent_range(headers: &HeaderMap, size: u64) -> Range<u64> {
    let field = headers.get(CONTENT_RANGE).and_then(|value| ContentRange::parse(value.as_bytes()).ok());
    match field {
        Some(ContentRange::Range { range, .. }) => range.start()..range.end(),
        _ => 0..size,
    }
}

fn lookup_failed(id: &str, error: &LookupError) -> Problem {
    match error {
        LookupError::Unknown => Problem::new(StatusCode::NOT_FOUND, "item-unknown", "There is no such item"),
        LookupError::NotReady(error) => not_ready(*error),
        LookupError::Unreadable(source) => {
            tracing::warn!(id, error = source as &dyn std::error::Error, "cannot open an item");
            Problem::unavailable(UNREADABLE_WAIT)
        }
    }
}

fn not_ready(error: NotReady) -> Problem {
    Problem::unavailable(FIRST_WALK).with_detail(error.to_string())
}

fn too_many_connections() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-connections",
        "The key is in use on too many connections",
    )
    .with_retry_after(CONNECTIONS_WAIT)
    .closing()
}

fn too_many_files() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too-many-connections",
        "The key is in use on too many connections",
    )
    .with_detail("as many files are under way with the key as it may have connections")
    .with_retry_after(CONNECTIONS_WAIT)
}

/// What ranges get here: several at once are answered with the whole file, and a 206 carries every field the
/// 200 does.
pub(super) const SERVING: Policy =
    Policy::new().with_multi(Multi::Ignore).with_if_range_fields(IfRangeFields::All);

/// What a peer may rely on beyond the routes themselves.
const CAPABILITIES: [&str; 4] = ["items", "ranges", "validators", "search"];

const UNREADABLE_WAIT: Duration = Duration::from_secs(10);

const CONNECTIONS_WAIT: Duration = Duration::from_secs(5);
