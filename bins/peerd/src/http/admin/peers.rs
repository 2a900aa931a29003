//! `/api/v1/peers`: whom we fetch from, and what they offer.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use super::document::{Document, Rate, invalid};
use super::{Access, created, registry_failed};
use crate::access::{AddedPeer, PeerBookError};
use crate::config::{PeerConfig, PeerUrl};
use crate::downloads::{AskError, OfferQuery, Peer};
use crate::http::body::{self, Body};
use crate::http::page::Query;
use crate::http::problem::Problem;
use crate::tls::{Trust, with_remedy};

pub(super) fn list(access: &Access) -> Response<Body> {
    body::json(StatusCode::OK, &json!({ "peers": access.peers.list() }))
}

pub(super) fn show(access: &Access, name: &str) -> Result<Response<Body>, Problem> {
    let view = access.peers.view(name).ok_or_else(|| unknown(name))?;
    Ok(body::json(StatusCode::OK, &view))
}

/// Adds a peer: 201, or 200 when it is there already, and the same but for its certificates.
pub(super) async fn add(access: &Access, new: Document) -> Result<Response<Body>, Problem> {
    let (name, config, ca) = peer(new)?;
    let exposed = (config.key.is_some() || !config.headers.is_empty()) && config.url.is_plain_and_public();
    let (view, is_new) = match access.peers.add(&name, config, ca).await.map_err(|error| refused(&error))? {
        AddedPeer::New(view) => (view, true),
        AddedPeer::Same(view) => (view, false),
        AddedPeer::Renewed(view) => {
            tracing::info!(peer = name, "other certificates are trusted for a peer");
            (view, false)
        }
    };
    let mut document = serde_json::to_value(&view).map_err(|_| Problem::internal())?;
    let warning =
        "the key of this peer crosses the internet unencrypted, for anyone on the way to read; use https";
    document["warnings"] = if exposed { json!([warning]) } else { json!([]) };
    if !is_new {
        return Ok(body::json(StatusCode::OK, &document));
    }
    tracing::info!(peer = name, url = view.url, "a peer was added");
    Ok(created(&format!("/api/v1/peers/{name}"), &document))
}

/// Forgets a peer, and says how many downloads from it are left in the queue.
pub(super) async fn remove(access: &Access, name: &str) -> Result<Response<Body>, Problem> {
    let downloads = access.peers.remove(name).await.map_err(|error| refused(&error))?;
    tracing::info!(peer = name, downloads, "a peer was removed");
    Ok(body::json(StatusCode::OK, &json!({ "name": name, "downloads": downloads })))
}

/// A page of what a peer offers.
pub(super) async fn items(access: &Access, name: &str, query: &Query) -> Result<Response<Body>, Problem> {
    let peer = known(access, name)?;
    let text = |field: &str| query.get(field).map(str::to_owned);
    let query =
        OfferQuery { search: text("q"), share: text("share"), cursor: text("cursor"), limit: query.limit()? };
    let offer = access.peers.peers().offer(&peer, &query).await.map_err(|error| unanswered(name, &error))?;
    Ok(body::json(StatusCode::OK, &offer))
}

/// Looks at a peer from every side; 200 whatever is found.
pub(super) async fn test(access: &Access, name: &str) -> Result<Response<Body>, Problem> {
    let peer = known(access, name)?;
    let probe = access.peers.peers().probe(name, &peer).await;
    let mut document = serde_json::to_value(&probe).map_err(|_| Problem::internal())?;
    document["name"] = name.into();
    Ok(body::json(StatusCode::OK, &document))
}

/// The peer a document describes. Every value goes through the same reading as one of the configuration.
fn peer(mut new: Document) -> Result<(String, PeerConfig, Option<String>), Problem> {
    let name = new.take::<String>("name")?.ok_or_else(|| invalid("name", "a peer needs a name"))?;
    let url = new.take::<PeerUrl>("url")?.ok_or_else(|| invalid("url", "a peer needs an address"))?;
    let mut fields = Map::new();
    fields.insert("url".to_owned(), url.to_string().into());
    if let Some(key) = new.take::<String>("key")? {
        if key.is_empty() || key.trim() != key {
            return Err(invalid("key", "a key has no space at its ends, and at least one character"));
        }
        fields.insert("key".to_owned(), key.into());
    }
    if let Some(headers) = new.take::<std::collections::BTreeMap<String, String>>("headers")? {
        if headers.len() > MAX_HEADERS {
            return Err(invalid("headers", format_args!("at most {MAX_HEADERS}")));
        }
        fields.insert("headers".to_owned(), json!(headers));
    }
    if let Some(max) = new.take::<u32>("max_concurrent")? {
        if max == 0 {
            return Err(invalid("max_concurrent", "must be at least 1"));
        }
        fields.insert("max_concurrent".to_owned(), max.into());
    }
    if let Some(limit) = new.take::<Rate>("limit_down")?.and_then(Rate::limit) {
        fields.insert("limit_down".to_owned(), limit.into());
    }
    let ca = new.take::<String>("ca")?;
    if let Some(Err(error)) = ca.as_deref().map(Trust::of_text) {
        return Err(invalid("ca", format_args!("{error}; {}", error.help())));
    }
    new.end()?;
    let config = serde_json::from_value(Value::Object(fields)).map_err(|_| Problem::internal())?;
    Ok((name, config, ca))
}

fn known(access: &Access, name: &str) -> Result<Arc<Peer>, Problem> {
    access.peers.peers().get(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "peer-unknown", "There is no peer of that name")
        .with_detail(format!("no peer is called {name}"))
}

fn refused(error: &PeerBookError) -> Problem {
    let conflict =
        |kind, title| Problem::new(StatusCode::CONFLICT, kind, title).with_detail(error.to_string());
    match error {
        PeerBookError::BadName(_) => invalid("name", error),
        PeerBookError::Unusable(error) if error.is_about_certificates() => invalid("ca", error),
        PeerBookError::Unusable(error) => invalid("key", error),
        PeerBookError::DefinedInFile(_) => conflict("defined-in-file", "The configuration defines this peer"),
        PeerBookError::Taken(_) => conflict("peer-exists", "There is another peer of that name"),
        PeerBookError::Full => conflict("too-many-peers", "There are too many peers"),
        PeerBookError::Unknown(name) => unknown(name),
        PeerBookError::Secrets(_) | PeerBookError::Storage(_) | PeerBookError::Stopping => {
            registry_failed(error)
        }
    }
}

/// What the peer's silence, or its answer, means for whoever asked us.
fn unanswered(name: &str, error: &AskError) -> Problem {
    let (status, kind, title) = match error {
        AskError::Transport(_) => (StatusCode::BAD_GATEWAY, "peer-unreachable", "The peer cannot be reached"),
        AskError::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, "peer-timeout", "The peer does not answer"),
        AskError::KeyRefused(_) => (StatusCode::BAD_GATEWAY, "peer-key-refused", "The peer refuses our key"),
        _ => (StatusCode::BAD_GATEWAY, "peer-error", "The peer gave no useful answer"),
    };
    let problem = Problem::new(status, kind, title);
    let problem = problem.with_detail(format!("{name}: {}", with_remedy(error, Some(name))));
    match error {
        AskError::Status { status, retry_after } => {
            let problem = problem.with_member("peer_status", status.as_u16());
            match retry_after {
                Some(wait) => problem.with_retry_after(*wait),
                None => problem,
            }
        }
        _ => problem,
    }
}

const MAX_HEADERS: usize = 32;
