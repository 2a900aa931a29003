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
use crate::volume::Kind;

pub(super) async fn look(watch: &WatchConfig) -> Vec<Finding> {
    if watch.dir.as_os_str().is_empty() {
        return Vec::new();
    }
    let dir = watch.dir.clone();
    let looked = tokio::task::spawn_blocking(move || folders::writable("watch", &dir)).await;
    let mut findings: Vec<_> = looked.into_iter().collect();
    let sound = findings.iter().all(|finding| finding.outcome == Outcome::Ok);
    if sound && watch.dir.is_dir() {
        findings.extend(deaf(&watch.dir, watch.rescan).await);
    }
    findings
}

async fn deaf(dir: &Path, rescan: Duration) -> Option<Finding> {
    let place = dir.to_owned();
    let kind = tokio::task::spawn_blocking(move || Kind::of(&place)).await.ok()?;
    let (why, remedy) = deafness(kind, announced(dir).await)?;
    let detail = format!("{why}; stubs are noticed every {}", format_duration(rescan));
    Some(Finding::warning("watch", dir.display().to_string(), detail, remedy))
}

/// Why a stub may come without being noticed at once, and what to do about it.
fn deafness(kind: Kind, announced: notify::Result<bool>) -> Option<(String, &'static str)> {
    let sooner = "set watch.rescan as short as you want to wait";
    match (kind, announced) {
        // What we make there ourselves is announced even there, so that trying proves nothing.
        (Kind::Network(name), _) => {
            Some((format!("it is on {name}: what another machine puts there is not announced here"), sooner))
        }
        (Kind::Program, _) => Some((
            "a program stands before the disk (FUSE): what comes there another way is not announced"
                .to_owned(),
            "have stubs dropped through this mount, or set watch.rescan as short as you want to wait",
        )),
        (_, Err(error)) => Some((
            format!("the system refuses to watch it: {error}"),
            "raise its limits: sysctl fs.inotify.max_user_watches fs.inotify.max_user_instances",
        )),
        (_, Ok(false)) => {
            let why = "the system does not tell when a file comes there, as on some bind mounts";
            Some((why.to_owned(), sooner))
        }
        (_, Ok(true)) => None,
    }
}

/// Whether a file that is made in `dir` is announced within a moment.
async fn announced(dir: &Path) -> notify::Result<bool> {
    let heard = Arc::new(Notify::new());
    let told = Arc::clone(&heard);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok() {
            told.notify_one();
        }
    })?;
    watcher.watch(dir, RecursiveMode::NonRecursive)?;
    let place = dir.to_owned();
    if tokio::task::spawn_blocking(move || folders::writable("watch", &place)).await.is_err() {
        return Ok(false);
    }
    Ok(tokio::select! {
        () = heard.notified() => true,
        () = TokioClock.sleep(MOMENT) => false,
    })
}

/// Local filesystems tell at once.
const MOMENT: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_tells_nothing_is_found_out_by_trying_and_by_its_filesystem() {
        let full = || Err(notify::Error::new(notify::ErrorKind::MaxFilesWatch));
        for (kind, announced, word) in [
            (Kind::Local, Ok(true), None),
            (Kind::Local, Ok(false), Some("bind mounts")),
            (Kind::Local, full(), Some("refuses")),
            (Kind::Network("nfs"), Ok(true), Some("nfs")),
            (Kind::Program, Ok(true), Some("FUSE")),
        ] {
            let told = deafness(kind, announced);
            assert_eq!(told.is_some(), word.is_some(), "{kind:?}");
            if let (Some((why, remedy)), Some(word)) = (told, word) {
                assert!(why.contains(word) && !remedy.is_empty(), "{why}: {word}");
            }
        }
    }

    #[tokio::test]
    async fn a_folder_of_this_machine_announces_what_comes() {
        let dir = tempfile::tempdir().unwrap();
        assert!(announced(dir.path()).await.unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
