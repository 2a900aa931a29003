//! How fast one lease is at this very moment: what decides at the end of a download, when an average over seconds tells of
//! a connection that has lost its speed since.

use std::time::{Duration, Instant};

/// Counts what came within the last moments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    since: Instant,
    bytes: u64,
    /// Before `since`; `None` as long as there was nothing before.
    rate: Option<f64>,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, bytes: 0, rate: None }
    }

    /// Counts `bytes` received by `now`.
    pub(super) fn add(&mut self, now: Instant, bytes: u64) {
        self.bytes = self.bytes.saturating_add(bytes);
        let elapsed = now.saturating_duration_since(self.since);
        if elapsed >= MOMENT {
            *self = Self { since: now, bytes: 0, rate: Some(self.bytes as f64 / elapsed.as_secs_f64()) };
        }
    }

    /// Bytes per second by `now`; more than anything as long as there is nothing to go by.
    pub(super) fn at(&self, now: Instant) -> f64 {
        let elapsed = now.saturating_duration_since(self.since);
        let current = (elapsed >= MOMENT).then(|| self.bytes as f64 / elapsed.as_secs_f64());
        // Who has fallen silent slows down with every look.
        self.rate.map_or(f64::MAX, |rate| current.map_or(rate, |current| rate.min(current)))
    }
}

/// Longer than the pauses between what the network brings and what is written of it.
const MOMENT: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;
    use retry_kit::{Clock, ManualClock};

    #[test]
    fn the_pace_is_that_of_the_last_moments_and_who_falls_silent_slows_down() {
        let clock = ManualClock::new();
        let mut pace = Pace::new(clock.now());
        assert_eq!(pace.at(clock.now()), f64::MAX, "nobody knows yet");
        for (bytes, expected) in [(1000, 4000.0), (500, 2000.0), (0, 0.0)] {
            clock.advance(MOMENT);
            pace.add(clock.now(), bytes);
            assert_eq!(pace.at(clock.now()), expected);
        }
        clock.advance(MOMENT);
        pace.add(clock.now(), 1000);
        clock.advance(MOMENT / 2);
        pace.add(clock.now(), 100);
        assert_eq!(pace.at(clock.now()), 4000.0, "half a moment is too short to tell");
        clock.advance(MOMENT * 3 / 2);
        assert_eq!(pace.at(clock.now()), 200.0);
        clock.advance(MOMENT * 8);
        assert_eq!(pace.at(clock.now()), 40.0);
    }
}
