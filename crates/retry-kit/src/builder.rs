//! Building a [`RetryPolicy`], step by step, with the nonsense refused.

use std::num::NonZeroU32;
use std::time::Duration;

use thiserror::Error;

use crate::backoff::Backoff;
use crate::jitter::Jitter;
use crate::policy::RetryPolicy;

/// What [`RetryPolicy::builder`] returns. Whatever is not set keeps its default.
///
/// ```
/// use std::time::Duration;
/// use retry_kit::{Jitter, RetryPolicy};
///
/// let policy = RetryPolicy::builder()
///     .base(Duration::from_millis(250))
///     .cap(Duration::from_secs(20))
///     .jitter(Jitter::Equal)
///     .max_attempts(8)
///     .build()?;
/// assert_eq!(policy.backoff.ceiling(2), Duration::from_millis(500));
/// # Ok::<(), retry_kit::PolicyError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct RetryPolicyBuilder {
    max_attempts: u32,
    base: Duration,
    cap: Duration,
    jitter: Jitter,
    max_retry_after: Duration,
    attempts_reset_bytes: u64,
}

impl RetryPolicyBuilder {
    /// Attempts in all, the first one included. Default 5.
    pub fn max_attempts(self, max_attempts: u32) -> Self {
        Self { max_attempts, ..self }
    }

    /// The bound of the first delay; zero retries at once. Default 1 s.
    pub fn base(self, base: Duration) -> Self {
        Self { base, ..self }
    }

    /// The bound of every delay the peer did not ask for. Default 60 s.
    pub fn cap(self, cap: Duration) -> Self {
        Self { cap, ..self }
    }

    /// How chance enters a delay. Default [`Jitter::Full`].
    pub fn jitter(self, jitter: Jitter) -> Self {
        Self { jitter, ..self }
    }

    /// The longest `Retry-After` that is slept off; a longer one defers. Default 5 min.
    pub fn max_retry_after(self, max_retry_after: Duration) -> Self {
        Self { max_retry_after, ..self }
    }

    /// Durable progress, in bytes, that makes the count of failures start over; zero: none does. Default 1 MiB.
    pub fn attempts_reset_bytes(self, attempts_reset_bytes: u64) -> Self {
        Self { attempts_reset_bytes, ..self }
    }

    /// Checks what was set.
    ///
    /// # Errors
    /// [`PolicyError::NoAttempts`] for zero attempts: not even the first try could be made.
    /// [`PolicyError::CapBelowBase`] if the cap would overrule every delay.
    pub fn build(self) -> Result<RetryPolicy, PolicyError> {
        let Self { max_attempts, base, cap, jitter, max_retry_after, attempts_reset_bytes } = self;
        let max_attempts = NonZeroU32::new(max_attempts).ok_or(PolicyError::NoAttempts)?;
        if cap < base {
            return Err(PolicyError::CapBelowBase { base, cap });
        }
        let backoff = Backoff::new(base, cap).jitter(jitter);
        Ok(RetryPolicy { max_attempts, backoff, max_retry_after, attempts_reset_bytes })
    }
}

impl Default for RetryPolicyBuilder {
    fn default() -> Self {
        let RetryPolicy { max_attempts, backoff, max_retry_after, attempts_reset_bytes } =
            RetryPolicy::default();
        Self {
            max_attempts: max_attempts.get(),
            base: backoff.base(),
            cap: backoff.cap(),
            jitter: Jitter::default(),
            max_retry_after,
            attempts_reset_bytes,
        }
    }
}

/// Why a policy makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// Attempts count from 1.
    #[error("at least one attempt is needed")]
    NoAttempts,
    /// The bound of every delay lies below the bound of the first.
    #[error("the cap of {cap:?} lies below the base of {base:?}")]
    CapBelowBase {
        /// The bound of the first delay.
        base: Duration,
        /// The bound of every delay.
        cap: Duration,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_untouched_builder_builds_the_default() {
        assert_eq!(RetryPolicy::builder().build(), Ok(RetryPolicy::default()));
    }

    #[test]
    fn nonsense_is_refused_with_what_is_wrong() {
        let refused = RetryPolicy::builder().max_attempts(0).build().expect_err("zero attempts");
        assert_eq!(refused, PolicyError::NoAttempts);
        assert_eq!(refused.to_string(), "at least one attempt is needed");

        let (base, cap) = (Duration::from_secs(2), Duration::from_millis(500));
        let refused = RetryPolicy::builder().base(base).cap(cap).build().expect_err("cap below base");
        assert_eq!(refused, PolicyError::CapBelowBase { base, cap });
        assert_eq!(refused.to_string(), "the cap of 500ms lies below the base of 2s");
    }

    #[test]
    fn extremes_that_make_sense_are_accepted() {
        for builder in [
            RetryPolicy::builder().max_attempts(1),
            RetryPolicy::builder().max_attempts(u32::MAX),
            RetryPolicy::builder().base(Duration::ZERO).cap(Duration::ZERO),
            RetryPolicy::builder().cap(Duration::MAX).base(Duration::MAX),
            RetryPolicy::builder().max_retry_after(Duration::ZERO),
            RetryPolicy::builder().attempts_reset_bytes(0),
        ] {
            builder.build().expect("sensible");
        }
    }
}
