//! `/api/v1/keys`: who may fetch from us.

use http::{Response, StatusCode};
use serde_json::json;

use super::document::{Document, invalid};
use super::{Access, no_content, registry_failed};
use crate::access::KeyError;
use crate::http::body::{self, Body};
use crate::http::problem::Problem;
use crate::library::Library;

pub(super) fn list(access: &Access) -> Response<Body> {
    body::json(StatusCode::OK, &json!({ "keys": access.keys.list() }))
}

/// Makes a key. Its secret is in this answer and nowhere else.
pub(super) async fn create(
    access: &Access,
    library: &Library,
    mut new: Document,
) -> Result<Response<Body>, Problem> {
    let name = new.take::<String>("name")?.ok_or_else(|| invalid("name", "a key needs a name"))?;
    let shares = new.take::<Vec<String>>("shares")?;
    new.end()?;
    let exist: Vec<_> = library.shares().into_iter().map(|share| share.name).collect();
    let key = access.keys.create(&name, shares, &exist).await.map_err(|error| refused(&error))?;
    tracing::info!(key = name, shares = ?key.view.shares, "a key was made");
    let mut document = serde_json::to_value(&key.view).map_err(|_| Problem::internal())?;
    document["secret"] = key.secret.into();
    document["reach"] = json!(access.listening.reach());
    Ok(body::json(StatusCode::CREATED, &document))
}

pub(super) async fn revoke(access: &Access, name: &str) -> Result<Response<Body>, Problem> {
    access.keys.revoke(name).await.map_err(|error| refused(&error))?;
    tracing::info!(key = name, "a key was revoked");
    Ok(no_content())
}

fn refused(error: &KeyError) -> Problem {
    let conflict =
        |kind, title| Problem::new(StatusCode::CONFLICT, kind, title).with_detail(error.to_string());
    match error {
        KeyError::BadName(_) => invalid("name", error),
        KeyError::NoShares | KeyError::UnknownShare(_) => invalid("shares", error),
        KeyError::DefinedInFile(_) => conflict("defined-in-file", "The configuration defines this key"),
        KeyError::Taken(_) => conflict("key-exists", "There is a key of that name"),
        KeyError::Full => conflict("too-many-keys", "There are too many keys"),
        KeyError::Unknown(_) => {
            Problem::new(StatusCode::NOT_FOUND, "key-unknown", "There is no key of that name")
                .with_detail(error.to_string())
        }
        KeyError::Randomness(_) | KeyError::Storage(_) | KeyError::Stopping => registry_failed(error),
    }
}
