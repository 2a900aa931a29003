//! The watch folder: whether stubs can be taken out of it, and whether the system tells when one comes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use notify::{Event, RecursiveMode, Watcher};
use retry_kit::{Clock, TokioClock};
use tokio::sync::Notify;

use super::{Finding, folders};
use crate::config::{WatchConfig, format_duration};
use crate::downloads::Outcome;

pub(super) async fn look(watch: &WatchConfig) -> Vec<Finding> {
    if watch.dir.as_os_str().is_empty() {
        return Vec::new();
    }
    let dir = watch.dir.clone();
    let looked = tokio::task::spawn_blocking(move || folders::writable("watch", &dir)).await;
    let mut findings: Vec<_> = looked.into_iter().collect();
    let sound = findings.iter().all(|finding| finding.outcome == Outcome::Ok);
    if sound && watch.dir.is_dir() && !announces(&watch.dir).await {
        findings.push(Finding::warning(
            "watch",
            watch.dir.display().to_string(),
            format!(
                "the system does not tell when a file comes there, as on many network and bind mounts: stubs are \
                 noticed every {}",
                format_duration(watch.rescan)
            ),
            "set watch.rescan as short as you want to wait",
        ));
    }
    findings
}

/// Whether a file that is made in `dir` is announced within a moment.
async fn announces(dir: &Path) -> bool {
    let heard = Arc::new(Notify::new());
    let told = Arc::clone(&heard);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok() {
            told.notify_one();
        }
    });
    let Ok(mut watcher) = watcher else { return false };
    if watcher.watch(dir, RecursiveMode::NonRecursive).is_err() {
        return false;
    }
    let place = dir.to_owned();
    let made = tokio::task::spawn_blocking(move || folders::writable("watch", &place)).await;
    if made.is_err() {
        return false;
    }
    tokio::select! {
        () = heard.notified() => true,
        () = TokioClock.sleep(MOMENT) => false,
    }
}

/// Local filesystems tell at once.
const MOMENT: Duration = Duration::from_secs(2);
