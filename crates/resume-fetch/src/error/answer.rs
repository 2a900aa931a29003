//! What can be wrong with an answer.

use http::StatusCode;
use thiserror::Error;

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
