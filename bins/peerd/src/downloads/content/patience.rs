//! How long somebody waits for bytes of a row.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use download_registry::DownloadId;

use super::super::Shared;

/// Ends a wait when `limit` has passed in which the row brought nothing.
pub(super) struct Patience {
    shared: Arc<Shared>,
    id: DownloadId,
    limit: Duration,
    /// What had been brought, and when that was seen.
    seen: Mutex<(u64, Instant)>,
}

impl Patience {
    pub(super) fn new(shared: &Arc<Shared>, id: DownloadId, limit: Duration) -> Self {
        let seen = Mutex::new((written(shared, id), shared.clock.now()));
        Self { shared: Arc::clone(shared), id, limit, seen }
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
        let written = written(&self.shared, self.id);
        let renewed = written != seen.0;
        if renewed {
            *seen = (written, self.shared.clock.now());
        }
        renewed
    }

    fn since(&self) -> Instant {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1
    }
}

/// Bytes the row holds, as far as somebody is at work on it.
pub(super) fn written(shared: &Shared, id: DownloadId) -> u64 {
    let running = shared.running().get(&id).cloned();
    running.and_then(|running| *running.progress.borrow()).map_or(0, |progress| progress.written)
}
