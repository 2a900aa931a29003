//! How a row leaves its worker: what an end means, and the line in the registry that says so.

use std::sync::PoisonError;
use std::time::Duration;

use download_registry::{DownloadState, FailedTry, Next, Problem, StorageError, Timestamp, WorkerError};
use resume_fetch::{AttemptError, Completed, FetchError, FetchErrorKind, LocalError, Phase};

use super::Worker;
use crate::downloads::intake::{AddError, DescribeError};
use crate::downloads::peers::PeerError;
use crate::downloads::{Intent, RENEW};
use crate::failure::Failure;

/// How a row leaves its worker.
#[derive(Debug)]
pub(super) enum End {
    Published(Completed),
    /// Nothing more to write: somebody else has the row now.
    Fenced,
    /// The file has its name, or nearly so, and the registry does not know: whoever takes the row back looks.
    Unfinished,
    Stopped,
    /// Try again at this time; `counts` as a failed attempt or not.
    Later {
        at: Timestamp,
        problem: Problem,
        counts: bool,
    },
    Failed {
        problem: Problem,
        retryable: bool,
    },
}

impl End {
    /// The word of the metrics.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            End::Published(_) => "completed",
            End::Fenced | End::Unfinished | End::Stopped => "stopped",
            End::Later { .. } => "waiting",
            End::Failed { .. } => "failed",
        }
    }
}

impl Worker {
    pub(super) fn undescribed(&self, error: &DescribeError) -> End {
        let message = resume_fetch::describe(error);
        match error {
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
        let policy = &self.shared.settings.retry;
        let mut attempts = retry_kit::Attempts::from_failures(self.row.attempts);
        match policy.after_failure(&mut attempts, hint, &mut self.shared.rng()) {
            retry_kit::Next::Retry { delay, .. } | retry_kit::Next::Deferred { delay, .. } => {
                self.shared.metrics.retry_delay.observe(delay.as_secs_f64());
                self.later(delay, kind, message, true)
            }
            retry_kit::Next::GiveUp { .. } => failed(kind, message, true),
        }
    }

    /// What an engine that ended without a file means for the row.
    pub(super) fn end_of(&self, error: FetchError) -> End {
        let message = resume_fetch::describe(&error);
        let kind = Failure::of(&error.kind);
        match error.kind {
            FetchErrorKind::Stopped => End::Stopped,
            FetchErrorKind::Ledger(error) if is_fenced(&error) => End::Fenced,
            FetchErrorKind::Deferred { delay, last, .. } => {
                self.shared.metrics.retry_delay.observe(delay.as_secs_f64());
                let kind = match &last {
                    AttemptError::Transport(error) if error.is_unreachable() => Failure::Unreachable,
                    _ => kind,
                };
                self.later(delay, kind, resume_fetch::describe(&last), true)
            }
            FetchErrorKind::Ledger(error) if is_storage(&error) && self.is_finalizing() => End::Unfinished,
            // Trouble of ours that may pass, and nothing the peer did.
            FetchErrorKind::Ledger(error) if is_storage(&error) => {
                self.later(DISK_FULL_WAIT, kind, message, false)
            }
            FetchErrorKind::Local(error) if error.is_full() => self.disk_full(message),
            FetchErrorKind::Local(LocalError::Busy(_)) => self.later(RENEW, kind, message, false),
            // A mount that went away comes back; the bytes on it are still on record.
            FetchErrorKind::Local(LocalError::Io { .. }) => self.later(LOCAL_WAIT, kind, message, false),
            FetchErrorKind::Exhausted { .. } => failed(kind, message, true),
            _ => failed(kind, message, false),
        }
    }

    fn is_finalizing(&self) -> bool {
        let reached = self.progress.borrow().is_some_and(|progress| progress.phase == Phase::Finalizing);
        reached || self.row.state == DownloadState::Finalizing
    }

    pub(super) fn disk_full(&self, message: String) -> End {
        self.later(DISK_FULL_WAIT, Failure::DiskFull, message, false)
    }

    fn later(&self, delay: Duration, kind: Failure, message: String, counts: bool) -> End {
        let at = self.shared.now().saturating_add(delay);
        End::Later { at, problem: Problem::new(kind.as_str(), message), counts }
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

    async fn write_down(&self, end: &End) -> Result<(), WorkerError> {
        let (registry, fence, now) = (&self.shared.registry, &self.fence, self.shared.now());
        let id = self.row.id.get();
        let reset_bytes = self.reset_bytes();
        match end {
            End::Published(done) => {
                tracing::info!(download_id = id, bytes = done.total, received = done.received, "completed");
            }
            End::Fenced => tracing::info!(download_id = id, "stopped: the row was taken over"),
            End::Unfinished => {
                tracing::warn!(download_id = id, "published, and not yet on record: to be looked at again");
            }
            End::Stopped => {
                let intent = *self.running.intent.lock().unwrap_or_else(PoisonError::into_inner);
                // Paused and cancelled rows are written down by whoever gave the order, after this.
                // A row that is being published stays so: the next start finishes it.
                if intent == Intent::Release && !self.is_finalizing() {
                    registry.release(fence, now).await?;
                    tracing::info!(download_id = id, "back in line");
                }
            }
            End::Later { at, problem, counts } => {
                if *counts {
                    let failed =
                        FailedTry { problem: problem.clone(), reset_bytes, next: Next::Wait { until: *at } };
                    registry.record_failure(fence, &failed, now).await?;
                } else {
                    registry.wait(fence, *at, problem, now).await?;
                }
                let delay_ms = at.saturating_since(now).as_millis() as u64;
                tracing::warn!(download_id = id, reason = problem.message, delay_ms, "waiting");
            }
            End::Failed { problem, retryable } => {
                let next = Next::GiveUp { retryable: *retryable, retry_at: self.comes_back(*retryable, now) };
                let failed = FailedTry { problem: problem.clone(), reset_bytes, next };
                registry.record_failure(fence, &failed, now).await?;
                tracing::error!(download_id = id, error = problem.message, retryable, "failed");
            }
        }
        Ok(())
    }

    /// Rows that ran out of attempts on passing failures come back by themselves, until they are too old.
    fn comes_back(&self, retryable: bool, now: Timestamp) -> Option<Timestamp> {
        let settings = &self.shared.settings;
        let at = now.saturating_add(settings.retry_failed_every);
        let last = self.row.created_at.saturating_add(settings.give_up_after);
        (retryable && at <= last).then_some(at)
    }
}

pub(super) fn failed(kind: Failure, message: impl Into<String>, retryable: bool) -> End {
    End::Failed { problem: Problem::new(kind.as_str(), message.into()), retryable }
}

pub(super) fn unknown_peer(name: &str) -> End {
    failed(
        Failure::PeerUnknown,
        format!("no peer is called {name}; add it to the configuration and retry"),
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
const LOCAL_WAIT: Duration = Duration::from_secs(30);
/// Time between two tries to write the end of a row.
const STORAGE_PAUSE: Duration = Duration::from_secs(1);
