//! The clock of a tokio runtime.

use std::time::{Instant, SystemTime};

use crate::clock::{Clock, Sleep};

/// Sleeps on tokio's timer.
///
/// [`now`](Clock::now) follows a runtime whose time is paused; [`wall`](Clock::wall) is always the system's. A sleep
/// must be polled inside a runtime with time enabled; it may be created anywhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TokioClock;

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        // Lazily: tokio's own constructor panics outside a runtime.
        Box::pin(async move { tokio::time::sleep_until(deadline.into()).await })
    }
}
