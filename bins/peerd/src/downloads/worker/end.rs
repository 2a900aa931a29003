//! How a row leaves its worker: what an end means, and the line in the registry that says so.

use std::path::Path;
use std::time::Duration;

use download_registry::{
    Download as Row, DownloadState, FailedTry, Next, Problem, StorageError, Timestamp, WorkerError,
};
use resume_fetch::{AttemptError, Completed, FetchError, FetchErrorKind, LocalError, Phase};
use retry_kit::DelaySource;

use super::Worker;
use crate::downloads::intake::{AddError, DescribeError};
use crate::downloads::peers::PeerError;
use crate::downloads::{Intent, RENEW};
use crate::events::{Retry, Step, Why};
use crate::failure::Failure;
use crate::tls::with_remedy;

/// How a row leaves its worker.
#[derive(Debug)]
pub(super) enum End {
    Published(Completed),
    /// Nothing more to write: somebody else has the row now.
    Fenced,
    /// The file has its name, or nearly so, and the registry does not know: whoever takes the row back looks.
    Unfinished,
    Stopped,
    /// Try again after this time. A failed attempt when the delay has a source, else something of ours that passes.
    Later {
        delay: Duration,
        problem: Problem,
        source: Option<DelaySource>,
    },
    Failed {
        problem: Problem,
        retryable: bool,
        /// How long the peer asked to be left alone, if it did.
        rest: Option<Duration>,
    },
}

impl Worker {
    pub(super) fn undescribed(&self, error: &DescribeError) -> End {
        let message = with_remedy(error, self.row.peer.as_deref());
        match error {
            DescribeError::Peer(PeerError::Transport(error))
                if !error.is_transient() && !error.is_unreachable() =>
            {
                failed(Failure::Rejected, message, false)
            }
            DescribeError::Peer(PeerError::Status { status, retry_after }) => match status.as_u16() {
                _ if resume_fetch::is_transient_status(*status) => {
                    self.backed_off(Failure::AttemptsExhausted, message, *retry_after)
                }
                404 | 410 => failed(Failure::NotFound, message, false),
                401 | 403 | 407 => failed(Failure::KeyRefused, message, false),
                _ => failed(Failure::Rejected, message, false),
            },
            DescribeError::Peer(_) => self.backed_off(Failure::Unreachable, message, None),
            DescribeError::Check(AddError::DiskFull { .. }) => self.disk_full(message),
            DescribeError::Check(AddError::TooLarge { .. }) => failed(Failure::TooLarge, message, false),
            DescribeError::Check(AddError::DestinationExists(_)) => {
                failed(Failure::DestinationExists, message, false)
            }
            DescribeError::Check(_) => failed(Failure::Rejected, message, false),
        }
    }

    /// A failure before the engine ran, treated by the same policy as one inside it.
    pub(super) fn backed_off(&self, kind: Failure, message: String, hint: Option<Duration>) -> End {
        let settings = self.shared.settings();
        let policy = &settings.retry;
        let mut attempts = retry_kit::Attempts::from_failures(self.row.attempts_so_far(self.reset_bytes()));
        match policy.after_failure(&mut attempts, hint, &mut self.shared.rng()) {
            retry_kit::Next::Retry { delay, source, .. }
            | retry_kit::Next::Deferred { delay, source, .. } => {
                End::Later { delay, problem: Problem::new(kind.as_str(), message), source: Some(source) }
            }
            retry_kit::Next::GiveUp { .. } => resting(kind, message, hint),
        }
    }

