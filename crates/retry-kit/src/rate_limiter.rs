//! A byte rate shared by everyone who holds a handle.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use crate::clock::{SharedClock, Sleep};
use crate::rate::Rate;
use crate::sync::{lock, wake_all};
use crate::token_bucket::TokenBucket;

/// Hands out bytes in the order they were asked for, at a rate that can be changed while they wait.
///
/// Clones share the same rate. Ask for what you are about to read, a read at a time (16 to 64 KiB): back-pressure on
/// the connection does the rest, and the time spent waiting here says nothing about the peer.
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    line: Mutex<Line>,
}

/// Only the first in line takes from the bucket and sets a timer; it wakes the next when it has all it asked for.
struct Line {
    bucket: TokenBucket,
    /// By arrival. `None` for one who was woken and has not looked yet.
    waiting: BTreeMap<u64, Option<Waker>>,
    next_ticket: u64,
}

impl RateLimiter {
    /// Starts with a full burst; see [`TokenBucket`].
    #[must_use]
    pub fn new(clock: SharedClock, rate: Rate) -> Self {
        let bucket = TokenBucket::new(rate, clock.now());
        let line = Mutex::new(Line { bucket, waiting: BTreeMap::new(), next_ticket: 0 });
        Self { shared: Arc::new(Shared { clock, line }) }
    }

    /// Waits until `bytes` may be moved. The place in line is taken by the first poll.
    ///
    /// Any number is fine: more than a burst is saved up over several. Zero is granted at once. A future that is kept
    /// and not polled holds up those behind it.
    ///
    /// # Cancel safety
    /// Safe. Dropping the future gives up its place and returns what it had saved.
    pub fn acquire(&self, bytes: u64) -> AcquireBytes {
        AcquireBytes { limiter: self.clone(), owed: bytes, paid: 0, ticket: None, timer: None }
    }

    /// Changes the rate for everyone, those who already wait included.
    pub fn set_rate(&self, rate: Rate) {
        let now = self.shared.clock.now();
        let first = {
            let mut line = lock(&self.shared.line);
            line.bucket.set_rate(rate, now);
            line.first()
        };
        wake_all(first);
    }

    /// The rate in force.
    #[must_use]
    pub fn rate(&self) -> Rate {
        lock(&self.shared.line).bucket.rate()
    }

    /// How many stand in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.shared.line).waiting.len()
    }

    /// Puts back bytes that were granted and not moved.
    pub(crate) fn refund(&self, bytes: u64) {
        let first = {
            let mut line = lock(&self.shared.line);
            line.bucket.refund(bytes);
            line.first()
        };
        wake_all(first);
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = lock(&self.shared.line);
        f.debug_struct("RateLimiter")
            .field("rate", &line.bucket.rate())
            .field("waiting", &line.waiting.len())
            .finish_non_exhaustive()
    }
}

/// The future of [`RateLimiter::acquire`].
#[must_use = "a place in line is taken by the first poll"]
pub struct AcquireBytes {
    limiter: RateLimiter,
    /// Still to be taken.
    owed: u64,
    /// Already taken; returned if the rest never comes.
    paid: u64,
    /// The place in line, while there is one.
    ticket: Option<u64>,
    timer: Option<(Instant, Sleep)>,
}

/// What a look at the line shows.
enum Look {
    Granted,
    NotYet,
    /// First in line; there is something to take again at this time.
    At(Instant),
}

impl AcquireBytes {
    fn look(&mut self, waker: Waker) -> Look {
        let now = self.limiter.shared.clock.now();
        let (look, _replaced, next) = {
            let mut line = lock(&self.limiter.shared.line);
            let first = line.waiting.first_key_value().map(|(&ticket, _)| ticket);
            let is_first = first.is_none() || first == self.ticket;
            if is_first {
                let taken = line.bucket.take(self.owed, now);
                self.owed -= taken;
                self.paid += taken;
            }
            if self.owed == 0 {
                let own = self.ticket.take().and_then(|ticket| line.waiting.remove(&ticket)).flatten();
                (Look::Granted, own, line.first())
            } else {
                let ticket = *self.ticket.get_or_insert_with(|| line.draw());
                let replaced = line.waiting.insert(ticket, Some(waker)).flatten();
                let look = if is_first { Look::At(line.next_look(self.owed, now)) } else { Look::NotYet };
                (look, replaced, None)
            }
        };
        wake_all(next);
        look
    }
}

impl Future for AcquireBytes {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.owed == 0 {
            return Poll::Ready(());
        }
        loop {
            let deadline = match self.look(context.waker().clone()) {
                Look::Granted => {
                    self.timer = None;
                    return Poll::Ready(());
                }
                Look::NotYet => return Poll::Pending,
                Look::At(deadline) => deadline,
            };
            let this = &mut *self;
            let (_, sleep) = match &mut this.timer {
                Some(timer) if timer.0 == deadline => timer,
                other => other.insert((deadline, this.limiter.shared.clock.sleep_until(deadline))),
            };
            ready!(sleep.as_mut().poll(context));
            this.timer = None;
        }
    }
}

impl Drop for AcquireBytes {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let (_own, next) = {
            let mut line = lock(&self.limiter.shared.line);
            let own = line.waiting.remove(&ticket);
            line.bucket.refund(self.paid);
            (own, line.first())
        };
        wake_all(next);
    }
}

impl fmt::Debug for AcquireBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireBytes")
            .field("owed", &self.owed)
            .field("paid", &self.paid)
            .finish_non_exhaustive()
    }
}

impl Line {
    fn draw(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// Whom to wake so that the line moves on.
    fn first(&mut self) -> Option<Waker> {
        self.waiting.first_entry().and_then(|mut first| first.get_mut().take())
    }

    /// When the first in line should look again. Half a burst at a time: a bucket waited full spills whatever comes
    /// between the deadline and a late timer.
    fn next_look(&mut self, owed: u64, now: Instant) -> Instant {
        let slice = owed.min(self.bucket.burst() / 2).max(1);
        self.bucket.ready_at(slice, now)
    }
}
