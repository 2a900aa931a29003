//! Is anything still coming? A sliding window of received bytes, and the time of the last one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::error::AttemptError;
use crate::request::LowSpeed;

/// Watches one body for silence and for drips.
///
/// Only time spent waiting for the peer counts: [`StallWatch::excuse`] takes out what our own limits, disk or caller
/// cost.
#[derive(Debug)]
pub(crate) struct StallWatch {
    idle: Duration,
    low_speed: Option<LowSpeed>,
    last_byte: Instant,
    /// Start of the time watched, moved forward by excuses.
    begin: Instant,
    /// Arrivals inside the window, in slices of a thirtieth of it.
    recent: VecDeque<(Instant, u64)>,
}

impl StallWatch {
    pub(crate) fn new(idle: Duration, low_speed: Option<LowSpeed>, now: Instant) -> Self {
        Self { idle, low_speed, last_byte: now, begin: now, recent: VecDeque::new() }
    }

    /// Counts `bytes` that arrived at `now`.
    pub(crate) fn received(&mut self, now: Instant, bytes: u64) {
        self.last_byte = now;
        let Some(low) = self.low_speed else { return };
        match self.recent.back_mut() {
            Some((since, sum)) if now.saturating_duration_since(*since) < low.window / SLICES => {
                *sum += bytes;
            }
            _ => self.recent.push_back((now, bytes)),
        }
        while self.recent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > low.window) {
            self.recent.pop_front();
        }
    }

    /// Takes `spent` out of the account: it was ours, not the peer's.
    pub(crate) fn excuse(&mut self, spent: Duration) {
        self.last_byte += spent;
        self.begin += spent;
        for (at, _) in &mut self.recent {
            *at += spent;
        }
    }

    /// When the last byte came, as far as the time since is the peer's.
    pub(crate) fn last_byte(&self) -> Instant {
        self.last_byte
    }

    /// The next moment at which [`StallWatch::check`] can have something to say.
    pub(crate) fn next_check(&self, now: Instant) -> Instant {
        let idle = self.last_byte.checked_add(self.idle);
        let slow = self.low_speed.and_then(|low| {
            let full = self.begin.checked_add(low.window)?;
            Some(full.max(now.checked_add(low.window / SLICES)?))
        });
        [idle, slow]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(now + Duration::from_secs(3600))
            .max(now + MIN_STEP)
    }

    /// Whether the body counts as stalled at `now`.
    pub(crate) fn check(&self, now: Instant) -> Result<(), AttemptError> {
        if now.saturating_duration_since(self.last_byte) >= self.idle {
            return Err(AttemptError::Idle(self.idle));
        }
        let Some(LowSpeed { floor, window }) = self.low_speed else { return Ok(()) };
        if now.saturating_duration_since(self.begin) < window {
            return Ok(());
        }
        let received: u64 = self
            .recent
            .iter()
            .filter(|(at, _)| now.saturating_duration_since(*at) <= window)
            .map(|(_, bytes)| bytes)
            .sum();
        if (received as f64) < floor as f64 * window.as_secs_f64() {
            return Err(AttemptError::LowSpeed { floor, window });
        }
        Ok(())
    }
}

const SLICES: u32 = 30;
const MIN_STEP: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;
    use retry_kit::{Clock, ManualClock};

    const LOW: LowSpeed = LowSpeed { floor: 1000, window: Duration::from_secs(30) };

    fn watch(clock: &ManualClock) -> StallWatch {
        StallWatch::new(Duration::from_secs(60), Some(LOW), clock.now())
    }

    #[test]
    fn a_drip_below_the_floor_is_a_stall_although_it_is_never_idle() {
        let clock = ManualClock::new();
        let mut watch = watch(&clock);
        for second in 1..30 {
            clock.advance(Duration::from_secs(1));
            watch.received(clock.now(), 900);
            watch.check(clock.now()).unwrap_or_else(|error| panic!("{second} s: {error}"));
        }
        clock.advance(Duration::from_secs(1));
        watch.received(clock.now(), 900);
        assert!(matches!(watch.check(clock.now()), Err(AttemptError::LowSpeed { .. })));
    }

    #[test]
    fn a_fast_start_does_not_excuse_a_slow_end() {
        let clock = ManualClock::new();
        let mut watch = watch(&clock);
        watch.received(clock.now(), 1 << 30);
        clock.advance(Duration::from_secs(29));
        watch.check(clock.now()).unwrap();
        clock.advance(Duration::from_secs(2));
        assert!(matches!(watch.check(clock.now()), Err(AttemptError::LowSpeed { .. })), "the window slides");
    }

    #[test]
    fn silence_ends_at_the_idle_limit_and_not_before() {
        let clock = ManualClock::new();
        let watch = StallWatch::new(Duration::from_secs(60), None, clock.now());
        assert_eq!(watch.next_check(clock.now()), clock.now() + Duration::from_secs(60));
        clock.advance(Duration::from_millis(59_999));
        watch.check(clock.now()).unwrap();
        clock.advance(Duration::from_millis(1));
        assert!(matches!(watch.check(clock.now()), Err(AttemptError::Idle(_))));
    }

    #[test]
    fn time_spent_on_our_own_limits_never_counts() {
        let clock = ManualClock::new();
        let mut watch = watch(&clock);
        clock.advance(Duration::from_secs(3600));
        watch.excuse(Duration::from_secs(3600));
        watch.check(clock.now()).unwrap();
        clock.advance(Duration::from_secs(30));
        assert!(watch.check(clock.now()).is_err());
    }
}
