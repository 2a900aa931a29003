//! The engine: owns everything known about one download, places leases, checkpoints, retries, seals and publishes.
//!
//! One task owns the state; workers only report, handles only ask. One lease or sixteen, a whole file or the bytes under
//! a reader: it is the same loop. The order of steps is the crash rule: growth is written, then synced, then recorded;
//! a shrink is recorded, then done.

mod checkpoint;
mod crew;
mod finish;
mod hashing;
#[cfg(all(test, feature = "reqwest"))]
mod lab;
mod outcome;
mod pace;
mod parking;
mod patience;
mod place;
mod reports;
mod restart;
mod state;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::OptionFuture;
use retry_kit::{Attempts, Sleep};
use tokio::sync::{mpsc, watch};

use self::checkpoint::Checkpoint;
use self::crew::{Crew, News};
use self::finish::Verdict;
use self::hashing::Hashing;
use self::parking::Parked;
use self::patience::Rest;
use self::state::State;
use crate::board::{Board, End, WaitError};
use crate::completed::{Completed, Verified};
use crate::digest::Digest;
use crate::error::{FailedAttempt, FetchError, FetchErrorKind, LocalError};
use crate::event::{Event, Phase, Progress, RateMeter};
use crate::lease::{Shared, blocking};
use crate::ledger::{Layout, Ledger, LedgerError, Record};
use crate::part_file::PartFile;
use crate::request::Wanted;
use crate::restart_reason::RestartReason;
use crate::schedule::{Governor, LeaseId, Reading};
use crate::start::{Found, Start, start};

/// The engine of one call. Dropping [`Engine::run`] stops it at the next await; the part and its record stay.
pub(crate) struct Engine {
    shared: Arc<Shared>,
    ledger: Arc<dyn Ledger>,
    board: Arc<Board>,
    events: mpsc::UnboundedSender<Event>,
    progress: watch::Sender<Progress>,
    rng: fastrand::Rng,
    state: State,
    crew: Crew,
    governor: Governor,
    /// Ranges that failed while others went on.
    parked: Vec<Parked>,
    /// The peer is left alone for a while.
    resting: Option<Rest>,
    /// Bytes behind the end were asked for when nobody knew where that is.
    past_the_end: bool,
    /// More than one lease has been at work on this generation.
    parallel: bool,
    attempts: Attempts,
    /// The peer's Retry-After with the failure that used the attempts up.
    asked_for: Option<Duration>,
    history: Vec<FailedAttempt>,
    /// Held bytes are worthless; the next whole body replaces them.
    restart_due: Option<RestartReason>,
    /// Bytes on disk that no record names and that stay until a body takes their place.
    unrecorded: u64,
    restarts: u32,
    /// Restarts the peer may still cause.
    restarts_left: u32,
    /// Leases older than this set out before a redirect was known to have expired.
    redirect_expired: Option<LeaseId>,
    /// Leases older than this set out before the first 421.
    misdirected: Option<LeaseId>,
    /// The peer has failed since its last answer: the next request goes over a connection of its own.
    reconnect: bool,
    protocol_faults: u32,
    /// Leases older than this set out before the last fault: what they meet is the same one.
    faulted: Option<LeaseId>,
    /// Answers that brought next to nothing.
    crumbs: u64,
    received: u64,
    resumed_from: u64,
    /// Answers that contributed to this generation in this call.
    pieces: u64,
    /// Nobody vouches for the bytes we hold: the next answer has to overlap them.
    unvouched: bool,
    /// The peer has shown that it does not serve ranges.
    ignores_ranges: bool,
    /// Pieces have to be compared with what is held in front of them.
    in_order: bool,
    /// Some bytes of this generation were joined by comparing an overlap alone.
    by_overlap: bool,
    /// The digest was wrong once already.
    corrupted: bool,
    /// Times that recorded bytes could not be read back for the digest.
    rereads: u32,
    /// What the peer says about the digest of this generation.
    repr_digest: Option<Digest>,
    /// The disk has room for this generation.
    fits: bool,
    /// Up to where room is kept on the disk.
    reserved: u64,
    verified: Option<Verified>,
    hashing: Hashing,
    /// A sync has failed: whatever was written since the last good one is not believed.
    poisoned: bool,
    rate: RateMeter,
    /// Seconds from a request to its answer, as of late; 0 while unknown.
    lag: f64,
    /// When this call began.
    began: Instant,
    checkpoint: Option<Checkpoint>,
    /// When the next checkpoint is due, once there is something to record.
    checkpoint_due: Option<Sleep>,
}

