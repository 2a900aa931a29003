//! Exponential backoff: how long to wait after the n-th failure in a row.

use std::iter::FusedIterator;
use std::time::Duration;

use crate::jitter::{Jitter, from_nanos, uniform};

/// The ceiling doubles from `base` to `cap`; [`Jitter`] decides how much of it is slept.
///
/// ```
/// use std::time::Duration;
/// use retry_kit::Backoff;
///
/// let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
/// let ceilings: Vec<u64> = (1..=8).map(|n| backoff.ceiling(n).as_secs()).collect();
/// assert_eq!(ceilings, [1, 2, 4, 8, 16, 32, 60, 60]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backoff {
    base: Duration,
    cap: Duration,
    jitter: Jitter,
}

impl Backoff {
    /// Waits at most `base` after the first failure and never longer than `cap`, with full jitter.
    ///
    /// A `base` of zero never waits; one above `cap` always means `cap`.
    #[must_use]
    pub const fn new(base: Duration, cap: Duration) -> Self {
        Self { base, cap, jitter: Jitter::Full }
    }

    /// The same ceilings with another jitter.
    #[must_use]
    pub const fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The most that is waited after the `n`-th failure in a row, counted from 1: `min(cap, base · 2^(n−1))`, exact for
    /// every `n`. Zero reads as 1.
    #[must_use]
    pub fn ceiling(&self, n: u32) -> Duration {
        if self.base.is_zero() {
            return Duration::ZERO;
        }
        // In u128 the product is exact or far above every Duration, so the cap is the only bound.
        let factor = 1_u128.checked_shl(n.saturating_sub(1));
        factor
            .and_then(|factor| self.base.as_nanos().checked_mul(factor))
            .map_or(self.cap, |nanos| from_nanos(nanos).min(self.cap))
    }

    /// The wait after the `n`-th failure in a row, counted from 1.
    ///
    /// [`Jitter::Decorrelated`] needs the delay before, which nobody handed in: it walks there from the base again.
    /// [`delays`](Backoff::delays) remembers instead.
    #[must_use]
    pub fn delay(&self, n: u32, rng: &mut fastrand::Rng) -> Duration {
        // Jitter after the cap: the other way round, `cap` would stop being a maximum.
        let ceiling = self.ceiling(n);
        match self.jitter {
            Jitter::Full => uniform(Duration::ZERO, ceiling, rng),
            Jitter::Equal => uniform(ceiling / 2, ceiling, rng),
            Jitter::Decorrelated => {
                (0..n.clamp(1, LONGEST_WALK)).fold(self.base, |delay, _| self.step(delay, rng))
            }
            Jitter::None => ceiling,
        }
    }

    /// The delays after the first, second, third failure and so on, without end.
    #[must_use]
    pub fn delays(self, rng: fastrand::Rng) -> Delays {
        Delays { backoff: self, rng, failures: 0, previous: self.base }
    }

    /// The bound of the first delay.
    #[must_use]
    pub const fn base(&self) -> Duration {
        self.base
    }

    /// The bound of every delay.
    #[must_use]
    pub const fn cap(&self) -> Duration {
        self.cap
    }

    /// One step of the decorrelated walk.
    fn step(&self, previous: Duration, rng: &mut fastrand::Rng) -> Duration {
        uniform(self.base, previous.saturating_mul(3).min(self.cap), rng)
    }
}

/// One second, capped at one minute, full jitter.
impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60))
    }
}

/// What [`Backoff::delays`] returns.
#[derive(Debug, Clone)]
pub struct Delays {
    backoff: Backoff,
    rng: fastrand::Rng,
    failures: u32,
    previous: Duration,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        self.previous = match self.backoff.jitter {
            Jitter::Decorrelated => self.backoff.step(self.previous, &mut self.rng),
            Jitter::Full | Jitter::Equal | Jitter::None => self.backoff.delay(self.failures, &mut self.rng),
        };
        Some(self.previous)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

impl FusedIterator for Delays {}

/// A walk this long has forgotten where it began; taking more steps would only cost time.
const LONGEST_WALK: u32 = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceilings_double_from_the_base_to_the_cap() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        for (base, cap, n, expected, because) in [
            (second, minute, 1, second, "the first failure waits the base"),
            (second, minute, 0, second, "there is no failure before the first"),
            (second, minute, 6, Duration::from_secs(32), "five doublings"),
            (second, minute, 7, minute, "64 s exceed the cap"),
            (second, minute, 32, minute, "the shift of a u32 would wrap here"),
            (second, minute, 65, minute, "the shift of a u64 would wrap here"),
            (second, minute, 129, minute, "the shift of a u128 would wrap here"),
            (second, minute, u32::MAX, minute, "no attempt number is too large"),
            (second, Duration::MAX, u32::MAX, Duration::MAX, "an absent cap saturates"),
            (Duration::MAX, Duration::MAX, 2, Duration::MAX, "so does an absurd base"),
            (minute, second, 1, second, "the cap wins over the base"),
            (second, Duration::ZERO, 3, Duration::ZERO, "a cap of zero never waits"),
            (
                Duration::ZERO,
                minute,
                u32::MAX,
                Duration::ZERO,
                "nor does a base of zero, however often doubled",
            ),
            (Duration::from_nanos(1), minute, 34, Duration::from_nanos(1 << 33), "exact beyond 32 doublings"),
        ] {
            let ceiling = Backoff::new(base, cap).ceiling(n);
            assert_eq!(ceiling, expected, "{base:?}, {cap:?}, n = {n}: {because}");
        }
    }

    #[test]
    fn the_ceiling_never_falls_and_never_exceeds_the_cap() {
        let mut rng = fastrand::Rng::with_seed(1);
        for _ in 0..500 {
            let (base, cap) = (any_duration(&mut rng), any_duration(&mut rng));
            let backoff = Backoff::new(base, cap);
            let mut numbers: Vec<u32> = (0..20).map(|_| rng.u32(..) >> rng.u32(..32)).collect();
            numbers.extend([0, 1, u32::MAX]);
            numbers.sort_unstable();
            let ceilings: Vec<Duration> = numbers.iter().map(|&n| backoff.ceiling(n)).collect();
            assert!(ceilings.is_sorted(), "{base:?}, {cap:?}: {ceilings:?}");
            assert!(ceilings.iter().all(|ceiling| *ceiling <= cap), "{base:?}, {cap:?}: {ceilings:?}");
            assert_eq!(backoff.ceiling(1), base.min(cap));
        }
    }

    #[test]
    fn no_delay_leaves_the_range_of_its_jitter() {
        let mut rng = fastrand::Rng::with_seed(2);
        for _ in 0..2000 {
            let (base, cap) = (any_duration(&mut rng), any_duration(&mut rng));
            let n = rng.u32(..) >> rng.u32(..32);
            let ceiling = Backoff::new(base, cap).ceiling(n);
            for (jitter, least, most) in [
                (Jitter::Full, Duration::ZERO, ceiling),
                (Jitter::Equal, ceiling / 2, ceiling),
                (Jitter::Decorrelated, base.min(cap), cap),
                (Jitter::None, ceiling, ceiling),
            ] {
                let delay = Backoff::new(base, cap).jitter(jitter).delay(n, &mut rng);
                assert!(
                    least <= delay && delay <= most,
                    "{jitter:?} of {base:?}, {cap:?}, n = {n}: {delay:?}"
                );
            }
        }
    }

    /// Of any order of magnitude.
    fn any_duration(rng: &mut fastrand::Rng) -> Duration {
        from_nanos(rng.u128(..=Duration::MAX.as_nanos()) >> rng.u32(..94))
    }
}
