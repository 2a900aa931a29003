//! What a crash left, put right before anything else runs.
//!
//! Rows that were being downloaded go back in line; the engine resumes them at their recorded ranges. A part that
//! outlived its cancelled row is deleted. Rows whose file was whole and about to be published get a worker at once
//! (where downloads are disabled they stay as they are), and the engine goes by what stands on the disk:
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
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use download_registry::{Claim, DownloadState, Part, Recovered, Registry, StorageError, WorkerError};
use retry_kit::Permit;

use super::{LEASE, OWNER, RENEW, Shared, orders, scheduler};
use crate::events::{Step, Why};

/// Repairs the queue. Runs once, under the lock of the state directory, before anything else changes a row.
pub(super) async fn recover(shared: &Arc<Shared>) -> anyhow::Result<()> {
    let recovered =
        shared.registry.recover(OWNER, shared.now(), LEASE).await.context("cannot recover the queue")?;
    settle(shared, recovered);
    look_after_parts(shared).await.context("cannot compare the parts with the queue")
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
        shared.tell(*id, Step::Queued(Why::Recovered));
    }
    if !shared.settings().enabled {
        // Nothing is touched. The claims run out by themselves, and the next process takes these rows back.
        return;
    }
    for claim in recovered.finalizing {
        tracing::info!(download_id = claim.download.id.get(), "whole and perhaps published: to be finished");
        let shared = Arc::clone(shared);
        shared.tasks.clone().spawn(async move {
            // Its lease runs out otherwise, and the next look takes it back.
            if wait_for_the_disk(&shared).await
                && let Some(permit) = wait_for_a_permit(&shared, &claim).await
            {
                scheduler::start(&shared, claim, permit);
            }
        });
    }
}

/// Waits for the right to run, and holds the lease meanwhile: the row would be taken back once more with every minute
/// in line. `None` when somebody else has it now, or the service stops.
async fn wait_for_a_permit(shared: &Shared, claim: &Claim) -> Option<Permit> {
    let mut permit = pin!(shared.permits.acquire(i32::MAX));
    loop {
        tokio::select! {
            biased;
            () = shared.shutdown.cancelled() => return None,
            permit = &mut permit => return Some(permit),
            () = shared.clock.sleep(RENEW) => {}
        }
        let until = shared.now().saturating_add(LEASE);
        match shared.registry.renew(&claim.fence, until).await {
            Ok(_) => {}
            Err(WorkerError::Fenced { .. }) => return None,
            Err(error) => {
                tracing::warn!(download_id = claim.download.id.get(), %error, "the lease could not be renewed");
            }
        }
    }
}

/// Waits half a lease for the directories: on a disk that is not there a published file looks like none.
async fn wait_for_the_disk(shared: &Shared) -> bool {
    for _ in 0..LEASE.as_secs() / 2 {
        let dirs = [shared.settings().dir.clone(), shared.settings().incomplete_dir.clone()];
        let there = tokio::task::spawn_blocking(move || dirs.iter().all(|dir| dir.is_dir())).await;
        if there.unwrap_or(false) {
            return true;
        }
        let pause = shared.clock.sleep(Duration::from_secs(1));
        if shared.shutdown.run_until_cancelled(pause).await.is_none() {
            break;
        }
    }
    false
}

/// Tells of part files that no row names, and of rows whose part holds less than they have on record. Nothing is
/// changed about these: the first may be somebody's bytes, the second is put right when its turn comes. A part that
/// outlived its cancelled row goes: the record went before the file, and nothing will ever continue it.
async fn look_after_parts(shared: &Shared) -> Result<(), StorageError> {
    let dir = shared.settings().incomplete_dir.clone();
    // What cannot be looked at now is looked at by the next start.
    let there = tokio::task::spawn_blocking({
        let dir = dir.clone();
        move || parts_in(&dir)
    });
    let there = there.await.unwrap_or_default();
    let known = shared.registry.parts_at(&there).await?;
    let begun = shared.registry.begun_parts().await?;
    let elsewhere = match dir.to_str() {
        Some(dir) => shared.registry.cancelled_parts_outside(&format!("{dir}/")).await?,
        None => Vec::new(),
    };
    let left = tokio::task::spawn_blocking(move || compare(&dir, &there, &known, &begun, elsewhere)).await;
    for part in left.unwrap_or_default() {
        // What cannot be deleted now is told by the call, and tried again at the next start.
        let _ = orders::remove(Some(part)).await;
    }
    Ok(())
}

/// Returns the parts that outlived their cancelled rows.
fn compare(
    dir: &Path,
    there: &[String],
    known: &[Part],
    begun: &[Part],
    elsewhere: Vec<Part>,
) -> Vec<String> {
    let (cancelled, owned): (Vec<_>, Vec<_>) =
        known.iter().partition(|part| part.state == DownloadState::Cancelled);
    let cancelled: HashSet<_> = cancelled.iter().map(|part| part.path.as_str()).collect();
    let owned: HashSet<_> = owned.iter().map(|part| part.path.as_str()).collect();
    let mut left = Vec::new();
    for part in there {
        match (owned.contains(part.as_str()), cancelled.contains(part.as_str())) {
            (true, _) => {}
            (false, true) => left.push(part.clone()),
            (false, false) => {
                tracing::warn!(part, "no download knows this part file; delete it if you do not need it");
            }
        }
    }
    for Part { id, state, path, durable, .. } in begun {
        let there = Path::new(path).symlink_metadata();
        // A row that was being published may have its file under the other name already; and where the directory is
        // missing, its disk is.
        if there.is_err() && (*state == DownloadState::Finalizing || !dir.is_dir()) {
            continue;
        }
        let length = there.map_or(0, |there| there.len());
        if length < *durable {
            tracing::warn!(
                download_id = id.get(),
                part = path,
                length,
                durable,
                "the part file holds fewer bytes than are on record; the rest is fetched again"
            );
        }
    }
    let begun: HashSet<_> = begun.iter().map(|part| part.path.as_str()).collect();
    let is_left =
        |path: &String| Path::new(path).symlink_metadata().is_ok() && !begun.contains(path.as_str());
    left.extend(elsewhere.into_iter().map(|part| part.path).filter(is_left));
    left
}

/// Whether rows have bytes on record in part files of this directory.
///
/// Where such a directory is missing, its disk is: an empty one in its place would make every part a lost one.
pub(crate) async fn expects_parts_in(registry: &Registry, dir: &Path) -> Result<bool, StorageError> {
    let parts = registry.begun_parts().await?;
    Ok(parts.iter().any(|part| Path::new(&part.path).parent() == Some(dir)))
}

fn parts_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "part"))
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}
