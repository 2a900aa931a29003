//! What a download tells while it runs: a few events that are never lost, and a snapshot that is always current.

use std::ops::Range;
use std::time::{Duration, Instant};

use retry_kit::DelaySource;

use crate::restart_reason::RestartReason;

/// Something that happened. Events are few: their number is bounded by attempts and restarts, not by bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A body is coming in and was found to continue what is held. Of several transfers side by side, only the
    /// first is told.
    Started {
        /// Offset it starts to add bytes at; above zero it resumes.
        from: u64,
        /// Complete-length, if known.
        total: Option<u64>,
        /// The validator the bytes are bound to, as sent.
        validator: Option<String>,
    },
    /// What was held is given up; a new generation begins.
    Restarted {
        /// Why.
        reason: RestartReason,
        /// Bytes that will be fetched again.
        discarded: u64,
    },
    /// An attempt failed and another will follow.
    Retrying {
        /// Failures since the last real progress.
        attempt: u32,
        /// How many are allowed.
        max: u32,
        /// Time until the next attempt.
        delay: Duration,
        /// Whether the peer named the delay.
        source: DelaySource,
        /// The failure, in words.
        reason: String,
    },
    /// An attempt did not reach anybody: there was no connection at all. What comes of it is told next.
    Unreachable {
        /// The failure, in words.
        reason: String,
    },
    /// A range failed and will be tried again by itself, while others go on.
    Setback {
        /// Its bytes.
        range: Range<u64>,
        /// Failures of this range since it last made real progress.
        attempt: u32,
        /// Time until its next try.
        delay: Duration,
        /// The failure, in words.
        reason: String,
    },
    /// Recorded bytes could not be read back: they are taken off the record and fetched again.
    Unreadable {
        /// The bytes.
        range: Range<u64>,
    },
    /// All bytes are here; the digest is being computed.
    Verifying,
}

/// Where a download stands.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// What is going on.
    pub phase: Phase,
    /// Bytes in the part file, readable now.
    pub written: u64,
    /// Bytes that a crash cannot take back.
    pub durable: u64,
    /// Complete-length, if known.
    pub total: Option<u64>,
    /// Counts the representations seen; bytes only go back when this grows.
    pub generation: u64,
    /// Bytes per second lately, of this session only; 0 while waiting.
    pub rate: f64,
    /// Time left at this rate; `None` without a total or before the rate means anything.
    pub eta: Option<Duration>,
    /// Open transfers.
    pub connections: usize,
}

/// What a download is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Waiting for an answer.
    #[default]
    Connecting,
    /// Bytes are coming in.
    Downloading,
    /// Waiting to try again.
    Waiting,
    /// Computing the digest.
    Verifying,
    /// Renaming and syncing.
    Finalizing,
}

/// Measures a rate: the mean of all so far while that is little, then an exponentially weighted one with a half-life of
/// five seconds.
#[derive(Debug)]
pub(crate) struct RateMeter {
    since: Instant,
    started: Instant,
    /// When bytes last came.
    heard: Instant,
    /// Bytes since the start.
    counted: u64,
    /// Those of them since the last sample.
    pending: u64,
    rate: f64,
}

