//! Upkeep: rows that were over long ago leave the registry, and its file is folded and trimmed while nobody needs it.
//!
//! Only published and called-off rows go, with their history; never a file, and never a row an importer has yet to
//! answer for. Failed rows may own a part: they stay until somebody decides.

use std::sync::Arc;
use std::time::Duration;

use download_registry::{StorageError, Timestamp};

use super::Shared;
use crate::config::NO_IMPORTER;

/// Looks after the registry until the service stops.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut tidied = shared.now();
    loop {
        let timer = shared.clock.sleep(EVERY);
        if shared.shutdown.run_until_cancelled(timer).await.is_none() {
            return;
        }
        if let Err(error) = forget_the_past(&shared, shared.now()).await {
            tracing::warn!(error = %resume_fetch::describe(&error), "old downloads cannot be forgotten; trying again");
        }
        let now = shared.now();
        if is_time_to_tidy(now.saturating_since(tidied), !shared.running().is_empty()) {
            match shared.registry.tidy().await {
                Ok(()) => tidied = now,
                Err(error) => {
                    tracing::warn!(error = %resume_fetch::describe(&error), "the registry cannot be tidied; trying again");
                }
            }
        }
    }
}

/// Removes what changed last longer ago than history is kept, a few rows at a time so that others get their turn.
pub(super) async fn forget_the_past(shared: &Shared, now: Timestamp) -> Result<(), StorageError> {
    let Some(keep) = shared.settings().keep_history else { return Ok(()) };
    let before = earlier(now, keep);
    let mut forgotten = 0;
    let outcome = loop {
        match shared.registry.prune(before, BITE, Some(NO_IMPORTER)).await {
            Ok(gone) => {
                forgotten += gone;
                // A bite that is not full was the last.
                if gone < u64::from(BITE) || shared.shutdown.is_cancelled() {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    if forgotten > 0 {
        tracing::info!(
            rows = forgotten,
            keep_days = keep.as_secs() / DAY.as_secs(),
            "old downloads forgotten"
        );
    }
    outcome
}

/// Once a day when nothing runs; after two days whatever runs.
fn is_time_to_tidy(since: Duration, busy: bool) -> bool {
    since >= if busy { 2 * DAY } else { DAY }
}

fn earlier(now: Timestamp, by: Duration) -> Timestamp {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(now.as_millis().saturating_sub(by))
}

const EVERY: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// Rows of one transaction.
const BITE: u32 = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_tidied_once_a_day_and_best_while_nothing_runs() {
        for (hours, busy, expected) in
            [(23, false, false), (24, false, true), (24, true, false), (47, true, false), (48, true, true)]
        {
            assert_eq!(
                is_time_to_tidy(Duration::from_secs(hours * 3600), busy),
                expected,
                "{hours} h, {busy}"
            );
        }
    }
}
