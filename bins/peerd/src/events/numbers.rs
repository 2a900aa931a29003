//! The numbers of events go on over restarts: no number is ever given to two of them.
//!
//! Writing each one down would cost a transaction per event. So a block is reserved ahead of its use, and a clean
//! stop gives the rest back. After a crash the next process begins behind the block, and whoever comes back with an
//! older number gets a snapshot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use download_registry::{Registry, StorageError, Timestamp};
use retry_kit::{Clock, SharedClock};
use tokio::sync::Notify;

/// What is reserved, and what of it is spent.
pub(super) struct Numbers {
    reserved: AtomicU64,
    spent: AtomicU64,
    low: Notify,
}

impl Numbers {
    /// Reserves the first block, and returns the number of the last event before.
    pub(super) async fn open(registry: &Registry, now: Timestamp) -> Result<(Self, u64), StorageError> {
        let last = registry.record(KIND, NAME).await?.and_then(|text| text.parse().ok()).unwrap_or(0);
        let top = last + BLOCK;
        write(registry, top, now).await?;
        let numbers = Self { reserved: AtomicU64::new(top), spent: AtomicU64::new(last), low: Notify::new() };
        Ok((numbers, last))
    }

    /// Notes that numbers up to `last` are given.
    pub(super) fn spent(&self, last: u64) {
        self.spent.fetch_max(last, Ordering::Relaxed);
        if self.is_low() {
            self.low.notify_one();
        }
    }

    /// Reserves the next block whenever half of one is spent.
    pub(super) async fn keep(&self, registry: &Registry, clock: &SharedClock) {
        loop {
            self.low.notified().await;
            while self.is_low() {
                let top = self.spent.load(Ordering::Relaxed) + BLOCK;
                match write(registry, top, clock.wall().into()).await {
                    Ok(()) => self.reserved.store(top, Ordering::Relaxed),
                    Err(error) => {
                        tracing::warn!(error = %resume_fetch::describe(&error), "event numbers cannot be reserved; trying again");
                        clock.sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    fn is_low(&self) -> bool {
        self.spent.load(Ordering::Relaxed) + BLOCK / 2 >= self.reserved.load(Ordering::Relaxed)
    }
}

/// Writes down the highest number that may have been given.
pub(super) async fn write(registry: &Registry, top: u64, now: Timestamp) -> Result<(), StorageError> {
    registry.put_record(KIND, NAME, &top.to_string(), now).await
}

const KIND: &str = "events";
const NAME: &str = "last";
/// At some thirty events a second, half of it lasts a quarter of an hour in which the registry may refuse.
const BLOCK: u64 = 1 << 16;
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use download_registry::Options;
    use retry_kit::ManualClock;

    use super::*;

    async fn registry(dir: &tempfile::TempDir) -> Registry {
        Registry::open(dir.path().join("peerd.db"), &Options::default()).await.unwrap()
    }

    #[tokio::test]
    async fn after_a_clean_stop_the_numbers_go_on_and_after_a_crash_none_comes_twice() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(&dir).await;
        let now = Timestamp::from_millis(0);
        let (_, last) = Numbers::open(&registry, now).await.unwrap();
        assert_eq!(last, 0);
        write(&registry, 7, now).await.unwrap();
        let (crashed, last) = Numbers::open(&registry, now).await.unwrap();
        assert_eq!(last, 7);
        crashed.spent(9);
        let (_, last) = Numbers::open(&registry, now).await.unwrap();
        assert!(last >= 9, "{last}");
    }

    #[tokio::test]
    async fn a_block_is_reserved_before_the_last_one_is_spent() {
        let dir = tempfile::tempdir().unwrap();
        let registry = registry(&dir).await;
        let clock: SharedClock = Arc::new(ManualClock::new());
        let (numbers, last) = Numbers::open(&registry, clock.wall().into()).await.unwrap();
        let reserved = async || registry.record(KIND, NAME).await.unwrap().unwrap().parse::<u64>().unwrap();
        assert_eq!(reserved().await, last + BLOCK);
        numbers.spent(last + BLOCK / 2);
        let spent = last + BLOCK / 2;
        tokio::select! {
            () = numbers.keep(&registry, &clock) => unreachable!("it goes on for ever"),
            () = async { while reserved().await != spent + BLOCK { tokio::task::yield_now().await } } => {}
        }
    }
}
