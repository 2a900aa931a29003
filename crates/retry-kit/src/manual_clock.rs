//! A clock that moves only when told to.

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant, SystemTime};

use crate::clock::{Clock, Sleep, saturating_add};
use crate::sync::{lock, wake_all};

/// A clock for tests: five attempts over an hour take a millisecond, and fail the same way twice.
///
/// Clones show and move the same time. Wall-clock time starts at 2026-01-01 00:00:00 UTC and moves along with
/// [`advance`](ManualClock::advance).
///
/// ```
/// use std::time::Duration;
/// use retry_kit::{Clock, ManualClock};
///
/// let clock = ManualClock::new();
/// let start = clock.now();
/// clock.run(clock.sleep(Duration::from_secs(3600)));
/// assert_eq!(clock.now() - start, Duration::from_secs(3600));
/// ```
#[derive(Clone)]
pub struct ManualClock {
    shared: Arc<Mutex<State>>,
}

struct State {
    now: Instant,
    wall: SystemTime,
    /// Who sleeps, by deadline, then by the order they lay down.
    sleepers: BTreeMap<(Instant, u64), Waker>,
    next_ticket: u64,
    /// Who waits for someone to lie down.
    watchers: Vec<Waker>,
}

impl ManualClock {
    /// A clock that stands still.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "there is no other way to make a first Instant")]
    pub fn new() -> Self {
        let state = State {
            now: Instant::now(),
            wall: SystemTime::UNIX_EPOCH + FIRST_WALL,
            sleepers: BTreeMap::new(),
            next_ticket: 0,
            watchers: Vec::new(),
        };
        Self { shared: Arc::new(Mutex::new(state)) }
    }

    /// Moves both times forward and wakes the sleepers whose deadline has come, earliest deadline first, those with the
    /// same deadline in the order they lay down.
    pub fn advance(&self, duration: Duration) {
        let due = lock(&self.shared).advance(duration);
        wake_all(due);
    }

    /// Moves forward to the next deadline and returns how far that was; `None` if nobody sleeps.
    pub fn advance_to_next(&self) -> Option<Duration> {
        let (step, due) = {
            let mut state = lock(&self.shared);
            let step = state.next_deadline()?.saturating_duration_since(state.now);
            (step, state.advance(step))
        };
        wake_all(due);
        Some(step)
    }

    /// Sets the wall-clock time alone, as an operator or a time server does: no sleeper notices.
    pub fn set_wall(&self, wall: SystemTime) {
        lock(&self.shared).wall = wall;
    }

    /// How many sleepers are parked: polled at least once, and not yet due.
    #[must_use]
    pub fn waiters(&self) -> usize {
        lock(&self.shared).sleepers.len()
    }

    /// The earliest deadline of a parked sleeper.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        lock(&self.shared).next_deadline()
    }

    /// Waits until at least `count` sleepers are parked: the way to know that a task on another thread, or one the
    /// runtime has not polled yet, has come to rest.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn wait_for_sleepers(&self, count: usize) {
        poll_fn(|context| {
            let waker = context.waker().clone();
            let mut state = lock(&self.shared);
            if state.sleepers.len() >= count {
                return Poll::Ready(());
            }
            if !state.watchers.iter().any(|other| other.will_wake(&waker)) {
                state.watchers.push(waker);
            }
            Poll::Pending
        })
        .await;
    }

    /// Runs `future` to its end on this thread, moving the clock to the next deadline whenever it can do nothing but
    /// wait.
    ///
    /// # Panics
    /// If the future waits for something that is not this clock: nothing here would ever wake it.
    pub fn run<F: Future>(&self, future: F) -> F::Output {
        let mut future = pin!(future);
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
            while !woken.0.swap(false, Ordering::AcqRel) {
                assert!(
                    self.advance_to_next().is_some(),
                    "the future waits for something that is not this clock"
                );
            }
        }
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        lock(&self.shared).now
    }

    fn wall(&self) -> SystemTime {
        lock(&self.shared).wall
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(ManualSleep { clock: self.clone(), deadline, ticket: None })
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ManualClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.shared);
        f.debug_struct("ManualClock")
            .field("now", &state.now)
            .field("wall", &state.wall)
            .field("waiters", &state.sleepers.len())
            .finish_non_exhaustive()
    }
}

impl State {
    #[must_use]
    fn advance(&mut self, duration: Duration) -> Vec<Waker> {
        self.now = saturating_add(self.now, duration);
        self.wall = self.wall.checked_add(duration).unwrap_or(self.wall);
        let later = self.sleepers.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.sleepers, later).into_values().collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.sleepers.first_key_value().map(|(&(deadline, _), _)| deadline)
    }
}

struct ManualSleep {
    clock: ManualClock,
    deadline: Instant,
    /// Where it lies in the queue, from the first poll on.
    ticket: Option<u64>,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let waker = context.waker().clone();
        let (_replaced, watchers) = {
            let mut state = lock(&this.clock.shared);
            if state.now >= this.deadline {
                return Poll::Ready(());
            }
            let ticket = *this.ticket.get_or_insert_with(|| {
                state.next_ticket += 1;
                state.next_ticket
            });
            let replaced = state.sleepers.insert((this.deadline, ticket), waker);
            (replaced, std::mem::take(&mut state.watchers))
        };
        wake_all(watchers);
        Poll::Pending
    }
}

impl Drop for ManualSleep {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            let _waker = lock(&self.clock.shared).sleepers.remove(&(self.deadline, ticket));
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// 2026-01-01 00:00:00 UTC: the same in every run.
const FIRST_WALL: Duration = Duration::from_secs(1_767_225_600);
