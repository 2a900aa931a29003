//! The engine: owns everything known about one download, places leases, checkpoints, retries, seals and publishes.
//!
//! One task owns the state; workers only report. The order of steps is the crash rule: growth is written, then
//! synced, then recorded; a restart is recorded, then the file is cut.

mod checkpoint;
mod finish;
mod restart;
mod state;

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use retry_kit::{Attempts, Next, Sleep};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use self::checkpoint::Checkpoint;
use self::finish::Verdict;
use self::state::State;
use crate::completed::{Completed, Verified};
use crate::decide::Take;
use crate::digest::Digest;
use crate::error::{
    AnswerError, AttemptError, FailedAttempt, FetchError, FetchErrorKind, LocalError, describe,
};
use crate::event::{Event, Phase, Progress, RateMeter};
use crate::identity::{Identity, TotalSource};
use crate::lease::{Lease, LeaseEnd, Report, Shared, blocking, work};
use crate::ledger::{Ledger, LedgerError, Record};
use crate::part_file::PartFile;
use crate::restart_reason::RestartReason;
use crate::start::{Found, Start, start};

/// The engine of one call. Dropping [`Engine::run`] stops it at the next await; the part and its record stay.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    ledger: Arc<dyn Ledger>,
    events: mpsc::UnboundedSender<Event>,
    progress: watch::Sender<Progress>,
    rng: fastrand::Rng,
    state: State,
    attempts: Attempts,
    history: Vec<FailedAttempt>,
    /// Held bytes are worthless; the next whole body replaces them.
    restart_due: Option<RestartReason>,
    /// Bytes on disk that no record names and that stay until a body takes their place.
    unrecorded: u64,
    restarts: u32,
    /// Restarts the peer may still cause.
    restarts_left: u32,
    /// Whether a refusal after a redirect has had its second chance.
    redirect_retried: bool,
    protocol_faults: u32,
    requests: u64,
    received: u64,
    resumed_from: u64,
    /// Answers that contributed to this generation in this call.
    pieces: u64,
    /// Nobody vouches for the bytes we hold: the next answer has to overlap them.
    unvouched: bool,
    /// The peer has shown that it does not serve ranges.
    ignores_ranges: bool,
    /// Some bytes of this generation were joined by comparing an overlap alone.
    by_overlap: bool,
    /// The digest was wrong once already.
    corrupted: bool,
    /// What the peer says about the digest of this generation.
    repr_digest: Option<Digest>,
    /// The disk has room for this generation.
    fits: bool,
    /// Up to where room is kept on the disk.
    reserved: u64,
    verified: Verified,
    rate: RateMeter,
    checkpoint: Option<Checkpoint>,
    /// When the next checkpoint is due, once there is something to record.
    checkpoint_due: Option<Sleep>,
}

/// How one lease left the download.
enum Outcome {
    Progress,
    Failed { error: AttemptError, hint: Option<Duration>, redirected: bool },
    Stopped,
}

impl Engine {
    pub(crate) fn new(
        shared: Arc<Shared>,
        ledger: Arc<dyn Ledger>,
        events: mpsc::UnboundedSender<Event>,
        progress: watch::Sender<Progress>,
        rng: fastrand::Rng,
    ) -> Self {
        let rate = RateMeter::new(shared.clock.now());
        let attempts = Attempts::from_failures(shared.request.failures);
        Self {
            shared,
            ledger,
            events,
            progress,
            rng,
            state: State::default(),
            attempts,
            history: Vec::new(),
            restart_due: None,
            unrecorded: 0,
            restarts: 0,
            restarts_left: MAX_RESTARTS,
            redirect_retried: false,
            protocol_faults: 0,
            requests: 0,
            received: 0,
            resumed_from: 0,
            pieces: 0,
            unvouched: false,
            ignores_ranges: false,
            by_overlap: false,
            corrupted: false,
            repr_digest: None,
            fits: false,
            reserved: 0,
            verified: Verified::Validator,
            rate,
            checkpoint: None,
            checkpoint_due: None,
        }
    }

