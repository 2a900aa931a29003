//! How many connections at once: one first, more while that makes the whole faster.

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
/// It begins like TCP: as long as the rate of the whole still rises from one glance to the next, nobody knows yet what
/// the path carries, and the number grows with it. What came in that hurry has proved nothing: where there is time for
/// it, half of it goes on trial, and comes back when it is missed. From then on, trials of one more: measure for a while
/// with as many as there are, add one, measure again. It stays when the rate rose by a tenth; otherwise it goes, and the
/// next trial comes after a while that doubles.
#[derive(Debug)]
pub(crate) struct Governor {
    connections: Connections,
    target: usize,
    /// What the peer puts up with, as far as it has said so.
    most: usize,
    /// No growth before this.
    not_before: Option<Instant>,
    pause: Duration,
    /// The rate may still be rising by itself.
    hurry: Option<Hurry>,
    /// Some are here only because the rate was rising when they came.
    unproven: bool,
    trial: Option<Trial>,
    window: Option<Window>,
}

/// Another number than before, until it is judged.
#[derive(Clone, Copy, Debug)]
struct Trial {
    /// How many there were before, and what they achieved.
    from: usize,
    rate: f64,
}

/// How a download gets faster.
#[derive(Clone, Copy, Debug, Default)]
struct Hurry {
    /// The last glance, and what had been received by then.
    last: Option<(Instant, u64)>,
    /// The best rate between two of them, and when it was seen.
    best: Option<(Instant, f64)>,
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
        Self {
            connections,
            target,
            most: connections.limit(),
            not_before: None,
            pause: FIRST_PAUSE,
            hurry: Some(Hurry::default()),
            unproven: false,
            trial: None,
            window: None,
        }
    }

    /// Leases there may be at once.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// Leases that may go on with what they are at, though nothing new is asked for beyond [`Governor::target`].
    pub(crate) fn most(&self) -> usize {
        self.most.max(self.target)
    }

    /// The peer does not want that many: one fewer than there were, and no more before `hint` or a while has passed.
    pub(crate) fn refused(&mut self, now: Instant, others: usize, hint: Option<Duration>) {
        let first = !self.holds(now);
        self.target = others.clamp(1, self.connections.limit());
        self.most = self.target;
        self.hurry = None;
        self.unproven = false;
        self.trial = None;
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
        (self.target, self.most) = (1, 1);
    }

    /// Takes a reading. Call it at [`Governor::TICK`] or more often.
    pub(crate) fn read(&mut self, reading: Reading) {
        if !self.connections.adaptive {
            return self.recover(reading.now);
        }
        if reading.flowing == 0 {
            self.window = None;
            self.hurry = self.hurry.map(|_| Hurry::default());
            return;
        }
        self.look(reading);
        self.measure(reading);
    }

    /// A fixed number that the peer did not want is tried again, one by one.
    fn recover(&mut self, now: Instant) {
        if self.target < self.connections.limit() && !self.holds(now) {
            self.target += 1;
            self.hold(now, self.pause);
        }
    }

    /// Lets the number grow with the rate.
    fn look(&mut self, reading: Reading) {
        let Some(hurry) = &mut self.hurry else { return };
        let Reading { now, received, flowing, .. } = reading;
        let (at, before) = *hurry.last.get_or_insert((now, received));
        let elapsed = now.saturating_duration_since(at);
        if elapsed < GLANCE {
            return;
        }
        let rate = rate(received.saturating_sub(before), elapsed);
        hurry.last = Some((now, received));
        if hurry.best.is_none_or(|(_, best)| rate >= best * WORTH_IT) {
            hurry.best = Some((now, rate));
            if self.has_room(reading, rate) {
                self.target = (self.target * GROWTH).min(self.connections.limit());
                self.unproven = true;
            }
        } else if flowing < self.target {
            // Who was called and has not come yet may still bring more.
            hurry.best = hurry.best.map(|(_, best)| (now, best));
        } else if hurry.best.is_some_and(|(at, _)| now.saturating_duration_since(at) >= CALM) {
            self.hurry = None;
        }
    }

    /// Measures with care, as long as the number stays the same.
    fn measure(&mut self, reading: Reading) {
        let Reading { now, received, flowing, .. } = reading;
        let fewer = self.trial.is_some_and(|trial| trial.from > self.target);
        let window = match self.window {
            // Fewer than there were: they go one by one, and what is missed is missed from the first on.
            Some(window) if window.flowing == flowing || fewer => window,
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
        let rate = rate(received.saturating_sub(base), elapsed);
        match self.trial {
            // The newest has not come yet, or is gone again: this is what there is without it.
            Some(trial) if trial.from < self.target && flowing <= trial.from => {
                self.trial = Some(Trial { rate, ..trial });
            }
            Some(trial) => self.judge(reading, rate, trial),
            None if flowing <= self.target => self.go_on(reading, rate),
            None => {}
        }
    }

    /// `rate` is what the connections on trial achieve.
    fn judge(&mut self, reading: Reading, rate: f64, trial: Trial) {
        let Trial { from, rate: before } = trial;
        if from < self.target {
            self.trial = None;
            if rate >= before * WORTH_IT {
                return self.go_on(reading, rate);
            }
            self.target = from;
            self.hold(reading.now, self.pause);
            self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        } else if rate * WORTH_IT <= before {
            // Whatever is missed has proved itself.
            (self.target, self.trial, self.unproven) = (from, None, false);
        } else if reading.flowing <= self.target {
            self.trial = None;
            self.unproven = self.target > 1;
            self.hold(reading.now, self.pause);
            self.go_on(reading, rate);
        }
    }

    /// The next trial, if it is time for one beside those that achieve `rate`.
    fn go_on(&mut self, reading: Reading, rate: f64) {
        let lasts = reading.missing as f64 > rate * WORTH_PROVING;
        let from = self.target;
        if self.unproven && reading.flowing >= from && rate > 0.0 && lasts {
            (self.hurry, self.trial) = (None, Some(Trial { from, rate }));
            self.target = from / 2;
        } else if !self.unproven && self.has_room(reading, rate) {
            self.trial = Some(Trial { from, rate });
            self.target += 1;
        }
    }

    /// Whether another connection is worth a trial beside those that achieve `rate`.
    fn has_room(&self, reading: Reading, rate: f64) -> bool {
        let throttled = reading.limit.is_some_and(|limit| rate >= limit as f64 * FILLED);
        let room = self.target < self.connections.limit() && !self.holds(reading.now);
        // As long as nothing comes there is nothing to be compared, and what is done in a moment is not to be hurried.
        let worth_it = reading.missing >= WORTH_A_TRIAL && reading.missing as f64 >= rate * WORTH_HURRYING;
        room && rate > 0.0 && !throttled && worth_it
    }

    fn hold(&mut self, now: Instant, pause: Duration) {
        let until = now.checked_add(pause.min(LONGEST_HOLD));
        self.not_before = self.not_before.max(until);
    }

    fn holds(&self, now: Instant) -> bool {
        self.not_before.is_some_and(|at| now < at)
    }

    /// Longest time between two readings.
    pub(crate) const TICK: Duration = Duration::from_millis(50);
}

