//! One claimed row, from its lease to the line in the registry that says how it went.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use download_registry::{
    Claim, Download as Row, DownloadState, FailedTry, Fence, Next, Problem, StorageError, Timestamp,
    WorkerError,
};
use resume_fetch::{
    AttemptError, Completed, Digest, Download, Event, FetchError, FetchErrorKind, FetchRequest, LocalError,
    Phase, Progress,
};
use retry_kit::Layers;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::intake::{AddError, DescribeError};
use super::ledger::RowLedger;
use super::peers::PeerError;
use super::{Intent, LEASE, Peer, RENEW, Running, Shared};
use crate::failure::Failure;
use crate::metrics;

/// A worker holds one lease and one permit.
pub(super) struct Worker {
    shared: Arc<Shared>,
    fence: Fence,
    row: Row,
    running: Running,
    progress: watch::Sender<Option<Progress>>,
    /// Bytes already counted in the metrics.
    counted: u64,
}

/// How a row leaves its worker.
#[derive(Debug)]
enum End {
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
    fn outcome(&self) -> &'static str {
        match self {
            End::Published(_) => "completed",
            End::Fenced | End::Unfinished | End::Stopped => "stopped",
            End::Later { .. } => "waiting",
            End::Failed { .. } => "failed",
        }
    }
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, claim: Claim) -> Self {
        let (progress, snapshot) = watch::channel(None);
        let running = Running {
            peer: claim.download.peer.clone(),
            stop: shared.shutdown.child_token(),
            intent: Arc::new(Mutex::default()),
            progress: snapshot,
            limit_down: shared.limiter(claim.download.limit_down),
            done: CancellationToken::new(),
        };
        shared.running().insert(claim.download.id, running.clone());
        let counted = claim.download.durable;
        Self { shared, fence: claim.fence, row: claim.download, running, progress, counted }
    }

    pub(super) async fn run(mut self) {
        let id = self.row.id;
        tracing::info!(
            download_id = id.get(),
            peer = self.row.peer.as_deref(),
            durable = self.row.durable,
            "downloading"
        );
        let end = self.drive().await;
        self.count(end.outcome());
        if let Err(error) = self.write_down_in_the_end(end).await {
            // Fenced is the usual case: an operator's order came first, and its word holds.
            let text = resume_fetch::describe(&error);
            match error {
                WorkerError::Fenced { .. } => {
                    tracing::debug!(download_id = id.get(), "the row has been taken over");
                }
                _ => {
                    tracing::error!(download_id = id.get(), error = %text, "the row could not be written");
                }
            }
        }
    }

    /// Makes room for another worker; also when this one ends by a panic. One that outlived its lease may have been followed by another already.
    fn leave(&self) {
        let mut running = self.shared.running();
        if running.get(&self.row.id).is_some_and(|entry| Arc::ptr_eq(&entry.intent, &self.running.intent)) {
            running.remove(&self.row.id);
        }
        self.running.done.cancel();
    }

    async fn drive(&mut self) -> End {
        if let Err(end) = self.describe().await {
            return end;
        }
        if let Some(missing) = self.missing_room() {
            return self.disk_full(missing);
        }
        let download = match self.start() {
            Ok(download) => download,
            Err(end) => return end,
        };
        let result = self.watch(download).await;
        match result {
            Ok(completed) => End::Published(completed),
            Err(error) => self.end_of(error),
        }
    }

    /// Says what room is missing, without asking the peer for bytes that cannot be kept.
    fn missing_room(&self) -> Option<String> {
        // Room that an earlier run has reserved for the part is not free any more, and not missing either.
        let reserved = self.row.part.as_deref().and_then(|part| std::fs::symlink_metadata(part).ok());
        let reserved = reserved.map_or(0, |meta| meta.blocks().saturating_mul(512));
        let missing = self.row.identity.total?.bytes.saturating_sub(self.row.durable.max(reserved));
        let needed = missing.saturating_add(self.shared.settings.min_free);
        let free = super::free_bytes(&self.shared.settings.incomplete_dir)?;
        // A whole part needs no more room than its name.
        (missing > 0 && free < needed)
            .then(|| format!("the disk is too full: {needed} bytes needed, {free} free"))
    }

    /// A row queued while its peer was away gets its name now.
    async fn describe(&mut self) -> Result<(), End> {
        if self.row.target.is_some() {
            return Ok(());
        }
        let (Some(name), Some(item)) = (self.row.peer.clone(), self.row.item.clone()) else {
            return Err(failed(Failure::Rejected, "the row has neither a destination nor an item", false));
        };
        let Some(peer) = self.shared.peers.get(&name) else { return Err(unknown_peer(&name)) };
        let stop = self.running.stop.clone();
        let described = stop.run_until_cancelled(self.shared.describe(peer, &item, &self.row.url)).await;
        let mut described = match described {
            None => return Err(End::Stopped),
            Some(Err(error)) => return Err(self.undescribed(&error)),
            Some(Ok(described)) => described,
        };
        loop {
            let placed =
                self.shared.place_described(&mut described).map_err(|error| self.undescribed(&error))?;
            match self.shared.registry.describe(&self.fence, &placed, self.shared.now()).await {
                Ok(row) => {
                    self.row = row;
                    return Ok(());
                }
                Err(WorkerError::Fenced { .. }) => return Err(End::Fenced),
                Err(WorkerError::Conflict(conflict)) if self.shared.may_rename(&conflict) => {}
                Err(WorkerError::Conflict(conflict)) => {
                    let message = format!("download {} has this destination", conflict.id);
                    return Err(failed(Failure::DestinationExists, message, true));
                }
                Err(error) => return Err(failed(Failure::LocalIo, resume_fetch::describe(&error), true)),
            }
        }
    }

    fn undescribed(&self, error: &DescribeError) -> End {
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
    fn backed_off(&self, kind: Failure, message: String, hint: Option<Duration>) -> End {
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

    fn start(&self) -> Result<Download, End> {
        let settings = &self.shared.settings;
        let peer = self
            .row
            .peer
            .as_deref()
            .map(|name| self.shared.peers.get(name).ok_or_else(|| unknown_peer(name)));
        let peer = peer.transpose()?;
        let (Some(target), Some(part)) = (&self.row.target, &self.row.part) else {
            return Err(failed(Failure::Rejected, "the row has no destination", false));
        };
        // The peer may have moved since the row was queued: the item's address is made from today's configuration.
        let url = match (peer, &self.row.item) {
            (Some(peer), Some(item)) => peer.file_url(item),
            _ => self.row.url.clone(),
        };
        let request = FetchRequest::new(&url, PathBuf::from(target))
            .map_err(|error| failed(Failure::Rejected, error.to_string(), false))?;
        let mut request = settings
            .bound(request)
            .part(PathBuf::from(part))
            .expect_digest(self.digest())
            .failures_so_far(self.row.attempts)
            .limits(self.limits(peer));
        for (name, value) in peer.map(Peer::headers).into_iter().flatten() {
            request = request.header(name.clone(), value.clone());
        }
        let sealed = self.row.state == DownloadState::Finalizing;
        let ledger =
            RowLedger::new(self.shared.registry.clone(), self.fence, Arc::clone(&self.shared.clock), sealed);
        Ok(self.shared.fetcher.start(request, ledger))
    }

    /// Every rate limit a byte of this download passes, widest first.
    fn limits(&self, peer: Option<&Peer>) -> Layers {
        let peer = peer.map(|peer| peer.limit_down.clone());
        let layers = [Some(self.shared.limit_down.clone()), peer, Some(self.running.limit_down.clone())];
        layers.into_iter().flatten().collect()
    }

    fn digest(&self) -> Option<Digest> {
        let digests = &self.row.digests;
        digests.sha256.map(Digest::Sha256).or(digests.blake3.map(Digest::Blake3))
    }

    /// Follows the engine: its events, its progress, the lease, and the order to stop.
    async fn watch(&mut self, mut download: Download) -> Result<Completed, FetchError> {
        let engine = download.stopper();
        let mut progress = download.progress();
        let mut events = download.take_events();
        let stop = self.running.stop.clone();
        let mut renewal = self.shared.clock.sleep(RENEW);
        let (mut events_open, mut progress_open) = (true, true);
        loop {
            tokio::select! {
                biased;
                event = events.next(), if events_open => match event {
                    Some(event) => self.heard(&event).await,
                    None => events_open = false,
                },
                result = &mut download => {
                    while let Some(event) = events.next().await {
                        self.heard(&event).await;
                    }
                    let last = *progress.borrow();
                    self.show(last);
                    return result;
                }
                () = stop.cancelled(), if !engine.is_cancelled() => engine.cancel(),
                changed = progress.changed(), if progress_open => match changed {
                    Ok(()) => {
                        let now = *progress.borrow_and_update();
                        self.show(now);
                    }
                    Err(_) => progress_open = false,
                },
                () = &mut renewal => {
                    renewal = self.shared.clock.sleep(RENEW);
                    let until = self.shared.now().saturating_add(LEASE);
                    if let Err(error) = self.shared.registry.renew(&self.fence, until).await {
                        tracing::warn!(download_id = self.row.id.get(), %error, "the lease could not be renewed");
                        if let WorkerError::Fenced { .. } = error {
                            engine.cancel();
                        }
                    }
                }
            }
        }
    }

    async fn heard(&mut self, event: &Event) {
        let (id, peer) = (self.row.id.get(), self.peer_label());
        match event {
            Event::Started { from, total, validator } => {
                tracing::info!(download_id = id, offset = from, total, validator, "receiving");
                if *from > 0 {
                    self.shared.metrics.download_resumes.get_or_create(&metrics::Peer { peer }).inc();
                }
            }
            Event::Restarted { reason, discarded } => {
                tracing::warn!(
                    download_id = id,
                    restart_reason = reason.as_str(),
                    discarded,
                    "starting over"
                );
                let label = metrics::PeerReason { peer, reason: reason.as_str().to_owned() };
                self.shared.metrics.download_wasted.get_or_create(&label).inc_by(*discarded);
                self.shared.metrics.download_restarts.get_or_create(&label).inc();
                self.counted = 0;
            }
            Event::Retrying { attempt, max, delay, source, reason } => {
                tracing::warn!(
                    download_id = id,
                    attempt,
                    max,
                    delay_ms = delay.as_millis() as u64,
                    source = source.as_str(),
                    reason,
                    "trying again"
                );
                self.count("retrying");
                self.shared.metrics.retry_delay.observe(delay.as_secs_f64());
                let problem = Problem::new(Failure::Retrying.as_str(), reason.clone());
                let failed = FailedTry { problem, reset_bytes: self.reset_bytes(), next: Next::TryAgain };
                if let Err(error) =
                    self.shared.registry.record_failure(&self.fence, &failed, self.shared.now()).await
                {
                    tracing::debug!(download_id = id, %error, "the failed attempt could not be counted");
                }
            }
            Event::Verifying => tracing::info!(download_id = id, "verifying"),
            _ => {}
        }
    }

    fn show(&mut self, progress: Progress) {
        let new = progress.written.saturating_sub(self.counted);
        if new > 0 {
            self.counted = progress.written;
            let peer = metrics::Peer { peer: self.peer_label() };
            self.shared.metrics.download_bytes.get_or_create(&peer).inc_by(new);
        }
        self.progress.send_replace(Some(progress));
    }

    /// What an engine that ended without a file means for the row.
    fn end_of(&self, error: FetchError) -> End {
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

    fn disk_full(&self, message: String) -> End {
        self.later(DISK_FULL_WAIT, Failure::DiskFull, message, false)
    }

    fn later(&self, delay: Duration, kind: Failure, message: String, counts: bool) -> End {
        let at = self.shared.now().saturating_add(delay);
        End::Later { at, problem: Problem::new(kind.as_str(), message), counts }
    }

    /// Writes the end of the row down, however long the registry takes to come back (a full disk stops it, too): a
    /// row left as it is would look busy with nobody working on it.
    async fn write_down_in_the_end(&self, end: End) -> Result<(), WorkerError> {
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

    /// Counts one attempt by how it ended.
    fn count(&self, outcome: &str) {
        let label = metrics::PeerOutcome { peer: self.peer_label(), outcome: outcome.to_owned() };
        self.shared.metrics.download_attempts.get_or_create(&label).inc();
    }

    fn reset_bytes(&self) -> u64 {
        self.shared.settings.retry.attempts_reset_bytes
    }

    fn peer_label(&self) -> String {
        self.row.peer.clone().unwrap_or_default()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.leave();
    }
}

fn failed(kind: Failure, message: impl Into<String>, retryable: bool) -> End {
    End::Failed { problem: Problem::new(kind.as_str(), message.into()), retryable }
}

fn unknown_peer(name: &str) -> End {
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
