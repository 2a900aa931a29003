//! The arithmetic of a rate limit: no clock, no lock, no rounding.

use std::time::Instant;

use crate::clock::saturating_add;
use crate::jitter::from_nanos;
use crate::rate::Rate;

/// Bytes one may send now, growing with time up to one burst.
///
/// In any stretch of time `t` no more than `rate · t + burst` bytes are given out. An idle hour earns one burst, not an
/// hour's worth: the burst is 250 ms of the rate, and 64 KiB at least, so that a read of usual size never has to wait
/// for more than there can ever be.
///
/// Time is handed in and may repeat itself; going backwards counts as standing still.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    rate: Rate,
    /// In byte-nanoseconds, one byte being 10⁹ of them: rate times elapsed time is a whole number, nothing is lost to
    /// rounding however often one looks.
    credit: u128,
    updated: Instant,
}

impl TokenBucket {
    /// Starts with a full burst.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        let mut bucket = Self { rate, credit: 0, updated: now };
        bucket.credit = bucket.capacity();
        bucket
    }

    /// Takes as many bytes as there are, `up_to` at most, and returns how many that was.
    pub fn take(&mut self, up_to: u64, now: Instant) -> u64 {
        if self.rate.bytes_per_second().is_none() {
            return up_to;
        }
        let taken = self.available(now).min(up_to);
        self.credit -= u128::from(taken) * BYTE;
        taken
    }

    /// Puts back bytes that were taken and not used. What exceeds the burst is lost.
    pub fn refund(&mut self, bytes: u64) {
        self.credit = self.capacity().min(self.credit + u128::from(bytes) * BYTE);
    }

    /// Changes the rate from `now` on. Credit in hand stays, up to the new burst; a limit where there was none starts
    /// with a full burst.
    pub fn set_rate(&mut self, rate: Rate, now: Instant) {
        self.refill(now);
        let unlimited = self.rate.bytes_per_second().is_none();
        self.rate = rate;
        self.credit = if unlimited { self.capacity() } else { self.credit.min(self.capacity()) };
    }

    /// The bytes that can be taken at once; `u64::MAX` without a limit.
    #[must_use]
    pub fn available(&mut self, now: Instant) -> u64 {
        self.refill(now);
        match self.rate.bytes_per_second() {
            // At most a quarter of a u64, since the credit never exceeds one burst.
            Some(_) => (self.credit / BYTE) as u64,
            None => u64::MAX,
        }
    }

    /// When `bytes` will be available if nobody else takes any; for more than a burst, when a whole burst will be.
    #[must_use]
    pub fn ready_at(&mut self, bytes: u64, now: Instant) -> Instant {
        self.refill(now);
        let Some(rate) = self.rate.bytes_per_second() else { return now };
        let missing = (u128::from(bytes) * BYTE).min(self.capacity()).saturating_sub(self.credit);
        saturating_add(self.updated, from_nanos(missing.div_ceil(u128::from(rate.get()))))
    }

    /// The rate in force.
    #[must_use]
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// The most bytes an idle bucket holds; `u64::MAX` without a limit.
    #[must_use]
    pub fn burst(&self) -> u64 {
        self.rate.bytes_per_second().map_or(u64::MAX, |rate| (rate.get() / 4).max(MIN_BURST))
    }

    fn refill(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_nanos();
        let rate = self.rate.bytes_per_second().map_or(0, |rate| u128::from(rate.get()));
        self.credit = self.capacity().min(self.credit.saturating_add(rate.saturating_mul(elapsed)));
        self.updated = self.updated.max(now);
    }

    /// One burst in byte-nanoseconds.
    fn capacity(&self) -> u128 {
        u128::from(self.burst()) * BYTE
    }
}

const BYTE: u128 = 1_000_000_000;

