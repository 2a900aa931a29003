//! Checkpoints: write, then sync, then record, beside the transfer.

use std::ops::Range;
use std::sync::Arc;

use super::Engine;
use crate::error::{FetchErrorKind, LocalError};
use crate::lease::{blocking, piece};
use crate::ledger::LedgerError;
use crate::range_set::RangeSet;
use crate::request::FetchRequest;
use crate::transport::BoxFuture;

/// A checkpoint in flight: the ranges it covers, and its end.
pub(super) type Checkpoint = BoxFuture<'static, (RangeSet, Result<(), CheckpointError>)>;

#[derive(Debug)]
pub(super) enum CheckpointError {
    Sync(LocalError),
    Record(LedgerError),
}

impl Engine {
    /// Whether as much is waiting for the disk as a crash may cost: then no report is taken, so that workers wait too,
    /// and with them the network.
    pub(super) fn is_crowded(&self) -> bool {
        self.checkpoint.is_some() && self.state.undurable_len() >= crowded_at(&self.shared.request)
    }

    /// Starts a checkpoint when enough is written, or sets the clock for one.
    pub(super) fn checkpoint_if_due(&mut self) {
        if self.checkpoint.is_some() {
            return;
        }
        let waiting = self.state.undurable_len();
        if waiting >= checkpoint_at(&self.shared.request) {
            self.start_checkpoint();
        } else if waiting > 0 && self.checkpoint_due.is_none() {
            self.checkpoint_due = Some(self.shared.clock.sleep(self.shared.request.checkpoint_interval));
        }
    }

    pub(super) fn start_checkpoint(&mut self) {
        let ranges = self.state.undurable();
        if self.checkpoint.is_some() || ranges.is_empty() {
            return;
        }
        self.checkpoint_due = None;
        let (part, generation) = (self.shared.part.clone(), self.state.generation);
        let list: Vec<_> = ranges.iter().collect();
        let ahead = self.reserve_ahead();
        let record = self.on_ledger(move |ledger| async move { ledger.record(generation, &list).await });
        let (ledger, clock) = (Arc::clone(&self.ledger), Arc::clone(&self.shared.clock));
        self.checkpoint = Some(Box::pin(async move {
            let began = clock.now();
            let synced = blocking(&part, move |part| {
                part.sync()?;
                part.reserve(ahead);
                Ok(())
            });
            let result = match synced.await {
                Err(error) => Err(CheckpointError::Sync(error)),
                Ok(()) => record.await.map_err(CheckpointError::Record),
            };
            if result.is_ok() {
                ledger.checkpointed(clock.now().saturating_duration_since(began));
            }
            (ranges, result)
        }));
    }

    pub(super) fn checkpointed(
        &mut self,
        ranges: &RangeSet,
        result: Result<(), CheckpointError>,
    ) -> Result<(), FetchErrorKind> {
        match result {
            Ok(()) => {
                self.attempts.progress(ranges.len(), self.shared.request.retry.attempts_reset_bytes);
                self.state.durable.extend(ranges.iter());
                self.show_same_phase();
                Ok(())
            }
            Err(CheckpointError::Sync(error)) => {
                // The kernel may have dropped these pages and will not say so twice: they count as never written, and
                // whatever else was written since the last good sync is not believed either.
                self.poisoned = true;
                self.state.written = self.state.durable.clone();
                self.hashing.forget();
                self.post();
                Err(error.into())
            }
            Err(CheckpointError::Record(error)) => Err(error.into()),
        }
    }

    /// Brings everything written onto the record.
    pub(super) async fn settle(&mut self) -> Result<(), FetchErrorKind> {
        loop {
            self.end_checkpoint().await?;
            self.start_checkpoint();
            if self.checkpoint.is_none() {
                self.checkpoint_due = None;
                return Ok(());
            }
        }
    }

    /// Waits for the checkpoint that is under way, if there is one: a ledger is asked one thing at a time.
    pub(super) async fn end_checkpoint(&mut self) -> Result<(), FetchErrorKind> {
        if let Some(checkpoint) = self.checkpoint.as_mut() {
            let (ranges, result) = checkpoint.await;
            self.checkpoint = None;
            self.checkpointed(&ranges, result)?;
        }
        Ok(())
    }

    /// The range to keep room for next: a little ahead of what is written, so that the file lies together and a promise
    /// of the peer does not fill the disk.
    fn reserve_ahead(&mut self) -> Range<u64> {
        let end = self.state.written.iter().last().map_or(0, |run| run.end);
        let total = self.state.total().unwrap_or(end);
        let until = (end + RESERVE).min(total);
        if until < self.reserved.saturating_add(RESERVE / 2).min(total) {
            return 0..0;
        }
        let from = end.max(self.reserved).min(until);
        self.reserved = until;
        from..until
    }
}