    /// What an engine that ended without a file means for the row.
    pub(super) fn end_of(&self, error: FetchError) -> End {
        let message = with_remedy(&error, self.row.peer.as_deref());
        let kind = Failure::of(&error.kind);
        match error.kind {
            FetchErrorKind::Stopped => End::Stopped,
            FetchErrorKind::Ledger(error) if is_fenced(&error) => End::Fenced,
            FetchErrorKind::Deferred { delay, source_of_delay, last } => {
                // Unreachable rows go on as soon as the peer answers; one it asked to wait does not.
                let kind = match (&last, source_of_delay) {
                    (AttemptError::Transport(error), DelaySource::Backoff) if error.is_unreachable() => {
                        Failure::Unreachable
                    }
                    _ => kind,
                };
                let problem = Problem::new(kind.as_str(), resume_fetch::describe(&last));
                End::Later { delay, problem, source: Some(source_of_delay) }
            }
            FetchErrorKind::Ledger(error) if is_storage(&error) && self.is_finalizing() => End::Unfinished,
            // Trouble of ours that may pass, and nothing the peer did.
            FetchErrorKind::Ledger(error) if is_storage(&error) => held(DISK_FULL_WAIT, kind, message),
            FetchErrorKind::Local(error) if error.is_full() => self.disk_full(message),
            FetchErrorKind::Local(LocalError::Busy(_)) => held(RENEW, kind, message),
            FetchErrorKind::Local(LocalError::NotSynced { .. }) => End::Unfinished,
            // A mount that went away comes back; the bytes on it are still on record.
            FetchErrorKind::Local(LocalError::Io { .. }) => held(LOCAL_WAIT, kind, message),
            FetchErrorKind::Exhausted { .. } => resting(kind, message, error.retry_after),
            // Not worth a second attempt, and yet it passes: a certificate is renewed, a clock is set.
            FetchErrorKind::Permanent(AttemptError::Transport(last)) if last.is_unreachable() => {
                self.backed_off(kind, message, None)
            }
            _ => failed(kind, message, false),
        }
    }

    pub(super) fn is_finalizing(&self) -> bool {
        let reached = self.progress.borrow().is_some_and(|progress| progress.phase == Phase::Finalizing);
        reached || self.row.state == DownloadState::Finalizing
    }

    pub(super) fn disk_full(&self, message: String) -> End {
        held(DISK_FULL_WAIT, Failure::DiskFull, message)
    }

