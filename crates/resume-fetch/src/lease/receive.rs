//! One body on its way to the disk: compared where it overlaps what is held, gathered, written in large pieces off the
//! async threads.
//!
//! Nothing is written and nothing goes on record before the overlap has turned out equal. Memory is bounded by two
//! buffers of a piece, one being filled and one being written, that change places: bytes are copied out of the frames
//! they come in, so that the transport has its own buffer back at once and nothing is allocated on the way.

use std::ops::Range;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use retry_kit::{Sleep, Urgency};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::{Failure, Lease, LeaseEnd, Report, Shared, Worker, blocking};
use crate::answer::{AnswerHead, LengthField};
use crate::decide::Take;
use crate::digest::Digest;
use crate::error::{AnswerError, AttemptError, LocalError};
use crate::request::FetchRequest;
use crate::restart_reason::RestartReason;
use crate::stall::StallWatch;
use crate::transport::{BodyStream, TransportError};

pub(super) struct Receiver<'a> {
    worker: &'a Worker,
    lease: &'a Lease,
    take: Take,
    restart: Option<RestartReason>,
    repr_digest: Option<Digest>,
    /// No head announced where this body ends: that it goes on past `until` shows only when it does.
    open_ended: bool,
    body: BodyStream,
    /// Offset of the next byte from the network.
    at: u64,
    /// Bytes that came in one frame with the last promised ones.
    surplus: u64,
    /// Where the bytes belong; `None` until the engine has put the answer on record.
    generation: Option<u64>,
    gathered: Vec<u8>,
    gathered_from: u64,
    gathered_since: Option<Instant>,
    piece: u64,
    writing: Option<Writing>,
    /// The buffer of the write that has ended.
    spare: Vec<u8>,
    watch: StallWatch,
    /// How soon the next bytes are needed.
    urgency: watch::Receiver<Urgency>,
}

/// A write in flight, and the range it covers.
struct Writing {
    range: Range<u64>,
    /// Gives the buffer back.
    end: JoinHandle<Result<Vec<u8>, LocalError>>,
}

enum Next {
    Frame(Option<Result<Bytes, TransportError>>),
    Written(Result<Vec<u8>, LocalError>),
    Alarm,
    /// It is more or less urgent from now on.
    Urgency,
    Stop,
}

impl<'a> Receiver<'a> {
    pub(super) fn new(
        worker: &'a Worker,
        lease: &'a Lease,
        take: Take,
        restart: Option<RestartReason>,
        head: &AnswerHead,
        body: BodyStream,
    ) -> Self {
        let Shared { request, clock, .. } = &*worker.shared;
        let watch = StallWatch::new(request.idle_timeout, request.low_speed, clock.now());
        let (at, from) = (take.body_from, take.write_from);
        Self {
            worker,
            lease,
            take,
            restart,
            repr_digest: head.repr_digest,
            open_ended: head.length == LengthField::Absent && at == 0,
            body,
            at,
            surplus: 0,
            generation: None,
            gathered: Vec::new(),
            gathered_from: from,
            gathered_since: None,
            piece: piece(request),
            writing: None,
            spare: Vec::new(),
            watch,
            urgency: lease.bounds.urgency(),
        }
    }

    pub(super) async fn run(mut self) -> Result<LeaseEnd, Failure> {
        let received = self.receive().await;
        // Whatever ended the body: what was received before is kept.
        let kept = self.flush().await;
        let end = received?;
        kept?;
        Ok(end)
    }