/// A limit below 256 KiB/s still lets one read of usual size through at once.
const MIN_BURST: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Duration;

    use super::*;
    use crate::{Clock, ManualClock};

    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;

    fn rate(bytes: u64) -> Rate {
        Rate::from(NonZeroU64::new(bytes))
    }

    #[test]
    fn the_burst_is_a_quarter_second_and_never_below_64_kib() {
        let now = ManualClock::new().now();
        for (bytes, burst) in [
            (1, 64 * KIB),
            (256 * KIB, 64 * KIB),
            (256 * KIB + 4, 64 * KIB + 1),
            (8 * MIB, 2 * MIB),
            (u64::MAX, u64::MAX / 4),
        ] {
            assert_eq!(TokenBucket::new(rate(bytes), now).burst(), burst, "{bytes} B/s");
            assert_eq!(TokenBucket::new(rate(bytes), now).available(now), burst, "{bytes} B/s starts full");
        }
    }

    #[test]
    fn in_every_stretch_of_time_no_more_than_rate_times_time_plus_burst_goes_out() {
        let mut rng = fastrand::Rng::with_seed(6);
        let start = ManualClock::new().now();
        for _ in 0..60 {
            let limit = (rng.u64(1..) >> rng.u32(..63)).max(1);
            let mut bucket = TokenBucket::new(rate(limit), start);
            let burst = u128::from(bucket.burst());
            // (nanoseconds since the start, bytes until then); a take shows as two entries with the same time.
            let mut history = vec![(0_u128, 0_u128)];
            let (mut elapsed, mut total) = (Duration::ZERO, 0);
            for _ in 0..100 {
                elapsed += Duration::from_nanos(rng.u64(..=4_000_000_000) >> rng.u32(..32));
                let up_to = rng.u64(..) >> rng.u32(..64);
                history.push((elapsed.as_nanos(), total));
                total += u128::from(bucket.take(up_to, start + elapsed));
                history.push((elapsed.as_nanos(), total));
            }
            for (index, (since, before)) in history.iter().enumerate() {
                for (until, after) in &history[index..] {
                    let allowed = u128::from(limit) * (until - since) + burst * BYTE;
                    assert!((after - before) * BYTE <= allowed, "{limit} B/s: {since} to {until} ns");
                }
            }
        }
    }

    #[test]
    fn a_greedy_taker_gets_every_byte_the_rate_allows() {
        let start = ManualClock::new().now();
        for limit in [1, 3, 7, 999_999_937, 8 * MIB] {
            let mut bucket = TokenBucket::new(rate(limit), start);
            let burst = bucket.burst();
            let mut total = 0_u128;
            for step in 1..=20_000_u32 {
                let elapsed = step * Duration::from_nanos(333_333);
                total += u128::from(bucket.take(u64::MAX, start + elapsed));
                let earned = u128::from(burst) + u128::from(limit) * elapsed.as_nanos() / BYTE;
                // A full bucket earns nothing: the first step's share overflowed.
                let lost = u128::from(limit) * 333_333 / BYTE + 1;
                assert!(total <= earned && total + lost >= earned, "{limit} B/s: {total} of {earned}");
            }
        }
    }

    #[test]
    fn an_idle_day_earns_one_burst() {
        let start = ManualClock::new().now();
        let mut bucket = TokenBucket::new(rate(MIB), start);
        assert_eq!(bucket.take(u64::MAX, start), 256 * KIB);
        let tomorrow = start + Duration::from_secs(86_400);
        assert_eq!(bucket.take(u64::MAX, tomorrow), 256 * KIB);
        assert_eq!(bucket.take(u64::MAX, tomorrow), 0);
    }

    #[test]
    fn ready_at_is_exact_to_the_nanosecond() {
        let start = ManualClock::new().now();
        for limit in [1, 3, 1000, 8 * MIB, 999_999_937] {
            for bytes in [1, 2, 1000, 64 * KIB] {
                let mut bucket = TokenBucket::new(rate(limit), start);
                bucket.take(u64::MAX, start);
                let ready = bucket.ready_at(bytes, start);
                let mut early = bucket.clone();
                assert!(
                    early.available(ready - Duration::from_nanos(1)) < bytes,
                    "{bytes} at {limit} B/s: early"
                );
                assert!(bucket.available(ready) >= bytes, "{bytes} at {limit} B/s: on time");
            }
        }
    }

    #[test]
    fn more_than_a_burst_is_ready_when_the_bucket_is_full() {
        let start = ManualClock::new().now();
        let mut bucket = TokenBucket::new(rate(MIB), start);
        assert_eq!(bucket.ready_at(u64::MAX, start), start, "already full");
        bucket.take(u64::MAX, start);
        assert_eq!(bucket.ready_at(u64::MAX, start), start + Duration::from_millis(250));
    }

    #[test]
    fn a_refund_can_be_taken_again_but_never_exceeds_the_burst() {
        let start = ManualClock::new().now();
        let mut bucket = TokenBucket::new(rate(MIB), start);
        bucket.take(100 * KIB, start);
        bucket.refund(40 * KIB);
        assert_eq!(bucket.available(start), 196 * KIB);
        bucket.refund(u64::MAX);
        assert_eq!(bucket.available(start), 256 * KIB);
    }

    #[test]
    fn a_new_rate_counts_from_its_own_start() {
        let start = ManualClock::new().now();
        let mut bucket = TokenBucket::new(rate(MIB), start);
        bucket.take(u64::MAX, start);
        let later = start + Duration::from_millis(100);
        bucket.set_rate(rate(100 * KIB), later);
        assert_eq!(bucket.available(later), 64 * KIB, "100 ms at the old rate, cut to the new burst");
        bucket.take(u64::MAX, later);
        assert_eq!(bucket.available(later + Duration::from_millis(100)), 10 * KIB);

        bucket.set_rate(rate(MIB), later);
        assert!(bucket.available(later) < 64 * KIB, "a faster rate gives nothing for the past");
        bucket.set_rate(Rate::unlimited(), later);
        assert_eq!(bucket.take(u64::MAX, later), u64::MAX);
        assert_eq!(bucket.ready_at(u64::MAX, later), later);
        bucket.set_rate(rate(MIB), later);
        assert_eq!(bucket.available(later), 256 * KIB, "a limit where there was none starts full");
    }

    #[test]
    fn time_that_runs_backwards_stands_still() {
        let start = ManualClock::new().now();
        let later = start + Duration::from_secs(1);
        let mut bucket = TokenBucket::new(rate(MIB), later);
        bucket.take(u64::MAX, later);
        assert_eq!(bucket.available(start), 0);
        assert_eq!(bucket.available(later), 0, "the second is not counted twice");
        assert_eq!(bucket.ready_at(1, start), bucket.ready_at(1, later));
    }
}
