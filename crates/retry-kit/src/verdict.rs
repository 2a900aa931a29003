//! What a caller knows about its own errors.

use std::time::Duration;

/// Whether trying again may help, and what the failed attempt left behind.
///
/// A `bool` will do where there is nothing else to tell: `true` is transient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Trying again may help.
    Transient {
        /// How long the peer asks us to stay away.
        hint: Option<Duration>,
        /// Bytes the attempt made durable before it failed.
        progress: u64,
    },
    /// It will not: the error is returned at once.
    Permanent,
}

impl Verdict {
    /// Trying again may help.
    #[must_use]
    pub const fn transient() -> Self {
        Self::Transient { hint: None, progress: 0 }
    }

    /// Adds what the peer asked for. Nothing makes a permanent failure transient.
    #[must_use]
    pub const fn with_hint(self, hint: Option<Duration>) -> Self {
        match self {
            Self::Transient { progress, .. } => Self::Transient { hint, progress },
            Self::Permanent => Self::Permanent,
        }
    }

    /// Adds the bytes that became durable. Nothing makes a permanent failure transient.
    #[must_use]
    pub const fn with_progress(self, progress: u64) -> Self {
        match self {
            Self::Transient { hint, .. } => Self::Transient { hint, progress },
            Self::Permanent => Self::Permanent,
        }
    }
}

impl From<bool> for Verdict {
    fn from(transient: bool) -> Self {
        if transient { Self::transient() } else { Self::Permanent }
    }
}
