//! What everything in one run shares: the time, the trace, and the first thing that was found wrong.
//!
//! The engine works on blocking threads beside its own, so "nothing moves any more" has to be found out:
//! [`World::settle`] lets everything that is ready run, and everything that runs end, until nobody stirs. Between two
//! events of the test all is at rest, which is what makes a seed tell the same story twice.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use retry_kit::{Clock, ManualClock, Sleep};

/// One run's surroundings.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    begin: Instant,
    /// Counts whatever anybody does that can be seen from outside.
    activity: AtomicU64,
    /// Requests since everything was at rest.
    requests: AtomicU64,
    trace: Mutex<VecDeque<String>>,
    /// Print what happens at once.
    loud: bool,
    wrong: Mutex<Option<String>>,
}

impl World {
    pub(crate) fn new(loud: bool) -> Arc<Self> {
        let clock = ManualClock::new();
        let begin = clock.now();
        let (trace, wrong) = (Mutex::default(), Mutex::default());
        let (activity, requests) = (AtomicU64::new(0), AtomicU64::new(0));
        Arc::new(Self { clock, begin, activity, requests, trace, loud, wrong })
    }

    /// Somebody did something.
    pub(crate) fn stir(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody asked the peer for something.
    pub(crate) fn request(&self) {
        self.stir();
        let requests = self.requests.fetch_add(1, Ordering::Relaxed);
        self.expect(requests < RESTLESS, || "it asks and asks, and nothing else happens".to_owned());
    }

    /// Puts a line into the trace.
    pub(crate) fn note(&self, line: impl FnOnce() -> String) {
        let at = self.clock.now() - self.begin;
        let line = format!("{:9.3} {}", at.as_secs_f64(), line());
        if self.loud {
            println!("{line}");
        }
        let mut trace = lock(&self.trace);
        if trace.len() == REMEMBERED {
            trace.pop_front();
        }
        trace.push_back(line);
    }

    /// A promise was broken; the first one counts.
    pub(crate) fn blame(&self, what: impl FnOnce() -> String) {
        let mut wrong = lock(&self.wrong);
        if wrong.is_none() {
            let what = what();
            self.note(|| format!("WRONG: {what}"));
            *wrong = Some(what);
        }
    }

    /// Holds a promise against what is.
    pub(crate) fn expect(&self, kept: bool, else_wrong: impl FnOnce() -> String) {
        if !kept {
            self.blame(else_wrong);
        }
    }

    /// What was found wrong.
    pub(crate) fn wrong(&self) -> Option<String> {
        lock(&self.wrong).clone()
    }

    /// The last lines of the trace.
    pub(crate) fn last_events(&self) -> String {
        Vec::from_iter(lock(&self.trace).iter().cloned()).join("\n")
    }

    /// Runs everything until it waits: for the clock, for the peer, or for somebody who asks for something.
    pub(crate) async fn settle(&self) {
        let mut quiet = 0;
        self.requests.store(0, Ordering::Relaxed);
        // Who asks for ever does not come to rest.
        while quiet < QUIET_ROUNDS && self.requests.load(Ordering::Relaxed) < RESTLESS {
            let before = self.activity.load(Ordering::Relaxed);
            // There is one blocking thread: when this comes back, all work that was given to it before has ended.
            let _ = tokio::task::spawn_blocking(|| ()).await;
            // The runtime gives its turn back when nobody else is ready.
            tokio::task::yield_now().await;
            quiet = if self.activity.load(Ordering::Relaxed) == before { quiet + 1 } else { 0 };
        }
    }
}

/// The manual clock, watched: whoever looks at it is awake.
pub(crate) struct WatchedClock(pub(crate) Arc<World>);

impl Clock for WatchedClock {
    fn now(&self) -> Instant {
        self.0.stir();
        self.0.clock.now()
    }

    fn wall(&self) -> SystemTime {
        self.0.clock.wall()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        self.0.stir();
        self.0.clock.sleep_until(deadline)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        self.0.stir();
        self.0.clock.sleep(duration)
    }
}

/// A lock that a panic elsewhere does not spoil: the panic itself is the news.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines of the trace that are kept.
const REMEMBERED: usize = 60;
/// The longest chain of work on a blocking thread of which nothing shows outside, and one more.
const QUIET_ROUNDS: u32 = 6;
/// More requests than this are not due at the same time.
const RESTLESS: u64 = 200;