impl Engine {
    pub(crate) fn new(
        shared: Arc<Shared>,
        ledger: Arc<dyn Ledger>,
        board: Arc<Board>,
        events: mpsc::UnboundedSender<Event>,
        progress: watch::Sender<Progress>,
        rng: fastrand::Rng,
    ) -> Self {
        let began = shared.clock.now();
        let rate = RateMeter::new(began);
        let request = &shared.request;
        let mut attempts = Attempts::from_failures(request.failures);
        attempts.progress(request.progress, request.retry.attempts_reset_bytes);
        let governor = Governor::new(shared.request.connections);
        let crew = Crew::new(Arc::clone(&board));
        Self {
            shared,
            ledger,
            board,
            events,
            progress,
            rng,
            state: State::default(),
            crew,
            governor,
            parked: Vec::new(),
            resting: None,
            past_the_end: false,
            parallel: false,
            attempts,
            asked_for: None,
            history: Vec::new(),
            restart_due: None,
            unrecorded: 0,
            restarts: 0,
            restarts_left: MAX_RESTARTS,
            redirect_expired: None,
            misdirected: None,
            reconnect: false,
            protocol_faults: 0,
            faulted: None,
            crumbs: 0,
            received: 0,
            resumed_from: 0,
            pieces: 0,
            unvouched: false,
            ignores_ranges: false,
            in_order: false,
            by_overlap: false,
            corrupted: false,
            rereads: 0,
            repr_digest: None,
            fits: false,
            reserved: 0,
            verified: None,
            hashing: Hashing::default(),
            poisoned: false,
            rate,
            lag: 0.0,
            began,
            checkpoint: None,
            checkpoint_due: None,
        }
    }

    /// Runs the download to its end.
    pub(crate) async fn run(mut self, record: Option<Record>) -> Result<Completed, FetchError> {
        let kind = match self.fetch(record).await {
            Ok(completed) => {
                if !completed.published {
                    // Whoever reads on in the part keeps its lock: nobody may write there meanwhile.
                    self.board.tell(|notes| notes.file = Some(self.shared.part.descriptor()));
                }
                self.board.end(End::Done);
                return Ok(completed);
            }
            Err(kind) => kind,
        };
        // Nobody is to find the part locked by work that is of no use any more.
        self.hashing.rest().await;
        // What was received is worth keeping however the call ends, as long as disk and record still work.
        self.dismiss(None).await;
        if !matches!(kind, FetchErrorKind::Ledger(_)) {
            let _ = self.settle().await;
        }
        if self.state.generation == 0 {
            let _ = self.on_part(PartFile::remove_if_empty).await;
        }
        self.show();
        self.board.end(End::Failed(WaitError::from(&kind)));
        Err(FetchError {
            kind,
            bytes_kept: self.state.durable.len(),
            attempts: self.failures(),
            retry_after: self.asked_for,
            history: std::mem::take(&mut self.history),
        })
    }