/// Three eighths of what a crash may cost: as much again arrives while these are being synced, so that nobody waits for
/// a disk that is as fast as the network.
fn checkpoint_at(request: &FetchRequest) -> u64 {
    (request.checkpoint_bytes / 8 * 3).clamp(1, crowded_at(request))
}

/// What a crash may cost less the pieces nobody has been told of, and three quarters of it at most: a piece for each
/// worker, one in the queue, and the one that comes just before the limit.
fn crowded_at(request: &FetchRequest) -> u64 {
    let unheard = (request.connections.limit() as u64 + 2).saturating_mul(piece(request));
    let bytes = request.checkpoint_bytes;
    bytes.saturating_sub(unheard).min(bytes / 4 * 3).max(1)
}

/// How far ahead of the last written byte room is kept.
const RESERVE: u64 = 8 << 20;

#[cfg(all(test, feature = "reqwest"))]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use scripted_peer::{Representation, ScriptedPeer};

    use super::*;
    use crate::engine::lab::engine;
    use crate::error::FetchError;
    use crate::ledger::{Ledger, MemoryLedger};
    use crate::part_file::PartFile;
    use crate::request::Connections;

    /// Downloads 1 MiB into `device`, which has something against it.
    async fn into_device(device: &str) -> (FetchError, Arc<MemoryLedger>) {
        into_part(PartFile::over(device), 1 << 20, |request| request).await
    }

    /// Downloads `length` bytes into `part`, which has something against it.
    #[expect(clippy::unwrap_used, reason = "helpers of tests are tests too")]
    async fn into_part(
        part: PartFile,
        length: u64,
        settings: impl Fn(FetchRequest) -> FetchRequest,
    ) -> (FetchError, Arc<MemoryLedger>) {
        let peer = ScriptedPeer::start().await;
        peer.serve("/file", Representation::seeded(7, length).etag("\"a\""));
        let request = settings(FetchRequest::new(&peer.url("/file"), "/nowhere/x").unwrap());
        let ledger = Arc::new(MemoryLedger::new());
        let engine = engine(request, part, &ledger);
        (engine.run(None).await.unwrap_err(), ledger)
    }

    #[tokio::test]
    async fn a_failed_sync_ends_the_download_and_nothing_it_covered_is_ever_on_record() {
        // Takes every byte and cannot be synced.
        let (error, ledger) = into_device("/dev/null").await;
        assert!(error.kind.to_string().starts_with("cannot sync /dev/null"), "{error}");
        let record = ledger.load().await.unwrap().expect("it had begun");
        assert!(record.durable.is_empty(), "{record:?}");
        assert_eq!(error.bytes_kept, 0);
    }

    #[tokio::test]
    async fn after_a_failed_sync_no_other_is_believed_though_several_connections_go_on_writing() {
        let dir = tempfile::tempdir().unwrap();
        let part = PartFile::losing_pages(dir.path().join("x.part"));
        // The next sync would succeed, and there is always something on its way to the disk.
        let settings = |request: FetchRequest| {
            request.connections(Connections::fixed(4)).checkpoint(256 << 10, Duration::from_secs(1))
        };
        let (error, ledger) = into_part(part, 64 << 20, settings).await;
        assert!(error.kind.to_string().starts_with("cannot sync"), "{error}");
        let record = ledger.load().await.unwrap().expect("it had begun");
        assert!(record.durable.is_empty(), "{record:?}");
        assert_eq!(error.bytes_kept, 0);
    }

    #[test]
    fn what_is_not_on_record_stays_within_the_bound_or_within_the_smallest_pieces_there_are() {
        for connections in [1, 2, 4, 16] {
            for bytes in [1, 100 << 10, 256 << 10, 1 << 20, 16 << 20, 1 << 30, 0] {
                let request = FetchRequest::new("http://host/x", "x").unwrap();
                let request = request.connections(Connections::adaptive(connections));
                let request = request.checkpoint(bytes, Duration::from_secs(2));
                let (at, crowded) = (checkpoint_at(&request), crowded_at(&request));
                assert!((1..=crowded).contains(&at), "{connections} {bytes}: {at} {crowded}");
                // The last one heard of, one in the queue, and one of each worker.
                let unheard = (connections as u64 + 2) * piece(&request);
                let smallest = (connections as u64 + 2) * (16 << 10);
                let most = (crowded - 1).saturating_add(unheard);
                assert!(most <= request.checkpoint_bytes.max(smallest), "{connections} {bytes}: {most}");
            }
        }
    }

    #[tokio::test]
    async fn a_full_disk_ends_the_download_as_something_that_passes() {
        let (error, ledger) = into_device("/dev/full").await;
        assert!(matches!(&error.kind, FetchErrorKind::Local(local) if local.is_full()), "{error}");
        assert!(error.kind.is_retryable());
        assert!(ledger.load().await.unwrap().is_some_and(|record| record.durable.is_empty()));
    }
}
