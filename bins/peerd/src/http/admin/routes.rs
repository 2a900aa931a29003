//! The addresses of the admin API, and what each of them stands for.

use http::Method;

use crate::http::router::Router;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Health,
    Ready,
    Metrics,
    List,
    Add,
    Show,
    History,
    Ranges,
    Patch,
    Delete,
    Pause,
    Resume,
    Retry,
    Cancel,
    Content,
    Import,
    Imports,
    TestImport,
    Events,
    Transfers,
    Limits,
    SetLimits,
    Shares,
    Rescan,
    System,
    Reload,
    Peers,
    AddPeer,
    ShowPeer,
    RemovePeer,
    PeerItems,
    TestPeer,
    Keys,
    CreateKey,
    RevokeKey,
    LogIn,
    LogOut,
    Link,
    Description,
    Page,
    PagePart,
}

impl Route {
    /// Probes ask under whatever name the network gave us, and learn nothing worth a key.
    pub(super) fn is_probe(self) -> bool {
        matches!(self, Self::Health | Self::Ready)
    }

    /// The page is the same for everybody and holds nothing of ours; a log-in brings its own key.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Page | Self::PagePart | Self::LogIn)
    }
}

/// Every address there is.
pub(super) fn routes() -> Router<Route> {
    Router::new()
        .get("/", Route::Page)
        .get("/ui/{part}", Route::PagePart)
        .get("/healthz", Route::Health)
        .get("/readyz", Route::Ready)
        .get("/metrics", Route::Metrics)
        .get("/api/v1/downloads", Route::List)
        .on(Method::POST, "/api/v1/downloads", Route::Add)
        .get("/api/v1/downloads/{id}", Route::Show)
        .get("/api/v1/downloads/{id}/history", Route::History)
        .get("/api/v1/downloads/{id}/ranges", Route::Ranges)
        .get("/api/v1/downloads/{id}/content", Route::Content)
        .on(Method::PATCH, "/api/v1/downloads/{id}", Route::Patch)
        .on(Method::DELETE, "/api/v1/downloads/{id}", Route::Delete)
        .on(Method::POST, "/api/v1/downloads/{id}/pause", Route::Pause)
        .on(Method::POST, "/api/v1/downloads/{id}/resume", Route::Resume)
        .on(Method::POST, "/api/v1/downloads/{id}/retry", Route::Retry)
        .on(Method::POST, "/api/v1/downloads/{id}/cancel", Route::Cancel)
        .on(Method::POST, "/api/v1/downloads/{id}/import", Route::Import)
        .get("/api/v1/imports", Route::Imports)
        .on(Method::POST, "/api/v1/imports/{name}/test", Route::TestImport)
        .get("/api/v1/events", Route::Events)
        .get("/api/v1/transfers", Route::Transfers)
        .get("/api/v1/limits", Route::Limits)
        .on(Method::PUT, "/api/v1/limits", Route::SetLimits)
        .get("/api/v1/shares", Route::Shares)
        .on(Method::POST, "/api/v1/shares/{name}/rescan", Route::Rescan)
        .get("/api/v1/peers", Route::Peers)
        .on(Method::POST, "/api/v1/peers", Route::AddPeer)
        .get("/api/v1/peers/{name}", Route::ShowPeer)
        .on(Method::DELETE, "/api/v1/peers/{name}", Route::RemovePeer)
        .get("/api/v1/peers/{name}/items", Route::PeerItems)
        .on(Method::POST, "/api/v1/peers/{name}/test", Route::TestPeer)
        .get("/api/v1/keys", Route::Keys)
        .on(Method::POST, "/api/v1/keys", Route::CreateKey)
        .on(Method::DELETE, "/api/v1/keys/{name}", Route::RevokeKey)
        .on(Method::POST, "/api/v1/session", Route::LogIn)
        .on(Method::DELETE, "/api/v1/session", Route::LogOut)
        .on(Method::POST, "/api/v1/session/link", Route::Link)
        .get("/api/v1/system", Route::System)
        .on(Method::POST, "/api/v1/system/reload", Route::Reload)
        .get("/api/v1/openapi.json", Route::Description)
}

/// Every address there is, as method and pattern.
pub fn addresses() -> Vec<(Method, String)> {
    routes().table()
}
