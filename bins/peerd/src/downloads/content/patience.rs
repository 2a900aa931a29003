//! How long somebody waits for bytes of a row.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use download_registry::{DownloadId, Fence};

use super::super::Shared;

/// Ends a wait when `limit` has passed in which the row brought nothing.
pub(super) struct Patience {
    shared: Arc<Shared>,
    id: DownloadId,
    limit: Duration,
    seen: Mutex<Seen>,
}

/// What was seen last, and since when that has been all.
struct Seen {
    stand: Option<Stand>,
    since: Instant,
}

/// Where the worker of a row stands.
#[derive(Clone, Copy, Debug)]
struct Stand {
    claim: Fence,
    /// Bytes that were on record before it began: nothing it has brought.
    begun_with: u64,
    written: u64,
}

impl Patience {
    pub(super) fn new(shared: &Arc<Shared>, id: DownloadId, limit: Duration) -> Self {
        let seen = Seen { stand: stand(shared, id), since: shared.clock.now() };
        Self { shared: Arc::clone(shared), id, limit, seen: Mutex::new(seen) }
    }

    /// Resolves when the limit has passed since it began, whether anything came or not. Cancel safe.
    pub(super) async fn over(&self) {
        self.shared.clock.sleep_until(self.since() + self.limit).await;
    }

    /// Resolves when the limit has passed in which nothing came. Cancel safe.
    pub(super) async fn worn_out(&self) {
        loop {
            self.over().await;
            if !self.renewed() {
                return;
            }
        }
    }

    /// Whether anything has come since it began, or was asked; from now on it begins anew if so.
    pub(super) fn renewed(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(stand) = stand(&self.shared, self.id) else { return false };
        let renewed = stand.has_brought_more_than(seen.stand);
        seen.stand = Some(stand);
        if renewed {
            seen.since = self.shared.clock.now();
        }
        renewed
    }

    fn since(&self) -> Instant {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).since
    }
}

impl Stand {
    /// Whether bytes have come in since `before`. That somebody has begun, or has gone, brings none.
    fn has_brought_more_than(self, before: Option<Self>) -> bool {
        let before = before.filter(|before| before.claim == self.claim);
        self.written > before.map_or(0, |before| before.written).max(self.begun_with)
    }
}

/// Where the worker of a row stands, while there is one.
fn stand(shared: &Shared, id: DownloadId) -> Option<Stand> {
    let running = shared.running().get(&id).cloned()?;
    let (claim, begun_with) = (running.fence, running.begun_with);
    let written = running.progress.borrow().map_or(begun_with, |progress| progress.written);
    Some(Stand { claim, begun_with, written })
}

#[cfg(test)]
pub(super) fn written(shared: &Shared, id: DownloadId) -> u64 {
    stand(shared, id).map_or(0, |stand| stand.written)
}