    async fn receive(&mut self) -> Result<LeaseEnd, Failure> {
        let Shared { clock, request, .. } = &*self.worker.shared;
        let mut alarm: (Instant, Sleep) = self.alarm();
        loop {
            if self.generation.is_none() && self.at >= self.take.write_from && !self.announce().await {
                return Ok(LeaseEnd::Stopped);
            }
            if self.is_full() {
                return self.ended_at_promise().await;
            }
            if self.generation.is_some() && self.lease.bounds.is_full() {
                // What the answer goes on to bring is somebody else's now.
                return Ok(LeaseEnd::Filled);
            }
            if self.next_alarm() < alarm.0 {
                alarm = self.alarm();
            }
            let next = tokio::select! {
                biased;
                () = self.lease.bounds.ended() => Next::Stop,
                written = join(&mut self.writing), if self.writing.is_some() => Next::Written(written),
                frame = self.body.next() => Next::Frame(frame),
                Ok(()) = self.urgency.changed() => Next::Urgency,
                () = &mut alarm.1 => Next::Alarm,
            };
            match next {
                Next::Stop => return Ok(LeaseEnd::Stopped),
                Next::Written(result) => self.written(result).await?,
                Next::Frame(Some(Ok(frame))) if frame.is_empty() => {}
                Next::Frame(Some(Ok(frame))) => {
                    let length = frame.len() as u64;
                    self.watch.received(clock.now(), length);
                    if let Some(end) = self.accept(frame).await? {
                        return Ok(end);
                    }
                    self.throttle(length).await?;
                }
                Next::Frame(Some(Err(error))) => return Err(error.into()),
                Next::Frame(None) => return self.ended_by_peer(),
                // The next alarm may be an earlier one now.
                Next::Urgency => {}
                Next::Alarm => {
                    self.watch.check(clock.now())?;
                    if self.quiet_at().is_some_and(|quiet| quiet <= clock.now()) {
                        // Somebody stands still for what does not come: another request may bring it. Whoever comes
                        // next and brings nothing is waited for in full.
                        return Ok(LeaseEnd::Quiet(QUIET));
                    }
                    let waited = |since: Instant| clock.now().saturating_duration_since(since);
                    if self.gathered_since.is_some_and(|since| waited(since) >= GATHER_TIME) {
                        self.write_gathered().await?;
                    }
                    alarm = self.alarm();
                }
            }
            if let Some(max) = request.max_size.filter(|max| self.at > *max) {
                return Err(AttemptError::Oversize { max }.into());
            }
        }
    }

    /// Has the answer put on record and learns the generation its bytes belong to; `false` when the engine has gone.
    async fn announce(&mut self) -> bool {
        let (go, word) = oneshot::channel();
        let (take, restart, repr_digest) = (self.take.clone(), self.restart, self.repr_digest);
        let before = self.worker.shared.clock.now();
        let answered = Report::Answered { lease: self.lease.id, take, restart, repr_digest, go };
        if self.worker.reports.send(answered).await.is_err() {
            return false;
        }
        self.generation = word.await.ok();
        self.excuse_since(before);
        self.generation.is_some()
    }

    /// Takes one frame: compares what overlaps, gathers what is new, drops what nobody promised.
    async fn accept(&mut self, mut frame: Bytes) -> Result<Option<LeaseEnd>, Failure> {
        if let Some(until) = self.take.until {
            let promised = take_up_to(&mut frame, until - self.at);
            self.surplus = frame.len() as u64;
            frame = promised;
        }
        let unseen = take_up_to(&mut frame, self.take.compare_from.saturating_sub(self.at));
        self.at += unseen.len() as u64;
        let overlap = take_up_to(&mut frame, self.take.write_from.saturating_sub(self.at));
        if !overlap.is_empty() {
            let length = overlap.len() as u64;
            match self.held_equals(overlap).await {
                Ok(true) => self.at += length,
                Ok(false) => return Ok(Some(LeaseEnd::Restart(RestartReason::OverlapMismatch))),
                Err(error) => return Ok(Some(LeaseEnd::Unreadable(self.at..self.at + length, error))),
            }
        }
        if frame.is_empty() {
            return Ok(None);
        }
        if self.generation.is_none() && !self.announce().await {
            return Ok(Some(LeaseEnd::Stopped));
        }
        let allowed = self.worker.shared.request.max_size.map_or(u64::MAX, |max| max.saturating_sub(self.at));
        let mut allowed = take_up_to(&mut frame, allowed);
        // From here on these bytes are ours, or they are not: nobody else will bring them.
        allowed.truncate(self.lease.bounds.claim(allowed.len() as u64) as usize);
        while !allowed.is_empty() {
            let bytes = take_up_to(&mut allowed, (self.piece - self.gathered.len() as u64).max(1));
            self.at += bytes.len() as u64;
            self.gather(&bytes).await?;
        }
        // One byte too many is noticed by the caller, and never written.
        self.at += frame.len() as u64;
        Ok(None)
    }