impl RateMeter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, started: now, heard: now, counted: 0, pending: 0, rate: 0.0 }
    }

    /// Counts `bytes` received by `now`.
    pub(crate) fn add(&mut self, now: Instant, bytes: u64) {
        self.heard = now;
        self.counted = self.counted.saturating_add(bytes);
        self.pending = self.pending.saturating_add(bytes);
        let elapsed = now.saturating_duration_since(self.since).as_secs_f64();
        if elapsed < 0.1 {
            return;
        }
        let age = now.saturating_duration_since(self.started);
        // Weighted, the first sample would stay in sight for ten seconds: whole, it is the burst that a limit hands
        // out at once; in part, the mean would climb from zero.
        self.rate = if age <= SETTLING || self.rate == 0.0 {
            self.counted as f64 / age.as_secs_f64()
        } else {
            let keep = 0.5f64.powf(elapsed / HALF_LIFE);
            self.rate * keep + self.pending as f64 / elapsed * (1.0 - keep)
        };
        self.pending = 0;
        self.since = now;
    }

    /// Forgets the past: nothing is coming in at the moment.
    pub(crate) fn stop(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// When the rate is to be [stopped](Self::stop), unless bytes come before: a rate is told of bytes that are coming.
    pub(crate) fn lull(&self) -> Option<Instant> {
        (self.counted > 0).then(|| self.heard + LULL)
    }

    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Time for `missing` bytes, once the rate has settled.
    pub(crate) fn eta(&self, missing: u64) -> Option<Duration> {
        let settled = self.since.saturating_duration_since(self.started) >= SETTLING;
        (settled && self.rate >= 1.0)
            .then(|| Duration::try_from_secs_f64(missing as f64 / self.rate).ok())
            .flatten()
    }
}

const HALF_LIFE: f64 = 5.0;
const SETTLING: Duration = Duration::from_secs(3);
/// Longer than a healthy transfer keeps silent, and shorter than anyone wants to be told of bytes that do not come.
const LULL: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use retry_kit::{Clock, ManualClock};

    #[test]
    fn the_rate_follows_what_arrives_and_the_eta_waits_until_it_means_something() {
        let clock = ManualClock::new();
        let mut meter = RateMeter::new(clock.now());
        let mut run = |rate: u64, seconds: u32| {
            for _ in 0..seconds * 5 {
                clock.advance(Duration::from_millis(200));
                meter.add(clock.now(), rate / 5);
            }
            (meter.rate(), meter.eta(10_000))
        };
        let (rate, eta) = run(1000, 1);
        assert!((rate - 1000.0).abs() < 1.0 && eta.is_none(), "{rate} {eta:?}");
        let (rate, eta) = run(1000, 3);
        assert!((rate - 1000.0).abs() < 1.0, "{rate}");
        assert_eq!(eta.unwrap().as_secs(), 10);
        let (rate, _) = run(3000, 5);
        assert!((rate - 2000.0).abs() < 50.0, "half-way after one half-life, not {rate}");
        meter.stop(clock.now());
        assert_eq!(meter.rate(), 0.0);
    }

    #[test]
    fn a_burst_at_the_start_does_not_stay_in_the_rate() {
        const LIMIT: u64 = 2 << 20;
        let clock = ManualClock::new();
        let mut meter = RateMeter::new(clock.now());
        let mut shown = Vec::new();
        for tenth in 0..80 {
            clock.advance(Duration::from_millis(100));
            // A limit starts with a quarter of a second in hand.
            let burst = if tenth == 0 { LIMIT / 4 } else { 0 };
            meter.add(clock.now(), LIMIT / 10 + burst);
            shown.push(meter.rate() / LIMIT as f64);
        }
        assert!(shown[9] < 1.3, "after a second {}", shown[9]);
        assert!(shown[29] < 1.1, "after three seconds {}", shown[29]);
        assert!(shown[79] < 1.05, "after eight seconds {}", shown[79]);
    }

    #[test]
    fn a_rate_stands_for_five_seconds_after_the_last_bytes() {
        let clock = ManualClock::new();
        let mut meter = RateMeter::new(clock.now());
        assert_eq!(meter.lull(), None, "there is nothing to take back");
        clock.advance(Duration::from_secs(1));
        meter.add(clock.now(), 1000);
        assert_eq!(meter.lull(), Some(clock.now() + Duration::from_secs(5)));
        meter.stop(clock.now());
        assert_eq!((meter.rate(), meter.lull()), (0.0, None));
    }

    #[test]
    fn bytes_that_come_late_count_for_the_whole_wait() {
        let clock = ManualClock::new();
        let mut meter = RateMeter::new(clock.now());
        clock.advance(Duration::from_secs(10));
        meter.add(clock.now(), 10_000);
        assert_eq!(meter.rate(), 1000.0);
    }
}
