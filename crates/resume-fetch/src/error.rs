//! What can go wrong, sorted by who has to act: one enum for an answer, one for an attempt, one for a fetch.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use thiserror::Error;

use crate::ledger::LedgerError;
use crate::redirect::RedirectError;
use crate::restart_reason::RestartReason;
use crate::transport::TransportError;

/// Why a fetch ended without a published file. Everything received and recorded before is kept for the next call.
#[derive(Debug, Error)]
#[error("{kind}")]
pub struct FetchError {
    /// What happened.
    #[source]
    pub kind: FetchErrorKind,
    /// Durable bytes that the next call will not ask for again.
    pub bytes_kept: u64,
    /// Failures since the last real progress, this call's included; hand it to the next call.
    pub attempts: u32,
    /// The attempts of this call that failed, oldest first; of a great many, the last ones.
    pub history: Vec<FailedAttempt>,
}

/// One failed attempt, as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// When it ended.
    pub at: SystemTime,
    /// Bytes held at that moment.
    pub held: u64,
    /// What happened, in words.
    pub reason: String,
}

/// What ended a fetch.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// The attempt failed in a way that retrying does not mend.
    #[error("{0}")]
    Permanent(#[source] AttemptError),
    /// Transient failures used up the attempts.
    #[error("gave up after {attempts} attempts: {last}")]
    Exhausted {
        /// Attempts without enough progress in between.
        attempts: u32,
        /// The last failure, unchanged.
        #[source]
        last: AttemptError,
    },
    /// The wait is longer than the caller wants to hold on for; call again after it.
    #[error("to be tried again in {}: {last}", seconds(.delay))]
    Deferred {
        /// How long to wait before the next call.
        delay: Duration,
        /// Whether the peer named the time.
        source_of_delay: retry_kit::DelaySource,
        /// The failure that led here.
        #[source]
        last: AttemptError,
    },
    /// The peer's representation kept changing, or its answers kept contradicting each other.
    #[error("started over {restarts} times and would have to again ({reason}); giving up")]
    RestartLoop {
        /// Restarts in this call.
        restarts: u32,
        /// Why the next one would be due.
        reason: RestartReason,
    },
    /// The bytes are all there and are not the ones the caller asked for. They are never resumed into.
    #[error("{algorithm} mismatch: expected {expected}, got {actual}")]
    DigestMismatch {
        /// `sha256` or `blake3`.
        algorithm: &'static str,
        /// What the caller said, in hex.
        expected: String,
        /// What the bytes give, in hex.
        actual: String,
    },
    /// The target exists and may not be replaced. It was not touched.
    #[error("{} already exists", .0.display())]
    AlreadyExists(PathBuf),
    /// The local disk, not the peer.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The ledger could not be read or written.
    #[error("the record of what is held failed: {0}")]
    Ledger(#[from] LedgerError),
    /// Asked to stop; everything received is durable.
    #[error("stopped")]
    Stopped,
}

impl FetchErrorKind {
    /// Whether the same call may succeed later without anybody changing anything.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Exhausted { .. } | Self::Deferred { .. } | Self::Stopped => true,
            Self::Local(error) => error.is_transient(),
            Self::Ledger(error) => error.is_full(),
            Self::Permanent(_)
            | Self::RestartLoop { .. }
            | Self::DigestMismatch { .. }
            | Self::AlreadyExists(_) => false,
        }
    }
}

/// Why one try at one lease did not bring its bytes to disk.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// No answer, or the connection died under it.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// An answer that cannot be used.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// A redirect that must not be followed.
    #[error(transparent)]
    Redirect(#[from] RedirectError),
    /// No response head within the limit.
    #[error("no answer within {}", seconds(.0))]
    ResponseTimeout(Duration),
    /// Not a byte for this long.
    #[error("nothing received for {}", seconds(.0))]
    Idle(Duration),
    /// Bytes arrive, but too few.
    #[error("less than {floor} B/s over {}", seconds(.window))]
    LowSpeed {
        /// The floor, in bytes per second.
        floor: u64,
        /// The window it was measured over.
        window: Duration,
    },
    /// The body ended early. Everything received before is kept.
    #[error("body ended at byte {received} of {promised}")]
    Truncated {
        /// Offset of the first byte that did not come.
        received: u64,
        /// One past the last byte promised.
        promised: u64,
    },
    /// More bytes came than any length announced.
    #[error("the file is larger than the {max} bytes allowed")]
    Oversize {
        /// The limit, in bytes.
        max: u64,
    },
    /// The local disk, not the peer.
    #[error(transparent)]
    Local(#[from] LocalError),
}

impl AttemptError {
    /// Whether another attempt may bring the bytes.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Transport(error) => error.is_transient(),
            Self::Answer(error) => error.is_transient(),
            Self::Local(error) => error.is_transient(),
            Self::ResponseTimeout(_) | Self::Idle(_) | Self::LowSpeed { .. } | Self::Truncated { .. } => true,
            Self::Redirect(_) | Self::Oversize { .. } => false,
        }
    }

    /// Whether the peer's answers break the protocol: worth a second look, not a second day.
    pub fn is_protocol_fault(&self) -> bool {
        match self {
            Self::Answer(
                AnswerError::UnaskedPartial | AnswerError::UnaskedStatus(_) | AnswerError::Framing,
            ) => true,
            Self::Transport(error) => error.is_protocol_fault(),
            _ => false,
        }
    }

    /// How often a fault that seldom mends itself is worth another try; `None` leaves that to the policy.
    pub(crate) fn fault_tolerance(&self) -> Option<u32> {
        match self {
            Self::Answer(AnswerError::UnaskedPartial | AnswerError::UnaskedStatus(_)) => Some(1),
            Self::Answer(AnswerError::Framing) => Some(2),
            // Another connection may lead to the right server; if it does not, none will (RFC 9110 §15.5.20).
            Self::Answer(AnswerError::Status(StatusCode::MISDIRECTED_REQUEST)) => Some(1),
            Self::Transport(error) => error.tolerance(),
            _ => None,
        }
    }

    /// Whether this is how the end of a temporary address looks.
    pub(crate) fn may_be_an_expired_redirect(&self) -> bool {
        self.status().is_some_and(|status| matches!(status.as_u16(), 401 | 403 | 404 | 410))
    }

    /// The status the peer refused with, if it did.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answer(AnswerError::Status(status) | AnswerError::UnaskedStatus(status)) => Some(*status),
            _ => None,
        }
    }
}

