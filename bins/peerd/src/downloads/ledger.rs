//! Where the engine's record meets the registry: a row is the ledger of its part file.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use download_registry as registry;
use download_registry::{DownloadState, Fence, Registry, StorageError, Timestamp, WorkerError};
use resume_fetch::{
    BoxFuture, Identity, Layout, Ledger, LedgerError, RangeSet, Record, Restart, TotalSource,
};
use retry_kit::SharedClock;

use super::LEASE;

/// One row, as long as its lease holds.
pub(super) struct RowLedger {
    registry: Registry,
    fence: Fence,
    clock: SharedClock,
    /// What the row claimed when it was loaded, until the engine has said what it makes of it.
    claimed: Mutex<Option<(u64, Vec<Range<u64>>)>>,
    /// The row says that the part is whole and about to be published.
    sealed: AtomicBool,
    /// Who measures checkpoints.
    measured: Option<Box<dyn Fn(Duration) + Send + Sync>>,
}

impl RowLedger {
    /// The ledger of a claimed row; `sealed` if it was claimed while it was being published.
    pub(super) fn new(registry: Registry, fence: Fence, clock: SharedClock, sealed: bool) -> Self {
        Self {
            registry,
            fence,
            clock,
            claimed: Mutex::default(),
            sealed: AtomicBool::new(sealed),
            measured: None,
        }
    }

    /// Tells `measured` how long each checkpoint took.
    pub(super) fn measured_by(mut self, measured: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.measured = Some(Box::new(measured));
        self
    }

    /// The disk holds less than the row claims: the claim goes first, for whoever reads the row in between.
    async fn withdraw_claim(&self) -> Result<(), LedgerError> {
        let claimed = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((generation, ranges)) = claimed.filter(|(_, ranges)| !ranges.is_empty()) else {
            return Ok(());
        };
        let withdrawn = self.registry.subtract(&self.fence, generation, &ranges, self.now()).await;
        withdrawn.map(drop).map_err(failed)
    }

    fn now(&self) -> Timestamp {
        self.clock.wall().into()
    }
}

impl Ledger for RowLedger {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        Box::pin(async {
            // Before anything is opened: a worker whose row was taken away must not touch its part.
            let until = self.now().saturating_add(LEASE);
            self.registry.renew(&self.fence, until).await.map_err(failed)?;
            let point = self.registry.resume_point(self.fence.id()).await;
            let point = point.map_err(unreadable)?;
            let point = point.filter(|point| point.generation > 0);
            *self.claimed.lock().unwrap_or_else(PoisonError::into_inner) =
                point.as_ref().map(|point| (point.generation, point.ranges.clone()));
            Ok(point.map(|point| Record {
                generation: point.generation,
                identity: from_row(&point.identity),
                layout: layout_of_row(point.layout),
                durable: RangeSet::from_iter(point.ranges),
                sealed: self.sealed.load(Ordering::Relaxed),
            }))
        })
    }

    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            if restart.is_none() {
                self.withdraw_claim().await?;
            }
            self.sealed.store(false, Ordering::Relaxed);
            let restart = restart.map(|restart| registry::Restart {
                reason: restart.reason.as_str().to_owned(),
                discarded: restart.discarded,
            });
            let begun = self
                .registry
                .begin_generation(&self.fence, &to_row(identity), restart.as_ref(), self.now())
                .await
                .map_err(failed)?;
            match begun == generation {
                true => Ok(()),
                false => Err(LedgerError {
                    message: format!("the row is at generation {begun}, not {generation}"),
                    damaged: false,
                    source: None,
                }),
            }
        })
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            let identity = to_row(identity);
            let adopted = self.registry.adopt_identity(&self.fence, generation, &identity, self.now());
            adopted.await.map(drop).map_err(failed)
        })
    }

    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            let scattered = self.registry.scatter(&self.fence, generation, self.now());
            scattered.await.map_err(failed)
        })
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            let recorded = self.registry.record_durable(&self.fence, generation, durable, self.now());
            recorded.await.map(drop).map_err(failed)
        })
    }

    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            self.registry.subtract(&self.fence, generation, lost, self.now()).await.map_err(failed)?;
            if self.sealed.load(Ordering::Relaxed) {
                // A row that lost bytes is being fetched again, and will have to be sealed again.
                let row = self.registry.get(self.fence.id()).await.map_err(unreadable)?;
                let sealed = row.is_some_and(|row| row.state == DownloadState::Finalizing);
                self.sealed.store(sealed, Ordering::Relaxed);
            }
            Ok(())
        })
    }

    fn seal(&self, _generation: u64, _total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async {
            if self.sealed.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.registry.seal(&self.fence, self.now()).await.map(drop).map_err(failed)
        })
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        Box::pin(async { self.registry.finish(&self.fence, self.now()).await.map(drop).map_err(failed) })
    }

    fn checkpointed(&self, took: Duration) {
        if let Some(measured) = &self.measured {
            measured(took);
        }
    }
}

/// The engine's identity as the row keeps it.
fn to_row(identity: &Identity) -> registry::Identity {
    let source = match identity.total_source {
        Some(TotalSource::ContentRange) => registry::TotalSource::ContentRange,
        Some(TotalSource::Request) => registry::TotalSource::Request,
        Some(TotalSource::EndOfBody) => registry::TotalSource::EndOfBody,
        Some(TotalSource::ContentLength) | None => registry::TotalSource::ContentLength,
    };
    registry::Identity {
        total: identity.total.map(|bytes| registry::Total { bytes, source }),
        validator: identity.validator.as_ref().map(ToString::to_string),
    }
}