    /// Keeps bytes for the next piece, and writes it when it is full.
    async fn gather(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.gathered_since.get_or_insert_with(|| self.worker.shared.clock.now());
        if self.gathered.capacity() == 0 {
            let left = self.lease.bounds.left();
            let expected = (left.end - left.start).saturating_add(bytes.len() as u64).min(self.piece);
            self.gathered.reserve_exact(usize::try_from(expected).unwrap_or_default());
        }
        self.gathered.extend_from_slice(bytes);
        // Somebody stands still for these: whatever is here goes to the disk as soon as that is free.
        let urgent = *self.urgency.borrow() == Urgency::Now && self.writing.is_none();
        let enough = urgent || self.gathered.len() as u64 >= self.piece;
        // The last bytes of an open-ended body stay back until it is known to end here.
        if enough && !(self.open_ended && self.is_full()) {
            self.write_gathered().await?;
        }
        Ok(())
    }

    /// Whether what we hold at the current offset is `theirs`.
    fn held_equals(&self, theirs: Bytes) -> impl Future<Output = Result<bool, LocalError>> + Send + use<> {
        let at = self.at;
        blocking(&self.worker.shared.part, move |part| {
            let mut ours = vec![0; theirs.len()];
            part.read_at(&mut ours, at).map(|()| ours == theirs)
        })
    }

    fn is_full(&self) -> bool {
        self.take.until.is_some_and(|until| self.at >= until)
    }

    /// All promised bytes are in. Where no head announced a length, the body must not go on.
    async fn ended_at_promise(&mut self) -> Result<LeaseEnd, Failure> {
        let Shared { clock, request, .. } = &*self.worker.shared;
        if !self.open_ended {
            return Ok(LeaseEnd::Filled);
        }
        let patience = clock.sleep(request.idle_timeout);
        let mut more = self.surplus;
        let rest = async {
            while more == 0
                && let Some(Ok(frame)) = self.body.next().await
            {
                more = frame.len() as u64;
            }
            more
        };
        let more = tokio::select! {
            more = rest => more,
            // Everything that was asked for is here; whether the peer also closes its side is its own affair.
            () = patience => 0,
            () = self.lease.bounds.ended() => {
                self.hold_back();
                return Ok(LeaseEnd::Stopped);
            }
        };
        if more == 0 {
            return Ok(LeaseEnd::Filled);
        }
        self.hold_back();
        Err(AnswerError::SizeMismatch { expected: self.at, actual: self.at.saturating_add(more) }.into())
    }

    /// Forgets the bytes not yet written: as long as they are missing, nobody takes the file for whole.
    fn hold_back(&mut self) {
        self.gathered.clear();
        self.gathered_since = None;
    }

    fn ended_by_peer(&self) -> Result<LeaseEnd, Failure> {
        match self.take.until {
            Some(promised) => Err(AttemptError::Truncated { received: self.at, promised }.into()),
            None => Ok(LeaseEnd::EndOfBody(self.at)),
        }
    }

    fn next_alarm(&self) -> Instant {
        let stall = self.watch.next_check(self.worker.shared.clock.now());
        let gathered = self.gathered_since.map(|since| since + GATHER_TIME);
        gathered.into_iter().chain(self.quiet_at()).fold(stall, Instant::min)
    }

    /// When this body, which has brought something, has been silent for too long for somebody who stands still.
    fn quiet_at(&self) -> Option<Instant> {
        // Where nothing can be joined in the middle, another request would begin at the front.
        let splices = self.take.identity.is_proof() && !self.lease.ignores_ranges;
        let urgent = *self.urgency.borrow() == Urgency::Now;
        (urgent && splices && self.at > self.take.write_from).then(|| self.watch.last_byte() + QUIET)
    }

    fn alarm(&self) -> (Instant, Sleep) {
        let at = self.next_alarm();
        (at, self.worker.shared.clock.sleep_until(at))
    }

