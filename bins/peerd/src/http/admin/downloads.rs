//! `/api/v1/downloads`: the queue as JSON.

use download_registry::{Digests, DownloadId, DownloadState, ListError, ListQuery, OperatorError, Priority};
use http::{Response, StatusCode};
use resume_fetch::Digest;
use serde_json::json;

use super::document::{Document, Rate, invalid, refused};
use super::{created, imports, no_content, registry_failed};
use crate::downloads::{AddError, AddRequest, Downloads, OrderError, Source};
use crate::http::body::{self, Body};
use crate::http::page::Query;
use crate::http::problem::Problem;
use crate::http::router::Params;
use crate::import::Imports;

pub(super) async fn list(downloads: &Downloads, query: &Query) -> Result<Response<Body>, Problem> {
    let states = query.get("state").unwrap_or_default().split(',').filter(|state| !state.is_empty());
    let states = states
        .map(|state| {
            state
                .parse::<DownloadState>()
                .map_err(|_| Problem::bad_request(format!("no state is called {state}")))
        })
        .collect::<Result<_, _>>()?;
    let sort = query.get("sort").map(str::parse).transpose();
    let cursor = query.get("cursor").map(str::parse).transpose();
    let list = ListQuery {
        states,
        peer: query.get("peer").map(str::to_owned),
        text: query.get("q").map(str::to_owned),
        sort: sort.map_err(|_| Problem::bad_request("no such order"))?.unwrap_or_default(),
        cursor: cursor.map_err(|_| Problem::bad_request("the cursor is not one of ours"))?,
        limit: u32::try_from(query.limit()?).unwrap_or(u32::MAX),
    };
    match downloads.list(&list).await {
        Ok((rows, next)) => Ok(body::json(StatusCode::OK, &json!({ "downloads": rows, "next": next }))),
        Err(ListError::Storage(error)) => Err(registry_failed(&error)),
        Err(error) => Err(Problem::bad_request(error.to_string())),
    }
}

/// Queues a download.
pub(super) async fn add(
    downloads: &Downloads,
    imports: &Imports,
    mut new: Document,
) -> Result<Response<Body>, Problem> {
    let import = imports::wanted(imports, new.take("import")?)?;
    let row =
        downloads.add(AddRequest { import, ..add_request(new)? }).await.map_err(|error| not_added(&error))?;
    let location = format!("/api/v1/downloads/{}", row.id);
    Ok(created(&location, &downloads.view_of(row)))
}

pub(super) async fn show(downloads: &Downloads, params: &Params) -> Result<Response<Body>, Problem> {
    let view = downloads.view(id(params)?).await.map_err(|error| registry_failed(&error))?;
    view.map(|view| body::json(StatusCode::OK, &view)).ok_or_else(unknown)
}

/// What happened to one so far.
pub(super) async fn history(downloads: &Downloads, params: &Params) -> Result<Response<Body>, Problem> {
    let history = downloads.history(id(params)?).await.map_err(|error| registry_failed(&error))?;
    history.map(|history| body::json(StatusCode::OK, &history)).ok_or_else(unknown)
}

/// Which of its bytes are here, on their way, and waited for.
pub(super) async fn ranges(downloads: &Downloads, params: &Params) -> Result<Response<Body>, Problem> {
    let ranges = downloads.ranges(id(params)?).await.map_err(|error| registry_failed(&error))?;
    ranges.map(|ranges| body::json(StatusCode::OK, &ranges)).ok_or_else(unknown)
}

/// Changes what is named. `limit_down: null` takes the limit away.
pub(super) async fn patch(
    downloads: &Downloads,
    params: &Params,
    mut change: Document,
) -> Result<Response<Body>, Problem> {
    let id = id(params)?;
    let priority = change.take("priority")?.map(priority).transpose()?;
    let limit = change.take_nullable::<Rate>("limit_down")?;
    change.end()?;
    if let Some(limit) = limit {
        downloads.set_limit(id, limit.and_then(Rate::limit)).await.map_err(|error| disobeyed(&error))?;
    }
    if let Some(priority) = priority {
        downloads.set_priority(id, priority).await.map_err(|error| disobeyed(&error))?;
    }
    show(downloads, params).await
}

pub(super) async fn delete(
    downloads: &Downloads,
    params: &Params,
    query: &Query,
) -> Result<Response<Body>, Problem> {
    let data = match query.get("data") {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::bad_request("data is true or false")),
    };
    downloads.delete(id(params)?, data).await.map_err(|error| disobeyed(&error))?;
    Ok(no_content())
}

