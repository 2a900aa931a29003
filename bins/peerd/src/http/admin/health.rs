//! Is the daemon alive, is it ready, and how full is everything.

use std::path::Path;

use download_registry::DownloadState;
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::downloads::Downloads;
use crate::http::body::{self, Body};
use crate::metrics::{Dir, Metrics, Peer, State};

/// 200 when the daemon can do its work, 503 with the failing checks when not.
pub(super) async fn ready(downloads: &Downloads) -> Response<Body> {
    let database = downloads.registry().counts().await.map(drop).map_err(|error| error.to_string());
    let settings = downloads.settings();
    let (finished, unfinished) = (dir(&settings.dir).await, dir(&settings.incomplete_dir).await);
    let checks = [("database", database), ("downloads", finished), ("incomplete", unfinished)];
    let ready = checks.iter().all(|(_, check)| check.is_ok());
    let mut checks: Map<String, Value> = checks
        .into_iter()
        .map(|(name, check)| (name.to_owned(), check.map_or_else(Value::from, |()| Value::from("ok"))))
        .collect();
    // Worth knowing, and no reason to be taken out of service: what is shared is still served.
    let disk =
        if downloads.disk_is_low() { "low: the queue waits until twice min_free is free" } else { "ok" };
    checks.insert("disk".to_owned(), disk.into());
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    body::json(status, &json!({ "ready": ready, "checks": checks }))
}

async fn dir(path: &Path) -> Result<(), String> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        _ => Err("the directory is missing".to_owned()),
    }
}

/// Brings the gauges up to date before they are read.
pub(super) async fn measure(downloads: &Downloads, metrics: &Metrics) {
    if let Ok(counts) = downloads.counts().await {
        for state in DownloadState::ALL {
            let count = counts.get(&state).copied().unwrap_or_default();
            let label = State { state: state.as_str().to_owned() };
            metrics.downloads.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    metrics.permits_in_use.set(i64::try_from(downloads.permits_in_use()).unwrap_or(i64::MAX));
    // A peer that is known no more, or that nobody asks any more, is shown no more.
    metrics.peer_up.clear();
    for (peer, _) in downloads.peers().all() {
        if let Some(up) = downloads.peers().is_up_as_asked(&peer) {
            metrics.peer_up.get_or_create(&Peer { peer }).set(i64::from(up));
        }
    }
    let settings = downloads.settings();
    for (name, path) in [("downloads", &settings.dir), ("incomplete", &settings.incomplete_dir)] {
        if let Some(free) = downloads.free_bytes(path).await {
            metrics.disk_free.get_or_create(&Dir { dir: name.to_owned() }).set(free as f64);
        }
    }
}
