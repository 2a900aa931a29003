//! What can be asked for, and why it may be refused.

use download_registry::{Claimed, Digests, DownloadId, EnqueueError, Priority};
use resume_fetch::InvalidUrl;
use thiserror::Error;

/// What somebody wants downloaded.
#[derive(Clone, Debug)]
pub struct AddRequest {
    /// Where it is.
    pub source: Source,
    /// Name to publish it under; the peer's or the URL's own otherwise.
    pub filename: Option<String>,
    /// -10 to 10, higher first.
    pub priority: Priority,
    /// Queue it without starting it.
    pub paused: bool,
    /// What the file must hash to.
    pub digests: Digests,
    /// Bytes per second for this download alone.
    pub limit_down: Option<u64>,
    /// Who takes the file over: the name of an importer, or `none`; decided by the configuration otherwise.
    pub import: Option<String>,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// An item of a configured peer.
    Item {
        /// The peer's name here.
        peer: String,
        /// The peer's name for the item.
        item: String,
    },
    /// Any http or https URL.
    Url(String),
}

impl AddRequest {
    /// A request for this source, with nothing special about it.
    pub fn of(source: Source) -> Self {
        Self {
            source,
            filename: None,
            priority: Priority::default(),
            paused: false,
            digests: Digests::default(),
            limit_down: None,
            import: None,
        }
    }
}

/// What is said about an item by somebody else than its peer. The peer's own word counts more.
#[derive(Clone, Debug, Default)]
pub struct Hint {
    /// A name to publish it under, should the peer name none.
    pub filename: Option<String>,
    /// Its size in bytes.
    pub size: Option<u64>,
    /// Queue it at once, and ask the peer when its turn comes.
    pub ask_later: bool,
}

/// Why a download was not queued.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AddError {
    /// No peer of that name is configured.
    #[error("no peer is called {0}")]
    PeerUnknown(String),
    /// The peer has no such item.
    #[error("{peer} has no item {item}")]
    ItemUnknown {
        /// The peer.
        peer: String,
        /// The item.
        item: String,
    },
    /// A live download already fetches this item or owns this destination.
    #[error("download {id} already {}", match what { Claimed::Item => "fetches this item", _ => "has this destination" })]
    DestinationActive {
        /// The row that holds it.
        id: DownloadId,
        /// What it holds.
        what: Claimed,
    },
    /// A file of that name is there already, and `on_conflict` is `fail`.
    #[error("{0} exists already")]
    DestinationExists(String),
    /// Larger than `max_size`.
    #[error("the file has {size} bytes, more than the {max} allowed")]
    TooLarge {
        /// Announced size.
        size: u64,
        /// The limit.
        max: u64,
    },
    /// Not enough room beside what is to stay free.
    #[error("the file needs {needed} bytes and {free} are free")]
    DiskFull {
        /// Bytes needed, the reserve included.
        needed: u64,
        /// Bytes free.
        free: u64,
    },
    /// A value that cannot be used.
    #[error("{field}: {reason}")]
    Invalid {
        /// Which one.
        field: &'static str,
        /// Why.
        reason: String,
    },
    /// The registry failed.
    #[error(transparent)]
    Registry(#[from] EnqueueError),
}

impl From<InvalidUrl> for AddError {
    fn from(error: InvalidUrl) -> Self {
        AddError::Invalid { field: "url", reason: error.to_string() }
    }
}
