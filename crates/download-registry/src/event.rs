//! What can happen to a download. Where each event leads stands in [`DownloadState::after`](crate::DownloadState::after).

use std::fmt;

/// Something that happened to a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A worker took the row under a lease.
    Claimed,
    /// A try failed and the same worker tries again at once.
    AttemptFailed,
    /// A try failed and the next one has to wait.
    RetryScheduled,
    /// The worker gave the row back in good order.
    Released,
    /// The lease ran out without being renewed.
    LeaseExpired,
    /// The process that held the lease is gone.
    Recovered,
    /// The representation changed or the bytes cannot be trusted: a new generation starts from zero.
    Restarted,
    /// Bytes found damaged while finalizing were given up and must be fetched again.
    Reopened,
    /// Every byte is durable.
    Sealed,
    /// The file has its final name, and the directory was synced.
    Published,
    /// The download was given up.
    Failed,
    /// Someone asked for a pause.
    Paused,
    /// Someone asked to go on.
    Resumed,
    /// Someone asked to try again now.
    RetryRequested,
    /// A row that had run out of attempts came back by itself.
    Revived,
    /// Someone called it off.
    Cancelled,
    /// An importer was asked to take the file.
    ImportQueued,
    /// The importer has the file.
    Imported,
    /// The importer did not take the file.
    ImportFailed,
}

impl Event {
    /// Every event.
    pub const ALL: [Self; 19] = [
        Self::Claimed,
        Self::AttemptFailed,
        Self::RetryScheduled,
        Self::Released,
        Self::LeaseExpired,
        Self::Recovered,
        Self::Restarted,
        Self::Reopened,
        Self::Sealed,
        Self::Published,
        Self::Failed,
        Self::Paused,
        Self::Resumed,
        Self::RetryRequested,
        Self::Revived,
        Self::Cancelled,
        Self::ImportQueued,
        Self::Imported,
        Self::ImportFailed,
    ];

    /// Returns the word the log stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::AttemptFailed => "attempt_failed",
            Self::RetryScheduled => "retry_scheduled",
            Self::Released => "released",
            Self::LeaseExpired => "lease_expired",
            Self::Recovered => "recovered",
            Self::Restarted => "restarted",
            Self::Reopened => "reopened",
            Self::Sealed => "sealed",
            Self::Published => "published",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::RetryRequested => "retry_requested",
            Self::Revived => "revived",
            Self::Cancelled => "cancelled",
            Self::ImportQueued => "import_queued",
            Self::Imported => "imported",
            Self::ImportFailed => "import_failed",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