    /// Writes the end of the row down, however long the registry takes to come back (a full disk stops it, too): a
    /// row left as it is would look busy with nobody working on it.
    pub(super) async fn write_down_in_the_end(&self, end: End) -> Result<(), WorkerError> {
        loop {
            match self.write_down(&end).await {
                Err(WorkerError::Storage(error)) if !self.shared.shutdown.is_cancelled() => {
                    let error = resume_fetch::describe(&error);
                    tracing::error!(
                        download_id = self.row.id.get(),
                        error,
                        "the row cannot be written; trying again"
                    );
                    let pause = self.shared.clock.sleep(STORAGE_PAUSE);
                    self.shared.shutdown.run_until_cancelled(pause).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes the row first and tells it then: nobody hears of what a crash could still undo.
    async fn write_down(&self, end: &End) -> Result<(), WorkerError> {
        match end {
            End::Published(done) => {
                let path = Path::new(self.row.target.as_deref().unwrap_or_default());
                self.tell(Step::Completed { path, done });
            }
            End::Fenced => self.tell(Step::TakenOver),
            End::Unfinished => self.tell(Step::Unrecorded),
            End::Stopped => self.write_down_stopped().await?,
            End::Later { delay, problem, source } => self.write_down_later(*delay, problem, *source).await?,
            End::Failed { problem, retryable, rest } => {
                if let Some(rest) = *rest {
                    self.source_rests(rest).await;
                }
                let now = self.shared.now();
                let (retryable, retry_at) = (*retryable, self.comes_back(*retryable, *rest, now));
                let row = self.record_failure(problem, Next::GiveUp { retryable, retry_at }, now).await?;
                self.tell(Step::Failed { problem, retryable, retry_at, durable: row.durable });
            }
        }
        Ok(())
    }

    async fn write_down_stopped(&self) -> Result<(), WorkerError> {
        let intent = self.intent();
        match intent {
            // A row that is being published stays so: whoever takes it back finishes it.
            Intent::Release | Intent::MakeRoom | Intent::Yield if self.is_finalizing() => {
                self.tell(Step::Stopped);
            }
            Intent::Release | Intent::Yield => {
                self.shared.registry.release(&self.fence, self.shared.now()).await?;
                self.tell(Step::Stopped);
                let why = if intent == Intent::Yield { Why::Yielded } else { Why::Released };
                self.tell(Step::Queued(why));
            }
            Intent::MakeRoom => {
                let message = "the disk is nearly full: less than min_free is left";
                let problem = Problem::new(Failure::DiskFull.as_str(), message);
                self.write_down_later(DISK_FULL_WAIT, &problem, None).await?;
            }
            // Written down and told by whoever gave the order, after this.
            Intent::Pause | Intent::Cancel => self.tell(Step::Stopped),
        }
        Ok(())
    }

    async fn write_down_later(
        &self,
        delay: Duration,
        problem: &Problem,
        source: Option<DelaySource>,
    ) -> Result<(), WorkerError> {
        if source == Some(DelaySource::RetryAfter) {
            self.source_rests(delay).await;
        }
        let now = self.shared.now();
        let until = now.saturating_add(delay);
        let row = match source {
            Some(_) => self.record_failure(problem, Next::Wait { until }, now).await?,
            None => self.shared.registry.wait(&self.fence, until, problem, now).await?,
        };
        let retry = Retry {
            attempt: row.attempts,
            max: self.shared.settings().retry.max_attempts.get(),
            delay,
            source: source.unwrap_or(DelaySource::Backoff),
            reason: &problem.message,
            parked: true,
        };
        self.tell(if source.is_some() { Step::Retrying(retry) } else { Step::Held(retry) });
        Ok(())
    }

    async fn record_failure(
        &self,
        problem: &Problem,
        next: Next,
        now: Timestamp,
    ) -> Result<Row, WorkerError> {
        let failed = FailedTry { problem: problem.clone(), reset_bytes: self.reset_bytes(), next };
        self.shared.registry.record_failure(&self.fence, &failed, now).await
    }

    /// Rows that ran out of attempts on passing failures come back by themselves, until they are too old; never before
    /// the peer wants to be asked again.
    fn comes_back(&self, retryable: bool, rest: Option<Duration>, now: Timestamp) -> Option<Timestamp> {
        let settings = self.shared.settings();
        let at = now.saturating_add(settings.retry_failed_every.max(rest.unwrap_or_default()));
        let last = self.row.created_at.saturating_add(settings.give_up_after);
        (retryable && at <= last).then_some(at)
    }
}

/// Trouble of ours that may pass, and nothing the peer did.
fn held(delay: Duration, kind: Failure, message: String) -> End {
    End::Later { delay, problem: Problem::new(kind.as_str(), message), source: None }
}

pub(super) fn failed(kind: Failure, message: impl Into<String>, retryable: bool) -> End {
    End::Failed { problem: Problem::new(kind.as_str(), message.into()), retryable, rest: None }
}

/// Attempts are used up, and the peer wants to be left alone for so long.
fn resting(kind: Failure, message: String, rest: Option<Duration>) -> End {
    End::Failed { problem: Problem::new(kind.as_str(), message), retryable: true, rest }
}

pub(super) fn unknown_peer(name: &str) -> End {
    failed(
        Failure::PeerUnknown,
        format!("no peer is called {name}; add it with: peerd peer add {name} URL"),
        true,
    )
}

fn is_fenced(error: &resume_fetch::LedgerError) -> bool {
    let source = error.source.as_deref().and_then(|source| source.downcast_ref::<WorkerError>());
    matches!(source, Some(WorkerError::Fenced { .. }))
}

/// Whether the database refused, and not the registry's rules.
fn is_storage(error: &resume_fetch::LedgerError) -> bool {
    error.source.as_deref().is_some_and(|source| {
        source.is::<StorageError>()
            || matches!(source.downcast_ref::<WorkerError>(), Some(WorkerError::Storage(_)))
    })
}

/// How long a row waits for room on the disk, or for the registry, before it looks again.
const DISK_FULL_WAIT: Duration = Duration::from_secs(5);
/// How long a row waits after any other trouble with the local disk.
const LOCAL_WAIT: Duration = Duration::from_secs(10);
/// Time between two tries to write the end of a row.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use resume_fetch::{NetworkFailure, TransportError};
    use scripted_peer::seeded_bytes;

    use super::*;
    use crate::downloads::tests::Service;
    use crate::downloads::{LEASE, OWNER};

    #[tokio::test]
    async fn a_file_whose_name_could_not_be_synced_is_completed_by_the_next_look_at_it() {
        let service = Service::start().await;
        // The scheduler, the watch over leases and the upkeep rest; nobody tells them of the row.
        service.clock.wait_for_sleepers(3).await;
        let claim = service.sealed_claim().await;
        let id = claim.download.id;
        let (shared, registry) = (Arc::clone(&service.downloads.shared), service.downloads.registry());
        // The rename was seen, and the sync of the directory failed.
        let target = service.dir.path().join("state/completed/m");
        std::fs::write(&target, seeded_bytes(7, 0..5000)).unwrap();
        let worker = Worker::new(shared, claim);
        let kind = LocalError::NotSynced { target, source: io::Error::other("as a disk would say") }.into();
        let error = FetchError { kind, bytes_kept: 5000, attempts: 0, retry_after: None, history: vec![] };
        let end = worker.end_of(error);
        worker.write_down_in_the_end(end).await.unwrap();
        drop(worker);
        assert_eq!(registry.get(id).await.unwrap().unwrap().state, DownloadState::Finalizing);
        service.clock.advance(LEASE);
        service.until(id, DownloadState::Completed).await;
    }

    #[tokio::test]
    async fn a_row_that_is_to_make_room_is_published_first_when_it_is_whole_and_stops_when_it_is_not() {
        for (intent, length, state) in [
            (Intent::Yield, 5000, DownloadState::Completed),
            (Intent::MakeRoom, 5000, DownloadState::Completed),
            (Intent::Yield, 100, DownloadState::Queued),
            (Intent::MakeRoom, 100, DownloadState::Waiting),
        ] {
            let service = Service::start().await;
            service.clock.wait_for_sleepers(3).await;
            let (shared, registry) = (Arc::clone(&service.downloads.shared), service.downloads.registry());
            let id = service.sealed_claim().await.download.id;
            let part = service.dir.path().join("state/incomplete/m.part");
            std::fs::write(part, seeded_bytes(7, 0..length)).unwrap();
            let claim = registry.recover(OWNER, shared.now(), LEASE).await.unwrap().finalizing.pop().unwrap();
            let worker = Worker::new(shared, claim);
            *worker.running.intent.lock().unwrap() = intent;
            worker.running.stop.cancel();
            worker.run().await;
            let row = registry.get(id).await.unwrap().unwrap();
            assert_eq!((row.state, row.lease), (state, None), "{intent:?}, {length} bytes");
        }
    }

    #[tokio::test]
    async fn only_a_row_that_waits_by_its_own_back_off_goes_on_as_soon_as_the_peer_answers() {
        let service = Service::start().await;
        service.clock.wait_for_sleepers(3).await;
        let worker = Worker::new(Arc::clone(&service.downloads.shared), service.sealed_claim().await);
        for (source, expected) in
            [(DelaySource::Backoff, Failure::Unreachable), (DelaySource::RetryAfter, Failure::Deferred)]
        {
            let last = TransportError::new(NetworkFailure::Connect).into();
            let delay = Duration::from_secs(600);
            let kind = FetchErrorKind::Deferred { delay, source_of_delay: source, last };
            let error = FetchError { kind, bytes_kept: 0, attempts: 1, retry_after: None, history: vec![] };
            let End::Later { problem, .. } = worker.end_of(error) else { panic!("it waits") };
            assert_eq!(problem.kind, expected.as_str());
        }
    }
}