    async fn fetch(&mut self, record: Option<Record>) -> Result<Completed, FetchErrorKind> {
        self.begin(record).await?;
        loop {
            self.fill().await?;
            let total = self.state.total().unwrap_or_default();
            if !matches!(self.shared.request.wanted, Wanted::Whole) {
                return Ok(self.completed(total, false));
            }
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
        self.post();
        self.show();
        Ok(())
    }

    /// Puts on record what is already on the disk.
    async fn rebase(&mut self, record: Record) -> Result<(), FetchErrorKind> {
        self.on_part(PartFile::sync).await?;
        let (generation, identity) = (record.generation, record.identity.clone());
        self.on_ledger(move |ledger| async move { ledger.begin(generation, &identity, None).await }).await?;
        if record.layout == Layout::Map {
            self.on_ledger(move |ledger| async move { ledger.scatter(generation).await }).await?;
        }
        let durable: Vec<_> = record.durable.iter().collect();
        if !durable.is_empty() {
            self.on_ledger(move |ledger| async move { ledger.record(generation, &durable).await }).await?;
        }
        self.state = State::from(record);
        Ok(())
    }

    /// Places leases until every wanted byte is written, synced and recorded.
    async fn fill(&mut self) -> Result<(), FetchErrorKind> {
        loop {
            if self.shared.stop.is_cancelled() {
                return Err(FetchErrorKind::Stopped);
            }
            self.place();
            self.keep_hashing();
            if self.crew.is_empty() {
                if self.is_done() {
                    self.settle().await?;
                    if self.board.notes().unreadable.is_empty() {
                        return Ok(());
                    }
                    self.take_unreadable().await?;
                    continue;
                }
                self.patience_left()?;
            }
            self.step().await?;
        }
    }

    /// Whether there is nothing left to fetch.
    fn is_done(&self) -> bool {
        // As long as nobody knows where the file ends, it may go on for ever.
        let total = self.state.total().unwrap_or(u64::MAX);
        let known = self.state.generation > 0 && self.restart_due.is_none();
        known && self.board.notes().demand.is_met(total, &self.state.written)
    }

    /// Waits for the next thing that happens, and deals with it.
    async fn step(&mut self) -> Result<(), FetchErrorKind> {
        let (clock, listens) = (Arc::clone(&self.shared.clock), !self.is_crowded());
        let parked = self.parked_until().map(|until| clock.sleep_until(until));
        let rest = self.resting.as_ref().map(|rest| clock.sleep_until(rest.until));
        let lull = self.rate.lull().map(|at| clock.sleep_until(at));
        let watches = self.shared.request.connections.limit() > 1 && self.crew.flowing() > 0;
        let tick = watches.then(|| clock.sleep(Governor::TICK));
        tokio::select! {
            biased;
            () = self.shared.stop.cancelled() => Err(FetchErrorKind::Stopped),
            Some((ranges, result)) = OptionFuture::from(self.checkpoint.as_mut()) => {
                self.checkpoint = None;
                self.checkpointed(&ranges, result)?;
                self.checkpoint_if_due();
                Ok(())
            }
            Some(()) = OptionFuture::from(self.checkpoint_due.as_mut()) => {
                self.checkpoint_due = None;
                self.start_checkpoint();
                Ok(())
            }
            () = self.hashing.caught_up() => {
                // It may come again and again, sooner than the tick, which begins anew each time.
                self.govern();
                Ok(())
            }
            () = self.board.asked.notified() => self.take_unreadable().await,
            Some(()) = OptionFuture::from(rest) => {
                self.resting = None;
                Ok(())
            }
            Some(()) = OptionFuture::from(parked) => Ok(()),
            Some(()) = OptionFuture::from(lull) => {
                self.rate.stop(clock.now());
                self.show_same_phase();
                Ok(())
            }
            news = self.crew.news(), if listens => match news {
                News::Report(report) => {
                    let outcome = self.reported(report).await;
                    self.govern();
                    outcome
                }
                News::Ended(member, end) => self.ended(member, end).await,
            },
            Some(()) = OptionFuture::from(tick) => {
                self.govern();
                Ok(())
            }
        }
    }

    /// Tells the governor how it goes.
    fn govern(&mut self) {
        self.governor.read(Reading {
            now: self.shared.clock.now(),
            received: self.received + self.crew.under_way(),
            flowing: self.crew.flowing(),
            missing: self.state.total().map_or(0, |total| total.saturating_sub(self.state.written.len())),
            limit: self.shared.request.limits.rate().bytes_per_second().map(NonZeroU64::get),
        });
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

    /// Shows on the board what is held, after more than a few bytes of it have changed.
    fn post(&self) {
        let (generation, total, written) =
            (self.state.generation, self.state.total(), self.state.written.clone());
        self.board.tell(|notes| {
            (notes.generation, notes.total, notes.written) = (generation, total, written);
        });
    }

    fn show(&self) {
        let phase = match () {
            () if self.crew.flowing() > 0 => Phase::Downloading,
            () if !self.crew.is_empty() => Phase::Connecting,
            () => Phase::Waiting,
        };
        self.show_phase(phase);
    }

    fn show_phase(&self, phase: Phase) {
        let missing = self.state.total().map(|total| total.saturating_sub(self.state.written.len()));
        self.progress.send_replace(Progress {
            phase,
            written: self.state.written.len(),
            durable: self.state.durable.len(),
            total: self.state.total(),
            generation: self.state.generation,
            rate: self.rate.rate(),
            eta: missing.and_then(|missing| self.rate.eta(missing)),
            connections: self.crew.len(),
        });
    }

    fn show_same_phase(&self) {
        let phase = self.progress.borrow().phase;
        self.show_phase(phase);
    }
}

impl Drop for Engine {
    /// Before the lock on the part can go: whoever takes it next may write over what readers look at.
    fn drop(&mut self) {
        self.board.end(End::Failed(WaitError::Stopped));
    }
}

/// Restarts a peer may cause within one call before it counts as inconsistent.
const MAX_RESTARTS: u32 = 2;
