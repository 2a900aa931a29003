//! How long the registry writes.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use download_registry::WriteObserver;
use prometheus_client::metrics::histogram::Histogram;
use retry_kit::{Clock, SharedClock};

/// Measures every transaction of the registry's writer.
pub(crate) struct WriteTimes {
    times: Histogram,
    clock: SharedClock,
    began: Mutex<Option<Instant>>,
}

impl WriteTimes {
    pub(crate) fn new(times: Histogram, clock: SharedClock) -> Self {
        Self { times, clock, began: Mutex::default() }
    }

    fn exchange(&self, began: Option<Instant>) -> Option<Instant> {
        std::mem::replace(&mut self.began.lock().unwrap_or_else(PoisonError::into_inner), began)
    }
}

impl WriteObserver for WriteTimes {
    fn began(&self, _writes: usize) {
        self.exchange(Some(self.clock.now()));
    }

    fn ended(&self, _committed: bool) {
        if let Some(began) = self.exchange(None) {
            self.times.observe(self.clock.now().saturating_duration_since(began).as_secs_f64());
        }
    }
}

impl fmt::Debug for WriteTimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteTimes").finish_non_exhaustive()
    }
}
