//! What can go wrong, sorted by who has to act: one enum for an answer, one for an attempt, one for a fetch.

mod answer;
mod local;

use std::error::Error as StdError;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use thiserror::Error;

pub use self::answer::{AnswerError, is_transient_status};
pub use self::local::LocalError;
pub(crate) use self::local::is_full;
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
    /// How long the peer asked to be left alone with the failure that used the attempts up.
    pub retry_after: Option<Duration>,
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
            // It has had its second connection (RFC 9110 §15.5.20).
            Self::Answer(AnswerError::Status(StatusCode::MISDIRECTED_REQUEST)) => Some(0),
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