fn rate(bytes: u64, time: Duration) -> f64 {
    bytes as f64 / time.as_secs_f64()
}

/// How far two glances are apart.
const GLANCE: Duration = Duration::from_millis(50);
/// By how much the number grows when the rate has.
const GROWTH: usize = 4;
/// A rate that has not risen for as long is what it is.
const CALM: Duration = Duration::from_millis(500);
/// How long connections get up to speed before they are measured.
const SETTLE: Duration = Duration::from_millis(250);
/// How long a measurement takes.
const MEASURE: Duration = Duration::from_millis(750);
/// More connections stay when they make the whole this much faster.
const WORTH_IT: f64 = 1.1;
/// A rate limit counts as filled from this share on.
const FILLED: f64 = 0.9;
/// Fewer missing bytes are not worth another connection.
const WORTH_A_TRIAL: u64 = 4 << 20;
/// Nor are those that come within so many seconds at the present rate.
const WORTH_HURRYING: f64 = 1.0;
/// A download that goes on for longer, in seconds at the present rate, has time to find out whether fewer do as well.
const WORTH_PROVING: f64 = 2.0;
/// How long after a failed trial the next one comes, doubling up to the longest.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(160);
/// A hint that says more is as good as never, and may lie beyond the end of time.
const LONGEST_HOLD: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests;
