//! How often in a row something has failed.

/// Counts the failures that had too little durable progress in between.
///
/// A transfer that moves on with every attempt may fail as often as it likes; one that stands still, or drips a byte
/// per attempt, runs out.
///
/// ```
/// use retry_kit::Attempts;
///
/// let mut attempts = Attempts::from_failures(3);
/// attempts.progress(600_000, 1_000_000);
/// assert_eq!(attempts.failures(), 3);
/// attempts.progress(600_000, 1_000_000);
/// assert_eq!(attempts.failures(), 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attempts {
    failures: u32,
    /// Durable bytes since the last failure.
    gained: u64,
}

impl Attempts {
    /// Continues a count that was stored somewhere.
    #[must_use]
    pub const fn from_failures(failures: u32) -> Self {
        Self { failures, gained: 0 }
    }

    /// Adds `bytes` that became durable since the last call. Once the sum since the last failure reaches `reset_at`,
    /// the count starts over. A `reset_at` of zero never resets.
    pub fn progress(&mut self, bytes: u64, reset_at: u64) {
        self.gained = self.gained.saturating_add(bytes);
        if reset_at > 0 && self.gained >= reset_at {
            self.failures = 0;
        }
    }

    /// Counts one failure and returns how many there are now.
    pub fn fail(&mut self) -> u32 {
        self.gained = 0;
        self.failures = self.failures.saturating_add(1);
        self.failures
    }

    /// The failures so far.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_progress_since_the_last_failure_starts_over() {
        for (steps, reset_at, expected, because) in [
            (&[100][..], 100, 0, "exactly enough"),
            (&[99], 100, 2, "one byte short"),
            (&[40, 40, 40], 100, 0, "progress adds up between two failures"),
            (&[u64::MAX, u64::MAX], u64::MAX, 0, "the sum saturates"),
            (&[u64::MAX], 0, 2, "zero switches the reset off"),
            (&[], 100, 2, "no progress, no reset"),
        ] {
            let mut attempts = Attempts::from_failures(2);
            for &bytes in steps {
                attempts.progress(bytes, reset_at);
            }
            assert_eq!(attempts.failures(), expected, "{steps:?} of {reset_at}: {because}");
        }
    }

    #[test]
    fn a_drip_does_not_add_up_across_failures() {
        let mut attempts = Attempts::default();
        for failures in 1..=10 {
            attempts.progress(99, 100);
            assert_eq!(attempts.fail(), failures);
        }
    }

    #[test]
    fn the_count_saturates() {
        let mut attempts = Attempts::from_failures(u32::MAX);
        assert_eq!(attempts.fail(), u32::MAX);
    }
}
