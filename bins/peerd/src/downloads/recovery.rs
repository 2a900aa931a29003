//! What a crash left, put right before anything else runs.
//!
//! Rows that were being downloaded go back in line; the engine resumes them at their recorded ranges. A part that
//! outlived its cancelled row is deleted. Rows whose file was whole and about to be published get a worker at once,
//! and the engine goes by what stands on the disk:
//!
//! | part | target | then |
//! |---|---|---|
//! | gone | there, of the right size (and digest) | the rename won: directories synced, completed |
//! | there, and the same file as the target | there | the second name won: the first one goes, completed |
//! | there | not there | every byte is there: verified, published, completed |
//! | gone | gone | the bytes are lost: fetched again |
//! | any | there, and not ours | refused: nothing is overwritten |

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use download_registry::{DownloadState, ListError, ListQuery, Recovered, StorageError};

use super::{LEASE, OWNER, Shared, orders, scheduler};

/// Repairs the queue. Runs once, under the lock of the state directory.
pub(super) async fn recover(shared: &Arc<Shared>) -> anyhow::Result<()> {
    let recovered =
        shared.registry.recover(OWNER, shared.now(), LEASE).await.context("cannot recover the queue")?;
    settle(shared, recovered);
    forget_cancelled(shared).await.context("cannot look for cancelled downloads")?;
    report_orphans(shared).await.context("cannot look for orphaned parts")
}

/// Takes back, while the service runs, rows whose worker was lost without a word: one that panicked, or whose last
/// word could not be written.
pub(super) async fn watch_leases(shared: Arc<Shared>) {
    loop {
        let timer = shared.clock.sleep(LEASE);
        if shared.shutdown.run_until_cancelled(timer).await.is_none() {
            return;
        }
        if let Err(error) = take_back_lost(&shared).await {
            tracing::warn!(error = %resume_fetch::describe(&error), "cannot look for lost rows; trying again");
        }
    }
}

async fn take_back_lost(shared: &Arc<Shared>) -> Result<(), StorageError> {
    let counts = shared.registry.counts().await?;
    let leased: u64 = counts.iter().filter(|(state, _)| state.is_leased()).map(|(_, count)| count).sum();
    // A lease alone says little: the clock may have been set, or the machine have slept. Workers that are here count.
    if leased > shared.running().len() as u64 {
        settle(shared, shared.registry.recover_expired(OWNER, shared.now(), LEASE).await?);
        shared.wake.notify_one();
    }
    Ok(())
}

fn settle(shared: &Arc<Shared>, recovered: Recovered) {
    for id in &recovered.requeued {
        tracing::info!(download_id = id.get(), "its worker is gone; back in line");
    }
    for claim in recovered.finalizing {
        tracing::info!(download_id = claim.download.id.get(), "whole and perhaps published: to be finished");
        let shared = Arc::clone(shared);
        shared.tasks.clone().spawn(async move {
            let permit = shared.permits.acquire(i32::MAX).await;
            scheduler::start(&shared, claim, permit);
        });
    }
}

/// Tells of part files that no row names. They are never deleted silently: they may be somebody's bytes.
async fn report_orphans(shared: &Shared) -> Result<(), ListError> {
    let dir = shared.settings.incomplete_dir.clone();
    let found = tokio::task::spawn_blocking(move || parts_in(&dir)).await.unwrap_or_default();
    if found.is_empty() {
        return Ok(());
    }
    let owners =
        DownloadState::ALL.into_iter().filter(|state| state.is_live() || *state == DownloadState::Failed);
    let mut query = ListQuery { states: owners.collect(), limit: 1000, ..ListQuery::default() };
    let mut known = HashSet::new();
    loop {
        let page = shared.registry.list(&query).await?;
        known.extend(page.items.into_iter().filter_map(|row| row.part));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    for part in found.into_iter().filter(|part| !known.contains(part)) {
        tracing::warn!(part, "no download knows this part file; delete it if you do not need it");
    }
    Ok(())
}

fn parts_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "part"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

/// The record goes before the file: a crash in between leaves a part that nothing will ever continue.
async fn forget_cancelled(shared: &Shared) -> Result<(), ListError> {
    let mut query = ListQuery { states: vec![DownloadState::Cancelled], limit: 1000, ..ListQuery::default() };
    loop {
        let page = shared.registry.list(&query).await?;
        for row in page.items {
            // What cannot be deleted now is told by the call, and tried again at the next start.
            let _ = orders::remove(row.part).await;
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}
