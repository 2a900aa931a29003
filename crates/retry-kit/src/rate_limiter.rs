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
use crate::urgency::Urgency;

/// Hands out bytes at a rate that can be changed while they wait: the more urgent first, and among equals in the order
/// they were asked for.
///
/// However much is urgent, a tenth of the rate goes to the others, the longest wait first. Clones share the same rate.
/// Ask for what you are about to read, a read at a time (16 to 64 KiB): back-pressure on the connection does the rest,
/// and the time spent waiting here says nothing about the peer.
#[derive(Clone)]
pub struct RateLimiter {
    shared: Arc<Shared>,
}

struct Shared {
    clock: SharedClock,
    line: Mutex<Line>,
}

/// Only the first in line takes from the bucket and sets a timer; it wakes the next when it has all it asked for, and
/// whoever looks and is not the first wakes the one that is.
struct Line {
    bucket: TokenBucket,
    waiting: BTreeMap<Place, Waiting>,
    next_ticket: u64,
    /// Bytes that went past somebody less urgent since the last of those had a turn.
    overtaken: u64,
}

/// A place in line: by urgency, then by arrival.
type Place = (Urgency, u64);

struct Waiting {
    /// All it asked for.
    bytes: u64,
    /// `None` for one who was woken and has not looked yet.
    waker: Option<Waker>,
}

impl RateLimiter {
    /// Starts with a full burst; see [`TokenBucket`].
    #[must_use]
    pub fn new(clock: SharedClock, rate: Rate) -> Self {
        let bucket = TokenBucket::new(rate, clock.now());
        let line = Mutex::new(Line { bucket, waiting: BTreeMap::new(), next_ticket: 0, overtaken: 0 });
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
        self.acquire_as(bytes, Urgency::default())
    }

    /// As [`acquire`](Self::acquire), ahead of everybody less urgent who waits.
    ///
    /// # Cancel safety
    /// Safe, as `acquire`.
    pub fn acquire_as(&self, bytes: u64, urgency: Urgency) -> AcquireBytes {
        AcquireBytes { limiter: self.clone(), urgency, owed: bytes, paid: 0, place: None, timer: None }
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

/// The future of [`RateLimiter::acquire`] and [`RateLimiter::acquire_as`].
#[must_use = "a place in line is taken by the first poll"]
pub struct AcquireBytes {
    limiter: RateLimiter,
    urgency: Urgency,
    /// Still to be taken.
    owed: u64,
    /// Already taken; returned if the rest never comes.
    paid: u64,
    /// The place in line, while there is one.
    place: Option<Place>,
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
        let Self { limiter, urgency, owed, paid, place, .. } = self;
        let now = limiter.shared.clock.now();
        let (look, _replaced, next) = {
            let mut line = lock(&limiter.shared.line);
            let is_first = line.waiting.is_empty() || {
                let place = *place.get_or_insert_with(|| line.stand_in(*urgency, *owed));
                line.next_up() == Some(place)
            };
            if is_first {
                let taken = line.bucket.take(*owed, now);
                *owed -= taken;
                *paid += taken;
            }
            if *owed == 0 {
                let own = place.take().and_then(|place| line.waiting.remove(&place));
                line.granted(*urgency, *paid);
                (Look::Granted, own.and_then(|own| own.waker), line.first())
            } else {
                let place = *place.get_or_insert_with(|| line.stand_in(*urgency, *owed + *paid));
                let replaced = line.waiting.get_mut(&place).and_then(|own| own.waker.replace(waker));
                match is_first {
                    true => (Look::At(line.next_look(*owed, now)), replaced, None),
                    // Who is first changes with whoever stands in: one that was woken for it may not be any more, and
                    // the one that is has no timer and would never know.
                    false => (Look::NotYet, replaced, line.first()),
                }
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
        let Some(place) = self.place else { return };
        let (_own, next) = {
            let mut line = lock(&self.limiter.shared.line);
            let own = line.waiting.remove(&place);
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
    /// Takes the last place among those as urgent, for so many bytes.
    fn stand_in(&mut self, urgency: Urgency, bytes: u64) -> Place {
        self.next_ticket += 1;
        let place = (urgency, self.next_ticket);
        self.waiting.insert(place, Waiting { bytes, waker: None });
        place
    }

    /// Who takes from the bucket next: the most urgent, unless somebody else has been passed by for long enough.
    fn next_up(&self) -> Option<Place> {
        let (&first, _) = self.waiting.first_key_value()?;
        let (&last, _) = self.waiting.last_key_value()?;
        if first.0 == last.0 {
            return Some(first);
        }
        let behind = self.waiting.iter().filter(|(place, _)| place.0 > first.0);
        let overdue = behind
            .min_by_key(|(place, _)| place.1)
            .filter(|(_, waiting)| self.overtaken >= waiting.bytes.saturating_mul(SHARE - 1));
        Some(overdue.map_or(first, |(&place, _)| place))
    }

    /// Notes that `bytes` went to somebody this urgent.
    fn granted(&mut self, urgency: Urgency, bytes: u64) {
        let behind = self.waiting.last_key_value().is_some_and(|(place, _)| place.0 > urgency);
        let ahead = self.waiting.first_key_value().is_some_and(|(place, _)| place.0 < urgency);
        self.overtaken = match () {
            // It had its turn, whoever else still waits behind it.
            () if ahead => self.overtaken.saturating_sub(bytes.saturating_mul(SHARE - 1)),
            () if behind => self.overtaken.saturating_add(bytes),
            () => 0,
        };
    }

    /// Whom to wake so that the line moves on.
    fn first(&mut self) -> Option<Waker> {
        let place = self.next_up()?;
        self.waiting.get_mut(&place).and_then(|first| first.waker.take())
    }

    /// When the first in line should look again. Half a burst at a time: a bucket waited full spills whatever comes
    /// between the deadline and a late timer.
    fn next_look(&mut self, owed: u64, now: Instant) -> Instant {
        let slice = owed.min(self.bucket.burst() / 2).max(1);
        self.bucket.ready_at(slice, now)
    }
}

/// One byte of so many goes to those who are less urgent.
const SHARE: u64 = 10;