/// Why an answer cannot be used at all.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerError {
    /// The peer answered with an error status.
    #[error("the peer answered {0}")]
    Status(StatusCode),
    /// A status that nothing in the request asked for.
    #[error("the peer answered {0}, which nobody asked for")]
    UnaskedStatus(StatusCode),
    /// 206 to a request without a range.
    #[error("the peer sent a part although the whole was asked for")]
    UnaskedPartial,
    /// Contradicting or unreadable lengths on one message.
    #[error("the answer's length is contradictory")]
    Framing,
    /// A content coding although identity was asked for.
    #[error("the peer encoded the body although identity was asked for")]
    Encoded,
    /// No length, and an end that cannot be told from a cut.
    #[error(
        "the peer does not say how long the file is, so a cut could not be noticed; give the expected size"
    )]
    LengthUnknown,
    /// Legal answers, but far too many of them for the bytes they brought.
    #[error("the peer hands out so little at a time that {requests} requests brought next to nothing")]
    Trickle {
        /// Requests that brought less than 16 KiB each, although there was more.
        requests: u64,
    },
    /// Larger than allowed.
    #[error("the file has {size} bytes, more than the {max} allowed")]
    TooLarge {
        /// Announced complete-length.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Not the size the caller insists on.
    #[error("the file has {actual} bytes instead of {expected}")]
    SizeMismatch {
        /// What the caller said.
        expected: u64,
        /// What the peer announced or sent.
        actual: u64,
    },
}

impl AnswerError {
    /// Whether the same request may be answered differently later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Status(status) => is_transient_status(*status),
            Self::UnaskedPartial | Self::Framing | Self::UnaskedStatus(_) => true,
            // Identity was asked for; asking again would bring the same.
            Self::Encoded
            | Self::LengthUnknown
            | Self::Trickle { .. }
            | Self::TooLarge { .. }
            | Self::SizeMismatch { .. } => false,
        }
    }
}

/// Statuses worth another try: 408, 425, 429, a misdirected 421, and every 5xx but those that state a lasting
/// inability (RFC 9110 §15.5, §15.6; RFC 6585 §4).
pub fn is_transient_status(status: StatusCode) -> bool {
    match status.as_u16() {
        501 | 505 | 506 | 508 | 510 | 511 => false,
        408 | 421 | 425 | 429 | 500..=599 => true,
        _ => false,
    }
}

/// The local disk refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A read, write, sync or rename failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The part file's name is taken by something that is not an ordinary file of ours.
    #[error("{} is {what}; it was not touched", path.display())]
    UnsafePart {
        /// The part file.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// Another process or another download of this one is writing the part file.
    #[error("{} is being written by another download", .0.display())]
    Busy(PathBuf),
    /// The part file and the target are on different filesystems, where a rename is not atomic.
    #[error("{} and {} are on different filesystems", part.display(), target.display())]
    CrossDevice {
        /// The part file.
        part: PathBuf,
        /// The target.
        target: PathBuf,
    },
}

impl LocalError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    /// Whether waiting may help: a full disk can be emptied, another download can end.
    pub fn is_transient(&self) -> bool {
        self.is_full() || matches!(self, Self::Busy(_))
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The error and its causes in one line, without echoes.
pub fn describe(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&error| error.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

fn seconds(duration: &Duration) -> String {
    if duration.as_secs() == 0 || duration.subsec_millis() != 0 && duration.as_secs() < 10 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} s", duration.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_retried_when_time_may_mend_it() {
        for (status, transient) in [
            (400, false),
            (401, false),
            (404, false),
            (408, true),
            (410, false),
            (421, true),
            (425, true),
            (429, true),
            (451, false),
            (500, true),
            (501, false),
            (502, true),
            (503, true),
            (504, true),
            (505, false),
            (507, true),
            (508, false),
            (511, false),
            (520, true),
            (599, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(is_transient_status(status), transient, "{status}");
        }
    }
}
