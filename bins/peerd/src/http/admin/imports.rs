//! `/api/v1/imports`: who takes finished files over; and handing one over once more.

use http::{Response, StatusCode};
use serde_json::json;

use super::document::{Document, invalid};
use super::downloads::{disobeyed, id};
use crate::config::NO_IMPORTER;
use crate::downloads::{Downloads, OrderError};
use crate::http::body::{self, Body};
use crate::http::problem::Problem;
use crate::http::router::Params;
use crate::import::{ImportError, Imports};

pub(super) fn list(imports: &Imports) -> Response<Body> {
    let importers: Vec<_> = imports
        .importers()
        .into_iter()
        .map(|importer| {
            let config = importer.config;
            json!({
                "name": importer.name,
                "kind": config.kind,
                "url": config.url,
                "confirm": config.confirm,
                "when": config.when,
                "path_map": config.path_map,
                "waiting": importer.waiting,
            })
        })
        .collect();
    body::json(StatusCode::OK, &json!({ "imports": importers }))
}

/// Asks an importer. That it does not answer as it should is a result, too.
pub(super) async fn test(imports: &Imports, name: &str) -> Result<Response<Body>, Problem> {
    match imports.probe(name).await {
        Some(probe) => Ok(body::json(StatusCode::OK, &probe)),
        None => {
            let title = "There is no importer of that name";
            let detail = ImportError::Unknown(name.to_owned()).to_string();
            Err(Problem::new(StatusCode::NOT_FOUND, "import-unknown", title).with_detail(detail))
        }
    }
}

/// Hands a finished file over once more; `import` names another importer than the last one.
pub(super) async fn retry(
    imports: &Imports,
    downloads: &Downloads,
    params: &Params,
    mut wish: Document,
) -> Result<Response<Body>, Problem> {
    let id = id(params)?;
    let target = wish.take::<String>("import")?;
    wish.end()?;
    match imports.retry(id, target.as_deref()).await {
        Ok(row) => Ok(body::json(StatusCode::OK, &downloads.view_of(row))),
        Err(ImportError::Registry(error)) => Err(disobeyed(&OrderError::from(error))),
        Err(error @ ImportError::Busy(_)) => {
            let title = "The download's state does not allow this";
            Err(Problem::new(StatusCode::CONFLICT, "wrong-state", title).with_detail(error.to_string()))
        }
        Err(error) => Err(invalid("import", error)),
    }
}

/// The importer a new download names: one there is, or none at all.
pub(super) fn wanted(imports: &Imports, name: Option<String>) -> Result<Option<String>, Problem> {
    match name {
        Some(name) if name != NO_IMPORTER && !imports.knows(&name) => {
            Err(invalid("import", ImportError::Unknown(name)))
        }
        name => Ok(name),
    }
}
