//! Is the daemon alive, is it ready, and how full is everything.

use download_registry::DownloadState;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::downloads::Downloads;
use crate::http::body::{self, Body};
use crate::metrics::{Dir, Metrics, State};

/// 200 when the daemon can do its work, 503 with the failing checks when not.
pub(super) async fn ready(downloads: &Downloads) -> Response<Body> {
    let database = downloads.registry().counts().await.map(drop).map_err(|error| error.to_string());
    let settings = downloads.settings();
    let dir = |path: &std::path::Path| match path.is_dir() {
        true => Ok(()),
        false => Err("the directory is missing".to_owned()),
    };
    let checks = [
        ("database", database),
        ("downloads", dir(&settings.dir)),
        ("incomplete", dir(&settings.incomplete_dir)),
    ];
    let ready = checks.iter().all(|(_, check)| check.is_ok());
    let checks: Map<String, Value> = checks
        .into_iter()
        .map(|(name, check)| (name.to_owned(), check.map_or_else(Value::from, |()| Value::from("ok"))))
        .collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    body::json(status, &json!({ "ready": ready, "checks": checks }))
}

/// Brings the gauges up to date before they are read.
pub(super) async fn measure(downloads: &Downloads, metrics: &Metrics) {
    if let Ok(counts) = downloads.registry().counts().await {
        for state in DownloadState::ALL {
            let count = counts.get(&state).copied().unwrap_or_default();
            let label = State { state: state.as_str().to_owned() };
            metrics.downloads.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    metrics.permits_in_use.set(i64::try_from(downloads.running()).unwrap_or(i64::MAX));
    let settings = downloads.settings();
    for (name, path) in [("downloads", &settings.dir), ("incomplete", &settings.incomplete_dir)] {
        if let Some(free) = crate::downloads::free_bytes(path) {
            metrics.disk_free.get_or_create(&Dir { dir: name.to_owned() }).set(free as f64);
        }
    }
}
