//! How many connections at once: one first, another while that makes the whole faster.

use std::time::{Duration, Instant};

use crate::request::Connections;

/// What the engine measured by now.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) now: Instant,
    /// Bytes received by all leases of this call.
    pub(crate) received: u64,
    /// Leases whose body is coming in.
    pub(crate) flowing: usize,
    /// Bytes nobody holds yet.
    pub(crate) missing: u64,
    /// The slowest rate limit in force, in bytes per second.
    pub(crate) limit: Option<u64>,
}

/// Decides how many leases there may be.
///
/// A trial: measure for a while with as many as there are, add one, measure again. It stays when the rate rose by a
/// tenth; otherwise it goes, and is tried again only after a while that doubles.
#[derive(Debug)]
pub(crate) struct Governor {
    connections: Connections,
    target: usize,
    /// No growth before this.
    not_before: Option<Instant>,
    pause: Duration,
    /// What `target - 1` connections achieved, while the newest is on trial.
    before: Option<f64>,
    window: Option<Window>,
}

/// One measurement under way.
#[derive(Clone, Copy, Debug)]
struct Window {
    flowing: usize,
    /// When counting begins: new connections need a moment to get up to speed.
    from: Instant,
    /// What had been received at `from`, once it has passed.
    base: Option<(Instant, u64)>,
}

impl Governor {
    pub(crate) fn new(connections: Connections) -> Self {
        let target = if connections.adaptive { 1 } else { connections.limit() };
        Self { connections, target, not_before: None, pause: FIRST_PAUSE, before: None, window: None }
    }

    /// Leases there may be at once.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// The peer does not want that many: one fewer than there were, and no more before `hint` or a while has passed.
    pub(crate) fn refused(&mut self, now: Instant, others: usize, hint: Option<Duration>) {
        let first = !self.holds(now);
        self.target = others.clamp(1, self.connections.limit());
        self.before = None;
        self.window = None;
        self.hold(now, hint.unwrap_or_default());
        // Several refused at the same time are one refusal.
        if first {
            self.hold(now, self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The peer does not serve ranges: never more than one.
    pub(crate) fn one_only(&mut self) {
        self.connections = Connections::SEQUENTIAL;
        self.target = 1;
    }

    /// Takes a reading. Call it at [`Governor::TICK`] or more often.
    pub(crate) fn read(&mut self, reading: Reading) {
        let Reading { now, received, flowing, .. } = reading;
        if !self.connections.adaptive {
            return self.recover(now);
        }
        if flowing == 0 {
            self.window = None;
            return;
        }
        let window = match self.window {
            Some(window) if window.flowing == flowing => window,
            _ => Window { flowing, from: now + SETTLE, base: None },
        };
        self.window = Some(window);
        let Some((since, base)) = window.base else {
            if now >= window.from {
                self.window = Some(Window { base: Some((now, received)), ..window });
            }
            return;
        };
        let elapsed = now.saturating_duration_since(since);
        if elapsed < MEASURE {
            return;
        }
        self.window = None;
        let rate = received.saturating_sub(base) as f64 / elapsed.as_secs_f64();
        if flowing == self.target {
            self.judge(reading, rate);
        } else if self.before.is_some() && flowing + 1 == self.target {
            // The newest has not come yet, or is gone again: this is what there is without it.
            self.before = Some(rate);
        }
    }

    /// A fixed number that the peer did not want is tried again, one by one.
    fn recover(&mut self, now: Instant) {
        if self.target < self.connections.limit() && !self.holds(now) {
            self.target += 1;
            self.hold(now, self.pause);
        }
    }

    /// `rate` is what the connections there are achieve.
    fn judge(&mut self, reading: Reading, rate: f64) {
        if let Some(before) = self.before.take()
            && rate < before * WORTH_IT
        {
            self.target = (self.target - 1).max(1);
            self.hold(reading.now, self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
            return;
        }
        let throttled = reading.limit.is_some_and(|limit| rate >= limit as f64 * FILLED);
        let room = self.target < self.connections.limit() && !self.holds(reading.now);
        // As long as nothing comes there is nothing to be compared.
        if room && rate > 0.0 && !throttled && reading.missing >= WORTH_A_TRIAL {
            self.before = Some(rate);
            self.target += 1;
        }
    }

    fn hold(&mut self, now: Instant, pause: Duration) {
        let until = now.checked_add(pause.min(LONGEST_HOLD));
        self.not_before = self.not_before.max(until);
    }

    fn holds(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    /// Longest time between two readings.
    pub(crate) const TICK: Duration = Duration::from_millis(250);
}

/// How long connections get up to speed before they are measured.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a measurement takes. With [`SETTLE`] it is what the first byte and the second connection are apart.
const MEASURE: Duration = Duration::from_millis(750);
/// One more connection stays when it makes the whole this much faster.
const WORTH_IT: f64 = 1.1;
/// A rate limit counts as filled from this share on.
const FILLED: f64 = 0.9;
/// Fewer missing bytes are not worth another connection.
const WORTH_A_TRIAL: u64 = 4 << 20;
/// How long after a failed trial the next one comes, doubling up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(160);
/// A hint that says more is as good as never, and may lie beyond the end of time.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests;
