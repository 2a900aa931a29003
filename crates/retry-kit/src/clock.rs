//! Time as an argument.
//!
//! Nothing in this crate reads a clock of its own. Whoever needs the time is handed a [`Clock`]: a timer of the runtime
//! in production (`TokioClock`, or your own), one moved by hand in tests (`ManualClock`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// A sleep in progress. Dropping it forgets it.
pub type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A clock shared by everything that belongs to one service.
pub type SharedClock = Arc<dyn Clock>;

/// What time it is, and how to wait.
pub trait Clock: Send + Sync + 'static {
    /// Monotonic time: what waits and intervals are measured with.
    fn now(&self) -> Instant;

    /// Wall-clock time: what dates are compared with. It may jump in both directions.
    fn wall(&self) -> SystemTime;

    /// Waits until [`now`](Clock::now) has reached `deadline`; never wakes earlier.
    fn sleep_until(&self, deadline: Instant) -> Sleep;

    /// Waits for `duration`. One too long for an [`Instant`] saturates at a time nobody will see.
    fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(saturating_add(self.now(), duration))
    }
}

impl<C: Clock + ?Sized> Clock for Arc<C> {
    fn now(&self) -> Instant {
        (**self).now()
    }

    fn wall(&self) -> SystemTime {
        (**self).wall()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        (**self).sleep_until(deadline)
    }

    fn sleep(&self, duration: Duration) -> Sleep {
        (**self).sleep(duration)
    }
}

/// `instant + duration`, or a time far ahead if that does not exist. How far an `Instant` reaches differs between
/// platforms and is told by none of them.
pub(crate) fn saturating_add(instant: Instant, mut duration: Duration) -> Instant {
    loop {
        match instant.checked_add(duration) {
            Some(sum) => return sum,
            None => duration /= 2,
        }
    }
}
