//! The scheduler: a free permit and a due row meet here.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use download_registry::{Claim, ClaimRequest, StorageError, Timestamp};

use super::{LEASE, OWNER, Shared, worker};

/// Claims rows and hands them to workers until the service stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut disk = DiskGuard::default();
    while !shared.shutdown.is_cancelled() {
        let wait = match step(&shared, &mut disk).await {
            Ok(Step::Started) => continue,
            Ok(Step::Idle { until }) => until,
            Err(error) => {
                tracing::error!(error = %resume_fetch::describe(&error), "the queue cannot be read; trying again");
                Some(shared.now().saturating_add(IDLE))
            }
        };
        let delay = wait.map_or(IDLE, |until| until.saturating_since(shared.now()).min(IDLE));
        let timer = shared.clock.sleep(delay.max(SHORTEST));
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = shared.wake.notified() => {}
            () = timer => {}
        }
    }
}

enum Step {
    Started,
    /// Nothing may run before this time, unless something changes.
    Idle {
        until: Option<Timestamp>,
    },
}

async fn step(shared: &Arc<Shared>, disk: &mut DiskGuard) -> Result<Step, StorageError> {
    let now = shared.now();
    for id in shared.registry.revive_failed(now).await? {
        tracing::info!(download_id = id.get(), "back in line");
    }
    if !disk.has_room(shared) {
        return Ok(Step::Idle { until: Some(now.saturating_add(DISK_POLL)) });
    }
    // Taken before the claim, so that a row is never leased without the right to run.
    let Some(permit) = shared.permits.try_acquire() else { return Ok(Step::Idle { until: None }) };
    let exclude_peers = shared.busy_peers();
    let claim = ClaimRequest { owner: OWNER, now, lease_for: LEASE, exclude_peers: &exclude_peers };
    let Some(claim) = shared.registry.claim_next(&claim).await? else {
        drop(permit);
        return Ok(Step::Idle { until: shared.registry.next_due(now).await? });
    };
    start(shared, claim, permit);
    Ok(Step::Started)
}

/// Sets a worker to work on a claimed row.
pub(super) fn start(shared: &Arc<Shared>, claim: Claim, permit: retry_kit::Permit) {
    let worker = worker::Worker::new(Arc::clone(shared), claim);
    let shared = Arc::clone(shared);
    shared.tasks.clone().spawn(async move {
        worker.run().await;
        drop(permit);
        shared.wake.notify_one();
    });
}

impl Shared {
    /// Peers that have as many downloads running as they may.
    fn busy_peers(&self) -> Vec<String> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for peer in self.running().values().filter_map(|running| running.peer.clone()) {
            *counts.entry(peer).or_default() += 1;
        }
        counts.retain(|name, count| self.peers.get(name).is_some_and(|peer| *count >= peer.max_concurrent));
        counts.into_keys().collect()
    }
}

/// Holds the queue while a directory is away, or the disk is nearly full: below `min_free`, until twice that is free
/// again.
#[derive(Default)]
struct DiskGuard {
    low: bool,
    away: bool,
}

impl DiskGuard {
    fn has_room(&mut self, shared: &Shared) -> bool {
        let missing =
            [&shared.settings.dir, &shared.settings.incomplete_dir].into_iter().find(|dir| !dir.is_dir());
        if let Some(dir) = missing {
            // An unmounted disk must not turn every row into a failure.
            if !std::mem::replace(&mut self.away, true) {
                tracing::error!(dir = %dir.display(), "the directory is gone; the queue waits for it");
            }
            return false;
        }
        if std::mem::replace(&mut self.away, false) {
            tracing::info!("the directories are back; the queue goes on");
        }
        let min_free = shared.settings.min_free;
        let Some(free) = free_bytes(&shared.settings.incomplete_dir).filter(|_| min_free > 0) else {
            return true;
        };
        let low = is_low(free, min_free, self.low);
        if low != self.low {
            match low {
                true => tracing::warn!(free, min_free, "the disk is nearly full; the queue waits"),
                false => tracing::info!(free, "the disk has room again; the queue goes on"),
            }
        }
        self.low = low;
        !low
    }
}

/// Whether too little is free; what was low is so until there is twice as much.
fn is_low(free: u64, min_free: u64, was_low: bool) -> bool {
    free < if was_low { min_free.saturating_mul(2) } else { min_free }
}

/// Bytes this user may still write below `dir`; `None` when the filesystem does not say.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(dir).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Longest time without looking at the queue: a lost wake-up costs no more than this.
const IDLE: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(5);
const DISK_POLL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_was_low_needs_twice_as_much_before_the_queue_goes_on() {
        for (free, was_low, low) in
            [(100, false, false), (99, false, true), (100, true, true), (199, true, true), (200, true, false)]
        {
            assert_eq!(is_low(free, 100, was_low), low, "{free} free, low before: {was_low}");
        }
        assert!(is_low(u64::MAX - 1, u64::MAX, true), "no reserve is too large to be doubled");
        assert!(!is_low(0, 0, true), "no reserve is never missed");
    }
}
