//! `/api/v1/downloads`: the queue as JSON.

use download_registry::{Digests, DownloadId, DownloadState, ListError, ListQuery, OperatorError, Priority};
use http::{Response, StatusCode};
use resume_fetch::Digest;
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::{created, invalid};
use crate::config::ByteSize;
use crate::downloads::{AddError, AddRequest, Downloads, OrderError, Source};
use crate::http::body::{self, Body, empty};
use crate::http::page::Query;
use crate::http::problem::Problem;
use crate::http::router::Params;

/// What `POST /downloads` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AddDocument {
    peer: Option<String>,
    item: Option<String>,
    url: Option<String>,
    filename: Option<String>,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    paused: bool,
    limit_down: Option<Rate>,
    sha256: Option<String>,
    blake3: Option<String>,
    import: Option<String>,
}

/// What `PATCH /downloads/{id}` takes. A missing field changes nothing; `limit_down: null` takes the limit away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PatchDocument {
    priority: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    limit_down: Option<Option<Rate>>,
}

/// Bytes per second, as a number or as text with a unit.
#[derive(Clone, Copy, Debug)]
struct Rate(u64);

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Bytes(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) if bytes > MAX_RATE => {
                Err(serde::de::Error::custom(format!("a rate is at most {MAX_RATE} bytes per second")))
            }
            Written::Bytes(bytes) => Ok(Self(bytes)),
            Written::Text(text) => {
                text.parse::<ByteSize>().map(|size| Self(size.bytes())).map_err(serde::de::Error::custom)
            }
        }
    }
}

impl Rate {
    fn limit(self) -> Option<u64> {
        Some(self.0).filter(|rate| *rate > 0)
    }
}

/// The largest number a column of the registry holds.
const MAX_RATE: u64 = i64::MAX as u64;

fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

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
        Err(ListError::Storage(error)) => Err(failed(&error)),
        Err(error) => Err(Problem::bad_request(error.to_string())),
    }
}

pub(super) async fn add(downloads: &Downloads, new: AddDocument) -> Result<Response<Body>, Problem> {
    let row = downloads.add(new.into_request()?).await.map_err(|error| refused(&error))?;
    let location = format!("/api/v1/downloads/{}", row.id);
    Ok(created(&location, &downloads.view_of(row)))
}

pub(super) async fn show(downloads: &Downloads, params: &Params) -> Result<Response<Body>, Problem> {
    let view = downloads.view(id(params)?).await.map_err(|error| failed(&error))?;
    view.map(|view| body::json(StatusCode::OK, &view)).ok_or_else(unknown)
}

pub(super) async fn patch(
    downloads: &Downloads,
    params: &Params,
    change: PatchDocument,
) -> Result<Response<Body>, Problem> {
    let id = id(params)?;
    let priority = change.priority.map(priority).transpose()?;
    if let Some(limit) = change.limit_down {
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
    let mut response = Response::new(empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
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

impl AddDocument {
    fn into_request(self) -> Result<AddRequest, Problem> {
        let source = match (self.peer, self.item, self.url) {
            (Some(peer), Some(item), None) if !item.is_empty() => Source::Item { peer, item },
            (None, None, Some(url)) => Source::Url(url),
            _ => return Err(invalid("give either peer and item, or url")),
        };
        if self.import.as_deref().is_some_and(|import| import != "none") {
            return Err(invalid("import: no importer of that name"));
        }
        if self.sha256.is_some() && self.blake3.is_some() {
            return Err(invalid("give one digest, sha256 or blake3"));
        }
        let digest = |field, value: Option<String>, parse: fn(&str) -> Result<Digest, _>| match value {
            None => Ok(None),
            Some(hex) => match parse(&hex) {
                Ok(Digest::Sha256(bytes) | Digest::Blake3(bytes)) => Ok(Some(bytes)),
                Err(error) => Err(invalid(format!("{field}: {error}"))),
            },
        };
        Ok(AddRequest {
            source,
            filename: self.filename,
            priority: priority(self.priority)?,
            paused: self.paused,
            digests: Digests {
                sha256: digest("sha256", self.sha256, Digest::sha256)?,
                blake3: digest("blake3", self.blake3, Digest::blake3)?,
            },
            limit_down: self.limit_down.and_then(Rate::limit),
        })
    }
}

fn priority(value: i64) -> Result<Priority, Problem> {
    Priority::new(value).map_err(|error| invalid(format!("priority: {error}")))
}

fn unknown() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "download-unknown", "There is no such download")
}

fn failed(error: &(dyn std::error::Error + 'static)) -> Problem {
    tracing::error!(error = %resume_fetch::describe(error), "the registry failed");
    Problem::unavailable(std::time::Duration::from_secs(5))
}

fn refused(error: &AddError) -> Problem {
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
        _ => return failed(error),
    };
    let problem = Problem::new(status, name, title).with_detail(error.to_string());
    match error {
        AddError::DestinationActive { id, .. } => problem.with_member("download_id", id.get()),
        _ => problem,
    }
}

fn disobeyed(error: &OrderError) -> Problem {
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
        OperatorError::Storage(error) => failed(error),
        _ => Problem::internal(),
    }
}
