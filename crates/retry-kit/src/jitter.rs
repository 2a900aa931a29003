//! How much of a ceiling is slept.

use std::time::Duration;

/// How chance enters a delay. Whatever the choice, no delay exceeds the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Jitter {
    /// Uniform in `0..=ceiling`. Spreads a crowd best, and may well retry at once.
    #[default]
    Full,
    /// Half the ceiling, and uniform in the other half: never a hot retry.
    Equal,
    /// Uniform between the base and three times the previous delay: grows by chance, not by count.
    Decorrelated,
    /// The ceiling itself. For one lonely caller: a crowd that fails together retries together.
    None,
}

/// Uniform in `low..=high`, to the nanosecond; `high` if that is the smaller one.
pub(crate) fn uniform(low: Duration, high: Duration, rng: &mut fastrand::Rng) -> Duration {
    if low >= high { high } else { from_nanos(rng.u128(low.as_nanos()..=high.as_nanos())) }
}

/// The duration of that many nanoseconds, saturating.
pub(crate) fn from_nanos(nanos: u128) -> Duration {
    match u64::try_from(nanos / NANOS_PER_SEC) {
        Ok(seconds) => Duration::new(seconds, (nanos % NANOS_PER_SEC) as u32),
        Err(_) => Duration::MAX,
    }
}

const NANOS_PER_SEC: u128 = 1_000_000_000;
