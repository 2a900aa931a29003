//! Why a download ended without its file, in the words of events and rows, with the exit code each one means.

use resume_fetch::{AnswerError, AttemptError, FetchErrorKind};

use crate::exit::Exit;

/// A failed download in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// An attempt failed and another follows.
    Retrying,
    /// The peer does not have the file (any more): 404, 410.
    NotFound,
    /// The peer refused our key: 401, 403, 407.
    KeyRefused,
    /// The peer refused for another lasting reason.
    Rejected,
    /// Larger than `max_size`.
    TooLarge,
    /// Not the size that was asked for.
    SizeMismatch,
    /// Not the digest that was asked for.
    DigestMismatch,
    /// The peer's answers kept contradicting each other.
    Inconsistent,
    /// Nobody answered, in all attempts.
    Unreachable,
    /// Attempts are used up on failures that may pass.
    AttemptsExhausted,
    /// The peer named a time to come back.
    Deferred,
    /// The target exists and may not be replaced.
    DestinationExists,
    /// The local disk is full.
    DiskFull,
    /// The local disk refused otherwise.
    LocalIo,
    /// The peer is not configured (any more).
    PeerUnknown,
    /// Another download has taken its place.
    Superseded,
    /// Asked to stop.
    Stopped,
}

impl Failure {
    /// Every failure, for look-ups and documentation.
    pub const ALL: [Failure; 17] = [
        Self::Retrying,
        Self::NotFound,
        Self::KeyRefused,
        Self::Rejected,
        Self::TooLarge,
        Self::SizeMismatch,
        Self::DigestMismatch,
        Self::Inconsistent,
        Self::Unreachable,
        Self::AttemptsExhausted,
        Self::Deferred,
        Self::DestinationExists,
        Self::DiskFull,
        Self::LocalIo,
        Self::PeerUnknown,
        Self::Superseded,
        Self::Stopped,
    ];

    /// Sorts what the engine reports.
    pub fn of(error: &FetchErrorKind) -> Self {
        match error {
            FetchErrorKind::Permanent(last) => Self::of_attempt(last),
            FetchErrorKind::Exhausted { last: AttemptError::Transport(error), .. }
                if error.is_unreachable() =>
            {
                Self::Unreachable
            }
            FetchErrorKind::Exhausted { .. } => Self::AttemptsExhausted,
            FetchErrorKind::Deferred { .. } => Self::Deferred,
            FetchErrorKind::RestartLoop { .. } => Self::Inconsistent,
            FetchErrorKind::DigestMismatch { .. } => Self::DigestMismatch,
            FetchErrorKind::AlreadyExists(_) => Self::DestinationExists,
            FetchErrorKind::Local(error) if error.is_full() => Self::DiskFull,
            FetchErrorKind::Local(_) | FetchErrorKind::Ledger(_) => Self::LocalIo,
            FetchErrorKind::Stopped => Self::Stopped,
            _ => Self::Rejected,
        }
    }

    fn of_attempt(error: &AttemptError) -> Self {
        match error {
            AttemptError::Answer(AnswerError::TooLarge { .. }) | AttemptError::Oversize { .. } => {
                Self::TooLarge
            }
            AttemptError::Answer(AnswerError::SizeMismatch { .. }) => Self::SizeMismatch,
            AttemptError::Local(error) if error.is_full() => Self::DiskFull,
            AttemptError::Local(_) => Self::LocalIo,
            AttemptError::Transport(error) if error.is_unreachable() => Self::Unreachable,
            _ => match error.status().map(|status| status.as_u16()) {
                Some(404 | 410) => Self::NotFound,
                Some(401 | 403 | 407) => Self::KeyRefused,
                _ => Self::Rejected,
            },
        }
    }

    /// The word in `error.kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retrying => "retrying",
            Self::NotFound => "not-found",
            Self::KeyRefused => "key-refused",
            Self::Rejected => "rejected",
            Self::TooLarge => "too-large",
            Self::SizeMismatch => "size-mismatch",
            Self::DigestMismatch => "digest-mismatch",
            Self::Inconsistent => "inconsistent",
            Self::Unreachable => "unreachable",
            Self::AttemptsExhausted => "attempts-exhausted",
            Self::Deferred => "deferred",
            Self::DestinationExists => "destination-exists",
            Self::DiskFull => "disk-full",
            Self::LocalIo => "local-io",
            Self::PeerUnknown => "peer-unknown",
            Self::Superseded => "superseded",
            Self::Stopped => "stopped",
        }
    }

    /// The failure a row names, read back.
    pub fn from_kind(kind: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|failure| failure.as_str() == kind)
    }

    /// The exit code of a command that waited for this download.
    pub const fn exit(self) -> Exit {
        match self {
            Self::NotFound | Self::Rejected | Self::TooLarge | Self::Inconsistent | Self::PeerUnknown => {
                Exit::Failed
            }
            Self::KeyRefused => Exit::KeyRefused,
            Self::SizeMismatch | Self::DigestMismatch => Exit::Data,
            Self::Unreachable => Exit::Unreachable,
            Self::Retrying | Self::AttemptsExhausted | Self::Deferred => Exit::TryLater,
            Self::DestinationExists | Self::Superseded => Exit::General,
            Self::DiskFull | Self::LocalIo => Exit::LocalIo,
            Self::Stopped => Exit::Interrupted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_reads_back_from_its_word() {
        for failure in Failure::ALL {
            assert_eq!(Failure::from_kind(failure.as_str()), Some(failure));
        }
        assert_eq!(Failure::from_kind("bad-luck"), None);
    }
}
