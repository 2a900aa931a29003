//! What can go wrong, by who is asking: a reader, a worker that holds a lease, or someone who gives an order.

use std::fmt;

use thiserror::Error;

use crate::{DownloadId, IllegalTransition};

/// The database did not do what it was asked.
///
/// After an error of a write the outcome is unknown until the row is read again: a commit can fail after it was made.
#[derive(Debug, Clone)]
pub struct StorageError {
    kind: StorageErrorKind,
    // Cloned into every caller whose write shared the failed commit.
    message: String,
}

/// What kind of trouble the database is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageErrorKind {
    /// The disk is full.
    Full,
    /// The disk refused to read or write.
    Io,
    /// Another process held the database for longer than the busy timeout.
    Busy,
    /// The database is damaged.
    Corrupt,
    /// The database, or the disk it is on, cannot be written.
    ReadOnly,
    /// The registry was closed.
    Closed,
    /// The registry cannot be written any more: its writer ended by a bug, or its file was taken away. Only opening it
    /// again helps; see [`Registry::failed`](crate::Registry::failed).
    Failed,
    /// A number too large for the table (past 2^63 - 1).
    OutOfRange,
    /// Anything else; a bug, or a database changed by other hands.
    Other,
}

/// Which property of a download another live one already has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Claimed {
    /// The path it would publish at.
    Target,
    /// The part file it would write.
    Part,
    /// The item of the peer it would fetch.
    Item,
}

/// A live download already owns what this one wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("download {id} already has this {what}")]
pub struct Conflict {
    /// The live download.
    pub id: DownloadId,
    /// What it has.
    pub what: Claimed,
}

/// Why a download was not enqueued. Nothing was written.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum EnqueueError {
    /// A live download owns the destination or the item.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The database refused.
    #[error("cannot enqueue")]
    Storage(#[from] StorageError),
}

/// Why a worker's write was refused. Nothing was written, unless it is [`WorkerError::Storage`].
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// The lease is over: the row was paused, cancelled, deleted, or claimed by someone else. Stop writing.
    #[error("the lease on download {id} (epoch {epoch}) is over")]
    Fenced {
        /// The row.
        id: DownloadId,
        /// The epoch the worker held.
        epoch: u64,
    },
    /// The event makes no sense in the state the row is in.
    #[error(transparent)]
    WrongState(#[from] IllegalTransition),
    /// The bytes belong to a representation that was given up.
    #[error("generation {asked} is over; the download is at generation {current}")]
    StaleGeneration {
        /// The generation the worker wrote for.
        asked: u64,
        /// The generation of the row.
        current: u64,
    },
    /// A range is empty, inverted, or reaches past the complete-length.
    #[error("bytes {start}..{end} do not lie within a representation of {total:?} bytes")]
    OutOfBounds {
        /// First byte of the range.
        start: u64,
        /// One past its last byte.
        end: u64,
        /// Complete-length, if known.
        total: Option<u64>,
    },
    /// Not every byte is durable.
    #[error("{durable} of {total:?} bytes are durable")]
    Incomplete {
        /// Durable bytes.
        durable: u64,
        /// Complete-length, if known.
        total: Option<u64>,
    },
    /// Bytes are durable under another total or validator; only a new generation may change them.
    #[error("the representation is another one than the {durable} durable bytes belong to")]
    IdentityChanged {
        /// Durable bytes of the old one.
        durable: u64,
    },
    /// A live download owns the destination.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The database refused.
    #[error("cannot record")]
    Storage(#[from] StorageError),
}

/// Why an order was refused. Nothing was written, unless it is [`OperatorError::Storage`].
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is no such download.
    #[error("there is no download {0}")]
    NotFound(DownloadId),
    /// The order makes no sense in the state the download is in.
    #[error(transparent)]
    WrongState(#[from] IllegalTransition),
    /// A download needs at least one address, none of them empty, and each listed once.
    #[error("a download needs addresses that are not empty and differ")]
    Sources,
    /// Coming back to life, it would share its destination or its item with a live download.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// The database refused.
    #[error("cannot change the download")]
    Storage(#[from] StorageError),
}

impl StorageError {
    /// Returns what kind of trouble it is.
    #[must_use]
    pub fn kind(&self) -> StorageErrorKind {
        self.kind
    }

    pub(crate) fn closed() -> Self {
        Self { kind: StorageErrorKind::Closed, message: "the registry is closed".to_owned() }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self { kind: StorageErrorKind::Failed, message: message.into() }
    }

    pub(crate) fn inconsistent(what: &dyn fmt::Display) -> Self {
        Self { kind: StorageErrorKind::Corrupt, message: what.to_string() }
    }

    pub(crate) fn out_of_range(value: u64) -> Self {
        let message = format!("{value} is too large for the table");
        Self { kind: StorageErrorKind::OutOfRange, message }
    }

    pub(crate) fn from_sqlx(error: &sqlx::Error) -> Self {
        let kind = match error {
            sqlx::Error::PoolClosed => StorageErrorKind::Closed,
            // The thread under the connection is gone, and with it whatever it was asked to do.
            sqlx::Error::WorkerCrashed => StorageErrorKind::Failed,
            sqlx::Error::PoolTimedOut => StorageErrorKind::Busy,
            sqlx::Error::Io(_) => StorageErrorKind::Io,
            // A value that does not fit its column's type was not put there by us.
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StorageErrorKind::Corrupt,
            sqlx::Error::Database(database) => database
                .code()
                .and_then(|code| code.parse().ok())
                .map_or(StorageErrorKind::Other, kind_of_code),
            _ => StorageErrorKind::Other,
        };
        Self { kind, message: error.to_string() }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StorageError {}

impl fmt::Display for Claimed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Target => "destination",
            Self::Part => "part file",
            Self::Item => "item",
        })
    }
}

/// Sorts SQLite's extended result codes by their primary code, the low byte.
fn kind_of_code(code: i32) -> StorageErrorKind {
    match code & 0xff {
        5 | 6 => StorageErrorKind::Busy,
        8 => StorageErrorKind::ReadOnly,
        10 | 14 => StorageErrorKind::Io,
        11 | 26 => StorageErrorKind::Corrupt,
        13 => StorageErrorKind::Full,
        _ => StorageErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extended_result_code_is_sorted_by_its_low_byte() {
        for (code, kind) in [
            (13, StorageErrorKind::Full),
            (10 | (3 << 8), StorageErrorKind::Io),
            (5 | (2 << 8), StorageErrorKind::Busy),
            (8 | (1 << 8), StorageErrorKind::ReadOnly),
            (11, StorageErrorKind::Corrupt),
            (26, StorageErrorKind::Corrupt),
            (19, StorageErrorKind::Other),
        ] {
            assert_eq!(kind_of_code(code), kind, "{code}");
        }
    }
}