    /// Runs the download to its end.
    pub(crate) async fn run(mut self, record: Option<Record>) -> Result<Completed, FetchError> {
        let kind = match self.fetch(record).await {
            Ok(completed) => return Ok(completed),
            Err(kind) => kind,
        };
        // What was received is worth keeping however the call ends, as long as disk and record still work.
        if !matches!(kind, FetchErrorKind::Ledger(_)) {
            let _ = self.settle().await;
        }
        if self.state.generation == 0 {
            let _ = self.on_part(PartFile::remove_if_empty).await;
        }
        self.show(Phase::Waiting, 0);
        Err(FetchError {
            kind,
            bytes_kept: self.state.durable.len(),
            attempts: self.attempts.failures(),
            history: self.history,
        })
    }

    async fn fetch(&mut self, record: Option<Record>) -> Result<Completed, FetchErrorKind> {
        self.begin(record).await?;
        loop {
            self.fill().await?;
            let total = self.state.total().unwrap_or_default();
            match self.verify(total).await? {
                Verdict::Right => return self.publish(total).await,
                Verdict::TryAgain => {}
            }
        }
    }

    /// Takes over what record and disk agree on.
    async fn begin(&mut self, record: Option<Record>) -> Result<(), FetchErrorKind> {
        let part_len = self.on_part(PartFile::len).await?;
        match start(Found { record, part_len }, &self.shared.request) {
            Start::Fresh => {}
            Start::Resume(record) => self.state = State::from(record),
            Start::Rebase(record) => self.rebase(record).await?,
            Start::Adopt(record) => {
                self.rebase(record).await?;
                self.unvouched = true;
            }
            Start::GiveUp { record: None, reason } => {
                self.unrecorded = part_len;
                self.restart_due = Some(reason);
            }
            Start::GiveUp { record: Some(record), reason } => {
                self.state = State::from(record);
                self.restart_due = Some(reason);
            }
            Start::Refuse(error) => return Err(FetchErrorKind::Permanent(error.into())),
        }
        // Behind the last recorded byte lies what a crash left unrecorded: it is fetched again, and until then the
        // file's length should not suggest otherwise. Bytes without any record stay until something replaces them.
        let end = self.state.durable.iter().last().map_or(0, |run| run.end);
        if self.unrecorded == 0 && part_len > end {
            self.on_part(move |part| part.truncate(end)).await?;
        }
        self.resumed_from = if self.restart_due.is_some() { 0 } else { self.state.durable.len() };
        self.show(Phase::Connecting, 0);
        Ok(())
    }

    /// Puts on record what is already on the disk.
    async fn rebase(&mut self, record: Record) -> Result<(), FetchErrorKind> {
        self.on_part(PartFile::sync).await?;
        let (generation, identity) = (record.generation, record.identity.clone());
        self.on_ledger(move |ledger| async move { ledger.begin(generation, &identity, None).await }).await?;
        let durable: Vec<_> = record.durable.iter().collect();
        if !durable.is_empty() {
            self.on_ledger(move |ledger| async move { ledger.record(generation, &durable).await }).await?;
        }
        self.state = State::from(record);
        Ok(())
    }

    /// Places leases until every byte is written, synced and recorded.
    async fn fill(&mut self) -> Result<(), FetchErrorKind> {
        while self.restart_due.is_some() || !self.state.is_whole() {
            match self.lease().await? {
                Outcome::Progress => {}
                Outcome::Stopped => {
                    self.settle().await?;
                    return Err(FetchErrorKind::Stopped);
                }
                Outcome::Failed { error, hint, redirected } => {
                    self.settle().await?;
                    self.wait_after(error, hint, redirected).await?;
                }
            }
        }
        self.settle().await
    }

