//! What follows from a failure: again, later, or never.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::attempts::Attempts;
use crate::backoff::Backoff;
use crate::builder::RetryPolicyBuilder;
use crate::jitter::uniform;

/// How often to try, and how long to wait in between.
///
/// ```
/// use std::time::Duration;
/// use retry_kit::{Attempts, DelaySource, Next, RetryPolicy};
///
/// let policy = RetryPolicy::default();
/// let mut attempts = Attempts::default();
/// let mut rng = fastrand::Rng::with_seed(7);
///
/// let hint = Some(Duration::from_secs(120));
/// match policy.after_failure(&mut attempts, hint, &mut rng) {
///     Next::Retry { attempt, delay, source } => {
///         assert_eq!((attempt, source), (1, DelaySource::RetryAfter));
///         assert!(delay >= Duration::from_secs(120) && delay <= Duration::from_secs(125));
///     }
///     other => unreachable!("{other:?}"),
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryPolicy {
    /// Attempts in all, the first one included.
    pub max_attempts: NonZeroU32,
    /// How long to wait when the peer does not say.
    pub backoff: Backoff,
    /// The longest hint that is slept off; a longer one is [`Next::Deferred`].
    pub max_retry_after: Duration,
    /// Durable progress, in bytes, that makes the count of failures start over. Zero: none does.
    pub attempts_reset_bytes: u64,
}

impl RetryPolicy {
    /// Starts from the defaults.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder::default()
    }

    /// Counts a transient failure and decides what to do about it.
    ///
    /// `hint` is what the peer asked for, usually from [`retry_after`](crate::retry_after()). It is a floor: the wait
    /// is the longer one of hint and backoff, plus up to a tenth of the hint (5 s at most), so that those who were
    /// turned away together do not come back together. A hint of zero is none.
    pub fn after_failure(
        &self,
        attempts: &mut Attempts,
        hint: Option<Duration>,
        rng: &mut fastrand::Rng,
    ) -> Next {
        let attempt = attempts.fail();
        if attempt >= self.max_attempts.get() {
            return Next::GiveUp { attempts: attempt };
        }
        let backoff = self.backoff.delay(attempt, rng);
        let Some(hint) = hint.filter(|hint| !hint.is_zero()) else {
            return Next::Retry { attempt, delay: backoff, source: DelaySource::Backoff };
        };
        let source = if hint >= backoff { DelaySource::RetryAfter } else { DelaySource::Backoff };
        let spread = uniform(Duration::ZERO, (hint / 10).min(MAX_HINT_JITTER), rng);
        let delay = hint.max(backoff).saturating_add(spread);
        if hint > self.max_retry_after {
            Next::Deferred { attempt, delay, source }
        } else {
            Next::Retry { attempt, delay, source }
        }
    }
}

/// Five attempts, one second to one minute with full jitter, hints up to five minutes, reset by 1 MiB of progress.
impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: const { NonZeroU32::new(5).expect("five is not zero") },
            backoff: Backoff::default(),
            max_retry_after: Duration::from_secs(5 * 60),
            attempts_reset_bytes: 1 << 20,
        }
    }
}

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Next {
    /// Wait for `delay`, then try again.
    Retry {
        /// The failures so far, counted from 1.
        attempt: u32,
        /// How long to wait.
        delay: Duration,
        /// Where the delay comes from.
        source: DelaySource,
    },
    /// The peer wants to be left alone for longer than we care to sit and wait: put the work aside and free what it
    /// holds. The time is the peer's, not clamped: asking earlier would be asking uninvited.
    Deferred {
        /// The failures so far, counted from 1.
        attempt: u32,
        /// How long to stay away.
        delay: Duration,
        /// Where the delay comes from.
        source: DelaySource,
    },
    /// That was the last attempt.
    GiveUp {
        /// The failures, all counted.
        attempts: u32,
    },
}

/// Who decided how long to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DelaySource {
    /// Our own schedule.
    Backoff,
    /// The peer (RFC 9110 §10.2.3).
    RetryAfter,
}

impl DelaySource {
    /// `backoff` or `retry-after`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backoff => "backoff",
            Self::RetryAfter => "retry-after",
        }
    }
}

