//! The scheduler: a free permit and a due row meet here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use download_registry::{Claim, ClaimRequest, StorageError, Timestamp};

use super::readers::Next;
use super::{LEASE, OWNER, Shared, worker};
use crate::events::{Step, Why};

/// Claims rows and hands them to workers until the service stops.
pub(super) async fn run(shared: Arc<Shared>) {
    while !shared.shutdown.is_cancelled() {
        let wait = match step(&shared).await {
            Ok(Turn::Started) => continue,
            Ok(Turn::Idle { until }) => until,
            Err(error) => {
                tracing::error!(error = %resume_fetch::describe(&error), "the queue cannot be read; trying again");
                Some(shared.now().saturating_add(IDLE))
            }
        };
        let longest = if shared.running().is_empty() { IDLE } else { DISK_POLL };
        let delay = wait.map_or(longest, |until| until.saturating_since(shared.now()).min(longest));
        let timer = shared.clock.sleep(delay.max(SHORTEST));
        tokio::select! {
            () = shared.shutdown.cancelled() => return,
            () = shared.wake.notified() => {}
            () = shared.peers.changed() => {}
            () = timer => {}
        }
    }
}

enum Turn {
    Started,
    /// Nothing may run before this time, unless something changes.
    Idle {
        until: Option<Timestamp>,
    },
}

async fn step(shared: &Arc<Shared>) -> Result<Turn, StorageError> {
    let now = shared.now();
    for id in shared.registry.revive_failed(now).await? {
        shared.tell(id, Step::Queued(Why::Revived));
    }
    if !shared.has_room().await {
        return Ok(Turn::Idle { until: Some(now.saturating_add(DISK_POLL)) });
    }
    // Taken before the claim, so that a row is never leased without the right to run.
    let permit = shared.permits.try_acquire();
    let read = match shared.wanted_by_readers(usize::from(permit.is_some())).await? {
        Next::Claim(id) => Some(id),
        Next::Yield(id) => {
            shared.make_way(id);
            None
        }
        Next::Nothing => None,
    };
    let Some(permit) = permit else { return Ok(Turn::Idle { until: None }) };
    let exclude_peers = shared.busy_peers();
    let request = ClaimRequest { owner: OWNER, now, lease_for: LEASE, exclude_peers: &exclude_peers };
    let mut claim = match read {
        Some(id) => shared.registry.claim(id, &request).await?,
        None => None,
    };
    // Also where an order came between the look and the claim: the others have not changed.
    if claim.is_none() {
        claim = shared.registry.claim_next(&request).await?;
    }
    let Some(claim) = claim else {
        drop(permit);
        return Ok(Turn::Idle { until: shared.registry.next_due(now).await? });
    };
    start(shared, claim, permit);
    Ok(Turn::Started)
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
    pub(super) fn busy_peers(&self) -> Vec<String> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for peer in self.running().values().filter_map(|running| running.peer.clone()) {
            *counts.entry(peer).or_default() += 1;
        }
        counts.retain(|name, count| self.peers.get(name).is_some_and(|peer| *count >= peer.max_concurrent()));
        counts.into_keys().collect()
    }
}

/// Longest time without looking at the queue: a lost wake-up costs no more than this.
const IDLE: Duration = Duration::from_secs(5);
const SHORTEST: Duration = Duration::from_millis(5);
/// Time between two looks at the disk while something grows on it, or while the queue waits for room.
const DISK_POLL: Duration = Duration::from_secs(1);