    async fn throttle(&mut self, bytes: u64) -> Result<(), Failure> {
        let Shared { clock, request, .. } = &*self.worker.shared;
        let before = clock.now();
        let reports = &self.worker.reports;
        let urgency = *self.urgency.borrow_and_update();
        let mut granted = pin!(request.limits.acquire_as(bytes, urgency));
        if granted.as_mut().now_or_never().is_some() {
            return Ok(());
        }
        // What is here is not to wait for what is allowed to come.
        let mut unwritten = !(self.open_ended && self.is_full());
        let mut report = None;
        // Nothing is waited for but in `select`: a place in line that is not looked after holds up everybody behind it.
        loop {
            // With no write in flight it does not wait for one.
            if self.writing.is_none() && std::mem::take(&mut unwritten) {
                self.write_gathered().await?;
            }
            tokio::select! {
                biased;
                () = &mut granted => break,
                () = self.lease.bounds.ended() => break,
                Ok(()) = self.urgency.changed() => {
                    // A place in line does not move by itself.
                    let urgency = *self.urgency.borrow_and_update();
                    granted.set(request.limits.acquire_as(bytes, urgency));
                }
                Ok(room) = reports.reserve(), if report.is_some() => {
                    if let Some(report) = report.take() {
                        room.send(report);
                    }
                }
                written = join(&mut self.writing), if self.writing.is_some() && report.is_none() => {
                    report = self.report(written)?;
                }
            }
        }
        if let Some(report) = report {
            let _ = reports.send(report).await;
        }
        self.excuse_since(before);
        Ok(())
    }

    /// Takes the time since `before` out of the peer's account: it was ours.
    fn excuse_since(&mut self, before: Instant) {
        let spent = self.worker.shared.clock.now().saturating_duration_since(before);
        self.watch.excuse(spent);
    }

    /// Hands the gathered bytes to a blocking thread, after the write before has ended.
    async fn write_gathered(&mut self) -> Result<(), Failure> {
        if self.writing.is_some() {
            let before = self.worker.shared.clock.now();
            let result = join(&mut self.writing).await;
            self.excuse_since(before);
            self.written(result).await?;
        }
        self.gathered_since = None;
        if !self.gathered.is_empty() {
            let mut bytes = std::mem::replace(&mut self.gathered, std::mem::take(&mut self.spare));
            let range = self.gathered_from..self.gathered_from + bytes.len() as u64;
            self.gathered_from = range.end;
            let (part, offset) = (self.worker.shared.part.clone(), range.start);
            let end = tokio::task::spawn_blocking(move || {
                part.write_at(&bytes, offset)?;
                bytes.clear();
                Ok(bytes)
            });
            self.writing = Some(Writing { range, end });
        }
        Ok(())
    }

    /// Reports a write that has ended. The engine may take its time: then the disk is behind, and we wait for it.
    async fn written(&mut self, result: Result<Vec<u8>, LocalError>) -> Result<(), Failure> {
        let Some(report) = self.report(result)? else { return Ok(()) };
        let before = self.worker.shared.clock.now();
        let _ = self.worker.reports.send(report).await;
        self.excuse_since(before);
        Ok(())
    }

    /// What there is to say of a write that has ended.
    fn report(&mut self, result: Result<Vec<u8>, LocalError>) -> Result<Option<Report>, LocalError> {
        let Some(Writing { range, .. }) = self.writing.take() else { return Ok(None) };
        self.spare = result?;
        let lease = self.lease.id;
        Ok(self.generation.map(|generation| Report::Written { lease, generation, range }))
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        self.write_gathered().await?;
        if self.writing.is_some() {
            let result = join(&mut self.writing).await;
            self.written(result).await?;
        }
        Ok(())
    }
}

/// Waits for the write in flight; leaves its range for [`Receiver::written`]. Cancel safe.
async fn join(writing: &mut Option<Writing>) -> Result<Vec<u8>, LocalError> {
    let Some(Writing { end, .. }) = writing else { return std::future::pending().await };
    match end.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => std::future::pending().await,
    }
}

/// Splits at most `length` bytes off the front of `frame`.
fn take_up_to(frame: &mut Bytes, length: u64) -> Bytes {
    let length = usize::try_from(length).unwrap_or(usize::MAX).min(frame.len());
    frame.split_to(length)
}

/// Bytes gathered before they are written. All connections together hold as much as two of the largest pieces, and
/// their unwritten bytes are a fraction of a checkpoint.
pub(crate) fn piece(request: &FetchRequest) -> u64 {
    let connections = request.connections.limit() as u64;
    let largest = (2 * MAX_PIECE / connections).min(MAX_PIECE);
    (request.checkpoint_bytes / 8 / connections).clamp(MIN_PIECE, largest)
}

const MAX_PIECE: u64 = 1 << 20;
const MIN_PIECE: u64 = 16 << 10;
/// How long a body may be silent under somebody who stands still before its bytes are asked for anew.
const QUIET: Duration = Duration::from_secs(10);
/// Longest time bytes stay gathered.
const GATHER_TIME: Duration = Duration::from_millis(100);