    /// Runs one worker over the next gap.
    async fn lease(&mut self) -> Result<Outcome, FetchErrorKind> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS + self.state.total().unwrap_or_default() / REQUEST_FLOOR {
            return Err(FetchErrorKind::Permanent(
                AnswerError::Trickle { requests: self.requests - 1 }.into(),
            ));
        }
        // A short queue: what waits in it is not yet on its way to the record.
        let (reports, mut inbox) = mpsc::channel(1);
        // A set of one: dropping it ends the worker, whatever way this function is left.
        let mut workers = JoinSet::new();
        workers.spawn(work(Arc::clone(&self.shared), self.next_lease(), reports));
        self.show(Phase::Connecting, 1);
        loop {
            let crowded = self.is_crowded();
            let due = OptionFuture::from(self.checkpoint_due.as_mut());
            let synced = OptionFuture::from(self.checkpoint.as_mut());
            tokio::select! {
                report = inbox.recv(), if !crowded => match report {
                    Some(Report::Answered { take, restart, repr_digest, go }) => {
                        self.answered(&take, restart, repr_digest).await?;
                        // A worker that gave up meanwhile reports its end itself.
                        let _ = go.send(self.state.generation);
                    }
                    Some(Report::Written { generation, range }) => {
                        debug_assert_eq!(generation, self.state.generation, "one worker, one generation");
                        self.received += range.end - range.start;
                        self.rate.add(self.shared.clock.now(), range.end - range.start);
                        self.state.written.insert(range);
                        self.show(Phase::Downloading, 1);
                        self.checkpoint_if_due();
                    }
                    Some(Report::Ended(end)) => {
                        self.rate.stop(self.shared.clock.now());
                        return self.ended(end).await;
                    }
                    None => return Err(worker_died(&mut workers).await),
                },
                Some((ranges, result)) = synced => {
                    self.checkpoint = None;
                    self.checkpointed(&ranges, result)?;
                    self.checkpoint_if_due();
                }
                Some(()) = due => {
                    self.checkpoint_due = None;
                    self.start_checkpoint();
                }
            }
        }
    }

    fn next_lease(&self) -> Lease {
        let whole = self.restart_due.is_some();
        let (from, until) = if whole { (0, None) } else { self.state.next_gap() };
        Lease {
            identity: self.state.identity.clone(),
            from,
            until,
            held_from: self.state.held_from(from),
            whole,
            compare: self.unvouched,
            ignores_ranges: self.ignores_ranges,
            repr_digest: self.repr_digest,
        }
    }

    /// Puts an accepted answer on record before its first byte is written. Whatever overlaps has been compared, so what
    /// the answer says of the representation is true of the bytes we hold.
    async fn answered(
        &mut self,
        take: &Take,
        restart: Option<RestartReason>,
        repr_digest: Option<Digest>,
    ) -> Result<(), FetchErrorKind> {
        if let Some(reason) = restart {
            self.spend_restart(reason)?;
        }
        let restart = restart.or(self.restart_due);
        let another = self.state.written.is_empty() && !take.identity.extends(&self.state.identity);
        if self.state.generation == 0 || restart.is_some() || another {
            self.new_generation(take.identity.clone(), restart).await?;
        } else if take.identity != self.state.identity {
            self.adopt(take.identity.clone()).await?;
        }
        self.by_overlap |= take.write_from > 0 && (self.unvouched || !self.state.identity.is_proof());
        self.unvouched = false;
        self.repr_digest = self.repr_digest.or(repr_digest);
        self.pieces += 1;
        if let Some(total) = self.state.total().filter(|_| !self.fits) {
            self.on_part(move |part| part.check_room(total)).await?;
            self.fits = true;
        }
        self.tell(Event::Started {
            from: take.write_from,
            total: self.state.total(),
            validator: self.state.identity.validator.as_ref().map(ToString::to_string),
        });
        self.show(Phase::Downloading, 1);
        Ok(())
    }

    async fn adopt(&mut self, identity: Identity) -> Result<(), FetchErrorKind> {
        let (generation, adopted) = (self.state.generation, identity.clone());
        self.on_ledger(move |ledger| async move { ledger.adopt(generation, &adopted).await }).await?;
        self.state.identity = identity;
        Ok(())
    }

    async fn ended(&mut self, end: LeaseEnd) -> Result<Outcome, FetchErrorKind> {
        match end {
            LeaseEnd::Filled => Ok(Outcome::Progress),
            LeaseEnd::Complete(total) => self.learn_total(total, TotalSource::ContentRange).await,
            LeaseEnd::EndOfBody(total) => self.learn_total(total, TotalSource::EndOfBody).await,
            LeaseEnd::Restart(reason) => {
                self.spend_restart(reason)?;
                self.restart_due = Some(reason);
                Ok(Outcome::Progress)
            }
            LeaseEnd::Failed { error: AttemptError::Local(error), .. } => Err(error.into()),
            LeaseEnd::Failed { error, hint, redirected } => Ok(Outcome::Failed { error, hint, redirected }),
            LeaseEnd::Stopped => Ok(Outcome::Stopped),
        }
    }

    async fn learn_total(&mut self, total: u64, source: TotalSource) -> Result<Outcome, FetchErrorKind> {
        let validator = self.state.identity.validator.clone();
        self.adopt(Identity { total: Some(total), total_source: Some(source), validator }).await?;
        Ok(Outcome::Progress)
    }

    /// After a failed attempt: waits, or gives the wait to the caller, or gives up.
    async fn wait_after(
        &mut self,
        error: AttemptError,
        hint: Option<Duration>,
        redirected: bool,
    ) -> Result<(), FetchErrorKind> {
        self.remember(&error);
        if redirected && !self.redirect_retried && error.may_be_an_expired_redirect() {
            // The address we were sent to may have been good for a while only; the one we were given still is.
            self.redirect_retried = true;
            return Ok(());
        }
        let tolerance = error.fault_tolerance();
        self.protocol_faults += u32::from(tolerance.is_some());
        if !error.is_transient() || tolerance.is_some_and(|tolerance| self.protocol_faults > tolerance) {
            return Err(FetchErrorKind::Permanent(error));
        }
        let policy = self.shared.request.retry.clone();
        let (attempt, delay, source, deferred) =
            match policy.after_failure(&mut self.attempts, hint, &mut self.rng) {
                Next::Retry { attempt, delay, source } => (attempt, delay, source, false),
                Next::Deferred { attempt, delay, source } => (attempt, delay, source, true),
                Next::GiveUp { attempts } => return Err(FetchErrorKind::Exhausted { attempts, last: error }),
            };
        let max = policy.max_attempts.get();
        if deferred || delay > self.shared.request.hold {
            return Err(FetchErrorKind::Deferred { delay, source_of_delay: source, last: error });
        }
        self.tell(Event::Retrying { attempt, max, delay, source, reason: describe(&error) });
        self.show(Phase::Waiting, 0);
        let wait = self.shared.clock.sleep(delay);
        match self.shared.stop.run_until_cancelled(wait).await {
            Some(()) => Ok(()),
            None => Err(FetchErrorKind::Stopped),
        }
    }

    fn remember(&mut self, error: &AttemptError) {
        if self.history.len() == MAX_HISTORY {
            self.history.remove(0);
        }
        let (at, held) = (self.shared.clock.wall(), self.state.written.len());
        self.history.push(FailedAttempt { at, held, reason: describe(error) });
    }

    // ---- small hands ----

    /// Runs blocking work on the part file; borrows nothing of the engine meanwhile.
    fn on_part<T, F>(&self, work: F) -> impl Future<Output = Result<T, LocalError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&PartFile) -> Result<T, LocalError> + Send + 'static,
    {
        blocking(&self.shared.part, work)
    }

    /// Runs a call on the ledger to its end, whatever becomes of the engine, and keeps the part locked until then: a
    /// write to the record must never be overtaken by the next download of the same part.
    fn on_ledger<F, Call>(
        &self,
        call: F,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send + use<F, Call>
    where
        F: FnOnce(Arc<dyn Ledger>) -> Call,
        Call: Future<Output = Result<(), LedgerError>> + Send + 'static,
    {
        let (call, part) = (call(Arc::clone(&self.ledger)), self.shared.part.clone());
        async move {
            let task = tokio::spawn(async move {
                let _locked = part;
                call.await
            });
            match task.await {
                Ok(result) => result,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(error) => Err(LedgerError::new("the runtime is shutting down", error)),
            }
        }
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        let _ = self.events.send(event);
    }

    fn show(&self, phase: Phase, connections: usize) {
        let missing = self.state.total().map(|total| total.saturating_sub(self.state.written.len()));
        self.progress.send_replace(Progress {
            phase,
            written: self.state.written.len(),
            durable: self.state.durable.len(),
            total: self.state.total(),
            generation: self.state.generation,
            rate: self.rate.rate(),
            eta: missing.and_then(|missing| self.rate.eta(missing)),
            connections,
        });
    }

    fn show_same_phase(&self) {
        let Progress { phase, connections, .. } = *self.progress.borrow();
        self.show(phase, connections);
    }
}

async fn worker_died(workers: &mut JoinSet<()>) -> FetchErrorKind {
    match pin!(workers.join_next()).await {
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => FetchErrorKind::Stopped,
    }
}

/// Restarts a peer may cause within one call before it counts as inconsistent.
const MAX_RESTARTS: u32 = 2;
/// Requests a call may send, plus one for each [`REQUEST_FLOOR`] bytes: a peer that hands out legal crumbs of a few
/// bytes must not keep us asking for ever.
const MAX_REQUESTS: u64 = 100;
const REQUEST_FLOOR: u64 = 1 << 20;
/// Failed attempts remembered for the error, the newest ones.
const MAX_HISTORY: usize = 32;
