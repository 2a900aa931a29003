//! A download: as someone wants it, as its peer describes it, as the registry remembers it.

use std::{fmt, str::FromStr};

use crate::{Digests, DownloadState, Identity, Layout, Priority, Problem, Restart, Timestamp, Total};

/// The number of a download. Numbers grow and are never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DownloadId(i64);

/// The claim a worker holds on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Name of the worker's process.
    pub owner: String,
    /// When the claim ends by itself.
    pub until: Timestamp,
}

/// What someone wants downloaded.
#[derive(Debug, Clone, Default)]
pub struct NewDownload {
    /// Name of the peer, if the source is one.
    pub peer: Option<String>,
    /// The peer's name for the item.
    pub item: Option<String>,
    /// Where the bytes come from.
    pub url: String,
    /// Name to publish under, if it is known already.
    pub filename: Option<String>,
    /// Full path to publish at. At most one live download has it.
    pub target: Option<String>,
    /// Full path of the part file. At most one live download has it.
    pub part: Option<String>,
    /// How eagerly to serve it.
    pub priority: Priority,
    /// Whether it starts out paused.
    pub paused: bool,
    /// What is known of the representation.
    pub identity: Identity,
    /// What the finished file must hash to.
    pub digests: Digests,
    /// Bytes per second, `None` for no limit of its own.
    pub limit_down: Option<u64>,
    /// Which importer takes the file.
    pub import: Option<String>,
}

/// What becomes known of a download when its peer answers. `None` leaves the row's value as it is.
#[derive(Debug, Clone, Default)]
pub struct Metadata {
    /// Name to publish under.
    pub filename: Option<String>,
    /// Full path to publish at.
    pub target: Option<String>,
    /// Full path of the part file.
    pub part: Option<String>,
    /// Announced size. Ignored once bytes are durable: then [`Identity`] decides.
    pub total: Option<Total>,
}

/// A row of the registry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Download {
    /// Its number.
    pub id: DownloadId,
    /// Name of the peer.
    pub peer: Option<String>,
    /// The peer's name for the item.
    pub item: Option<String>,
    /// Where the bytes come from: the first of its [`sources`](crate::Registry::sources).
    pub url: String,
    /// Name it is or will be published under.
    pub filename: Option<String>,
    /// Full path of the published file.
    pub target: Option<String>,
    /// Full path of the part file.
    pub part: Option<String>,
    /// What it is doing.
    pub state: DownloadState,
    /// Whether a failed download may succeed when tried again; `false` in every other state.
    pub retryable: bool,
    /// How eagerly it is served.
    pub priority: Priority,
    /// Complete-length and validator of the representation being fetched.
    pub identity: Identity,
    /// Number of the representation being fetched, from 1; 0 before the first byte.
    pub generation: u64,
    /// How the written bytes lie in the part file.
    pub layout: Layout,
    /// Bytes synced to disk and recorded.
    pub durable: u64,
    /// Failed tries without enough durable progress in between.
    pub attempts: u32,
    /// Durable bytes when the last failed try was counted.
    pub attempts_mark: u64,
    /// How often it started over from zero.
    pub restarts: u32,
    /// The last time it did.
    pub last_restart: Option<(Restart, Timestamp)>,
    /// When a waiting row may run again, or a failed one comes back by itself.
    pub retry_at: Option<Timestamp>,
    /// Bytes per second, `None` for no limit of its own.
    pub limit_down: Option<u64>,
    /// Which importer takes the file.
    pub import: Option<String>,
    /// What the importer last said.
    pub import_state: Option<String>,
    /// What stands in the way, or stood there last.
    pub error: Option<Problem>,
    /// What the finished file must hash to.
    pub digests: Digests,
    /// Who works on it.
    pub lease: Option<Lease>,
    /// How often it was claimed; the fence against workers whose claim is over.
    pub lease_epoch: u64,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Timestamp,
    /// When the file was published.
    pub completed_at: Option<Timestamp>,
}

impl Download {
    /// Returns how many failed tries still count: none once `reset_bytes` became durable after the last of them.
    ///
    /// This, not [`attempts`](Self::attempts), is what a worker starts counting from: the row's number is set right
    /// only with the next failure. With `reset_bytes` zero, progress never starts the count over.
    #[must_use]
    pub fn attempts_so_far(&self, reset_bytes: u64) -> u32 {
        if reset_bytes > 0 && self.progress_since_failure() >= reset_bytes { 0 } else { self.attempts }
    }

    /// Returns what [`attempts`](Self::attempts) becomes if the try that is running now fails: at least 1.
    ///
    /// Deciding between another try and giving up needs this number before it is recorded.
    #[must_use]
    pub fn attempts_after_failure(&self, reset_bytes: u64) -> u32 {
        self.attempts_so_far(reset_bytes).saturating_add(1)
    }

    /// Returns the bytes that became durable since the last failed try was counted, whoever fetched them.
    #[must_use]
    pub fn progress_since_failure(&self) -> u64 {
        self.durable.saturating_sub(self.attempts_mark)
    }
}

impl DownloadId {
    /// Makes an id from the number a person or a script gave.
    #[must_use]
    pub const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl fmt::Display for DownloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for DownloadId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}
