//! Bytes per second.

use std::fmt;
use std::num::NonZeroU64;

/// How fast bytes may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rate(Option<NonZeroU64>);

impl Rate {
    /// As fast as they can.
    #[must_use]
    pub const fn unlimited() -> Self {
        Self(None)
    }

    /// At most so many bytes per second.
    #[must_use]
    pub const fn per_second(bytes: NonZeroU64) -> Self {
        Self(Some(bytes))
    }

    /// The limit in bytes per second, if there is one.
    #[must_use]
    pub const fn bytes_per_second(self) -> Option<NonZeroU64> {
        self.0
    }

    /// The slower one of two.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        match (self.0, other.0) {
            (Some(this), Some(that)) => Self(Some(this.min(that))),
            (limit, None) | (None, limit) => Self(limit),
        }
    }
}

impl From<Option<NonZeroU64>> for Rate {
    fn from(bytes_per_second: Option<NonZeroU64>) -> Self {
        Self(bytes_per_second)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(bytes) => write!(f, "{bytes} B/s"),
            None => f.pad("unlimited"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_in_a_configuration_is_no_limit() {
        assert_eq!(Rate::from(NonZeroU64::new(0)), Rate::unlimited());
    }

    #[test]
    fn the_slower_of_two_rates_is_the_limited_one() {
        let [slow, fast] = [10, 20].map(|bytes| Rate::from(NonZeroU64::new(bytes)));
        for (one, other, slower) in [
            (slow, fast, slow),
            (fast, slow, slow),
            (slow, Rate::unlimited(), slow),
            (Rate::unlimited(), fast, fast),
            (Rate::unlimited(), Rate::unlimited(), Rate::unlimited()),
        ] {
            assert_eq!(one.min(other), slower, "{one} and {other}");
        }
    }
}