/// The answer to an order: the row as it is now.
pub(super) fn ordered(
    downloads: &Downloads,
    outcome: Result<download_registry::Download, OrderError>,
) -> Result<Response<Body>, Problem> {
    let row = outcome.map_err(|error| disobeyed(&error))?;
    Ok(body::json(StatusCode::OK, &downloads.view_of(row)))
}

pub(super) fn id(params: &Params) -> Result<DownloadId, Problem> {
    params.get("id").parse().map_err(|_| unknown())
}

fn add_request(mut new: Document) -> Result<AddRequest, Problem> {
    let source = match (new.take("peer")?, new.take::<String>("item")?, new.take("url")?) {
        (Some(peer), Some(item), None) if !item.is_empty() => Source::Item { peer, item },
        (None, None, Some(url)) => Source::Url(url),
        _ => return Err(refused("give either peer and item, or url")),
    };
    let digests = Digests {
        sha256: digest(&mut new, "sha256", Digest::sha256)?,
        blake3: digest(&mut new, "blake3", Digest::blake3)?,
    };
    if digests.sha256.is_some() && digests.blake3.is_some() {
        return Err(refused("give one digest, sha256 or blake3"));
    }
    let request = AddRequest {
        source,
        filename: new.take("filename")?,
        priority: new.take("priority")?.map(priority).transpose()?.unwrap_or_default(),
        paused: new.take("paused")?.unwrap_or_default(),
        digests,
        limit_down: new.take::<Rate>("limit_down")?.and_then(Rate::limit),
        import: None,
    };
    new.end()?;
    Ok(request)
}

fn digest<E: std::fmt::Display>(
    new: &mut Document,
    field: &str,
    parse: fn(&str) -> Result<Digest, E>,
) -> Result<Option<[u8; 32]>, Problem> {
    let Some(hex) = new.take::<String>(field)? else { return Ok(None) };
    match parse(&hex) {
        Ok(Digest::Sha256(bytes) | Digest::Blake3(bytes)) => Ok(Some(bytes)),
        Err(error) => Err(invalid(field, error)),
    }
}

fn priority(value: i64) -> Result<Priority, Problem> {
    Priority::new(value).map_err(|error| invalid("priority", error))
}

pub(super) fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "download-unknown", "There is no such download")
}

fn not_added(error: &AddError) -> Problem {
    let (status, name, title) = match error {
        AddError::PeerUnknown(_) => (StatusCode::NOT_FOUND, "peer-unknown", "There is no peer of that name"),
        AddError::ItemUnknown { .. } => (StatusCode::NOT_FOUND, "item-unknown", "The peer has no such item"),
        AddError::DestinationActive { .. } => {
            (StatusCode::CONFLICT, "destination-active", "A live download is in the way")
        }
        AddError::DestinationExists(_) => {
            (StatusCode::CONFLICT, "destination-exists", "The file exists already")
        }
        AddError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The file is too large"),
        AddError::DiskFull { .. } => {
            (StatusCode::INSUFFICIENT_STORAGE, "disk-full", "There is not enough room")
        }
        AddError::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "A value cannot be used"),
        _ => return registry_failed(error),
    };
    let problem = Problem::new(status, name, title).with_detail(error.to_string());
    match error {
        AddError::DestinationActive { id, .. } => problem.with_member("download_id", id.get()),
        AddError::Invalid { field, .. } => problem.with_member("field", *field),
        _ => problem,
    }
}

pub(super) fn disobeyed(error: &OrderError) -> Problem {
    let error = match error {
        OrderError::Registry(error) => error,
        OrderError::File { .. } => {
            return Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "file-not-deleted",
                "A file could not be deleted",
            )
            .with_detail(error.to_string());
        }
    };
    match error {
        OperatorError::NotFound(_) => unknown(),
        OperatorError::WrongState(_) => {
            Problem::new(StatusCode::CONFLICT, "wrong-state", "The download's state does not allow this")
                .with_detail(error.to_string())
        }
        OperatorError::Conflict(conflict) => {
            Problem::new(StatusCode::CONFLICT, "destination-active", "A live download is in the way")
                .with_detail(error.to_string())
                .with_member("download_id", conflict.id.get())
        }
        OperatorError::Storage(error) => registry_failed(error),
        _ => Problem::internal(),
    }
}