fn from_row(identity: &registry::Identity) -> Identity {
    let source = |source| match source {
        registry::TotalSource::ContentLength => Some(TotalSource::ContentLength),
        registry::TotalSource::ContentRange => Some(TotalSource::ContentRange),
        registry::TotalSource::Request => Some(TotalSource::Request),
        registry::TotalSource::EndOfBody => Some(TotalSource::EndOfBody),
        // What the peer's list said is not what its answer will say.
        _ => None,
    };
    let total = identity.total.and_then(|total| Some((total.bytes, source(total.source)?)));
    Identity {
        total: total.map(|(bytes, _)| bytes),
        total_source: total.map(|(_, source)| source),
        validator: identity.validator.as_deref().and_then(|validator| validator.parse().ok()),
    }
}

fn layout_of_row(layout: registry::Layout) -> Layout {
    match layout {
        registry::Layout::Prefix => Layout::Prefix,
        registry::Layout::Map => Layout::Map,
    }
}

fn unreadable(error: StorageError) -> LedgerError {
    LedgerError::new("cannot read the row", error)
}

fn failed(error: WorkerError) -> LedgerError {
    LedgerError::new("the row could not be written", error)
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of one byte range is what is meant")]
mod tests {
    use std::sync::Arc;

    use download_registry::{ClaimRequest, NewDownload};
    use retry_kit::{Clock, ManualClock};

    use super::*;

    #[test]
    fn an_identity_reads_back_as_it_was_written() {
        for source in [
            TotalSource::ContentLength,
            TotalSource::ContentRange,
            TotalSource::Request,
            TotalSource::EndOfBody,
        ] {
            for validator in ["\"strong\"", "W/\"weak\"", "Sun, 06 Nov 1994 08:49:37 GMT"] {
                let identity = Identity {
                    total: Some(5),
                    total_source: Some(source),
                    validator: Some(validator.parse().unwrap()),
                };
                assert_eq!(from_row(&to_row(&identity)), identity, "{validator}");
            }
        }
        assert_eq!(from_row(&to_row(&Identity::default())), Identity::default());
    }

    #[test]
    fn what_a_list_said_about_the_size_binds_no_bytes() {
        let total = registry::Total { bytes: 5, source: registry::TotalSource::Manifest };
        let listed = registry::Identity { total: Some(total), validator: None };
        assert_eq!(from_row(&listed), Identity::default());
    }

    /// The ledger of a row that a worker holds, of a file of 100 bytes.
    async fn begun(dir: &tempfile::TempDir) -> RowLedger {
        let registry = Registry::open(dir.path().join("peerd.db"), &Default::default()).await.unwrap();
        let clock: SharedClock = Arc::new(ManualClock::new());
        let now = clock.wall().into();
        let new = NewDownload { url: "http://peer/x".to_owned(), ..NewDownload::default() };
        registry.enqueue(&new, now).await.unwrap();
        let request = ClaimRequest { owner: "peerd", now, lease_for: LEASE, exclude_peers: &[] };
        let claim = registry.claim_next(&request).await.unwrap().unwrap();
        let ledger = RowLedger::new(registry, claim.fence, clock, false);
        ledger.begin(1, &of_100_bytes(), None).await.unwrap();
        ledger
    }

    fn of_100_bytes() -> Identity {
        Identity {
            total: Some(100),
            total_source: Some(TotalSource::ContentRange),
            validator: "\"a\"".parse().ok(),
        }
    }

    #[tokio::test]
    async fn a_row_remembers_its_layout_until_the_next_generation() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = begun(&dir).await;
        let record = async || ledger.load().await.unwrap().unwrap();
        assert_eq!(record().await.layout, Layout::Prefix);
        ledger.scatter(1).await.unwrap();
        ledger.record(1, &[60..80, 0..10]).await.unwrap();
        ledger.subtract(1, &[60..70, 75..100]).await.unwrap();
        let expected = Record {
            generation: 1,
            identity: of_100_bytes(),
            layout: Layout::Map,
            durable: [0..10, 70..75].into_iter().collect(),
            sealed: false,
        };
        assert_eq!(record().await, expected);
        ledger.begin(2, &of_100_bytes(), None).await.unwrap();
        assert_eq!(record().await, Record { generation: 2, identity: of_100_bytes(), ..Record::default() });
        ledger.scatter(1).await.unwrap_err();
        assert_eq!(record().await.layout, Layout::Prefix, "a straggler changes nothing");
    }

    #[tokio::test]
    async fn a_row_that_lost_bytes_while_it_was_published_is_sealed_again_when_they_are_back() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = begun(&dir).await;
        ledger.record(1, &[0..100]).await.unwrap();
        ledger.seal(1, 100).await.unwrap();
        // As the next process finds it.
        let ledger = RowLedger::new(ledger.registry.clone(), ledger.fence, Arc::clone(&ledger.clock), true);
        let state = async || ledger.registry.get(ledger.fence.id()).await.unwrap().unwrap().state;
        ledger.subtract(1, &[]).await.unwrap();
        ledger.seal(1, 100).await.unwrap();
        assert_eq!(state().await, DownloadState::Finalizing, "nothing was lost");
        ledger.subtract(1, &[20..30]).await.unwrap();
        assert_eq!(state().await, DownloadState::Downloading);
        assert!(!ledger.load().await.unwrap().unwrap().sealed);
        ledger.record(1, &[20..30]).await.unwrap();
        ledger.seal(1, 100).await.unwrap();
        assert_eq!(state().await, DownloadState::Finalizing);
    }
}