impl std::fmt::Display for DelaySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Enough to part a crowd, little enough that nobody calls it late.
const MAX_HINT_JITTER: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jitter::Jitter;

    const SECOND: Duration = Duration::from_secs(1);

    /// Delays without chance, so that a table can name them.
    fn policy() -> RetryPolicy {
        RetryPolicy { backoff: Backoff::default().jitter(Jitter::None), ..RetryPolicy::default() }
    }

    fn after(failures: u32, hint: Option<Duration>) -> Next {
        let mut rng = fastrand::Rng::with_seed(3);
        policy().after_failure(&mut Attempts::from_failures(failures), hint, &mut rng)
    }

    #[test]
    fn the_defaults_are_five_attempts_from_one_second_to_one_minute() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.max_attempts.get(), 5);
        assert_eq!(policy.backoff, Backoff::new(SECOND, 60 * SECOND).jitter(Jitter::Full));
        assert_eq!(policy.max_retry_after, 300 * SECOND);
        assert_eq!(policy.attempts_reset_bytes, 1_048_576);
    }

    #[test]
    fn without_a_hint_the_schedule_decides() {
        for (failures, seconds) in [(0, 1), (1, 2), (2, 4), (3, 8)] {
            let expected =
                Next::Retry { attempt: failures + 1, delay: seconds * SECOND, source: DelaySource::Backoff };
            assert_eq!(after(failures, None), expected);
            assert_eq!(after(failures, Some(Duration::ZERO)), expected, "a hint of zero is none");
        }
    }

    #[test]
    fn the_last_allowed_failure_gives_up_whatever_the_peer_says() {
        for hint in [None, Some(SECOND), Some(Duration::MAX)] {
            assert_eq!(after(4, hint), Next::GiveUp { attempts: 5 });
            assert_eq!(after(u32::MAX, hint), Next::GiveUp { attempts: u32::MAX });
        }
    }

    #[test]
    fn a_hint_is_a_floor_with_a_little_jitter_on_top() {
        let retry = |least: Duration, most: Duration, source| (false, least, most, source);
        let deferred = |least: Duration, most: Duration| (true, least, most, DelaySource::RetryAfter);
        let ms = Duration::from_millis;
        for (failures, hint, expected, because) in [
            (0, 10 * SECOND, retry(10 * SECOND, 11 * SECOND, DelaySource::RetryAfter), "a tenth on top"),
            (
                0,
                200 * SECOND,
                retry(200 * SECOND, 205 * SECOND, DelaySource::RetryAfter),
                "five seconds at most",
            ),
            (0, SECOND, retry(SECOND, ms(1100), DelaySource::RetryAfter), "equal to the backoff: the peer's"),
            (3, SECOND, retry(8 * SECOND, ms(8100), DelaySource::Backoff), "the longer backoff wins"),
            (
                0,
                300 * SECOND,
                retry(300 * SECOND, 305 * SECOND, DelaySource::RetryAfter),
                "the limit is allowed",
            ),
            (0, ms(300_001), deferred(ms(300_001), ms(305_001)), "above the limit, and not clamped to it"),
            (0, Duration::MAX, deferred(Duration::MAX, Duration::MAX), "saturates"),
        ] {
            let (is_deferred, attempt, delay, source) = match after(failures, Some(hint)) {
                Next::Retry { attempt, delay, source } => (false, attempt, delay, source),
                Next::Deferred { attempt, delay, source } => (true, attempt, delay, source),
                Next::GiveUp { .. } => panic!("{hint:?}: {because}"),
            };
            let (expect_deferred, least, most, expect_source) = expected;
            assert_eq!(
                (is_deferred, attempt, source),
                (expect_deferred, failures + 1, expect_source),
                "{because}"
            );
            assert!(least <= delay && delay <= most, "{hint:?} gave {delay:?}: {because}");
        }
    }

    #[test]
    fn no_hint_is_ever_undercut() {
        let mut rng = fastrand::Rng::with_seed(4);
        for _ in 0..10_000 {
            let hint = Duration::from_millis(rng.u64(1..=400_000));
            let next = RetryPolicy::default().after_failure(&mut Attempts::default(), Some(hint), &mut rng);
            let (Next::Retry { delay, .. } | Next::Deferred { delay, .. }) = next else { panic!("{next:?}") };
            let backoff = SECOND;
            assert!(
                delay >= hint && delay <= hint.max(backoff) + (hint / 10).min(5 * SECOND),
                "{hint:?}: {delay:?}"
            );
        }
    }
}
