//! The names of the events, as the API promises them.

/// Every event that can happen. `snapshot` is none of them: it is how a reader of the stream begins.
pub const NAMES: &[&str] = &[
    "download.created",
    "download.queued",
    "download.started",
    "download.progress",
    "download.retrying",
    "download.restarted",
    "download.paused",
    "download.completed",
    "download.failed",
    "download.cancelled",
    "download.deleted",
    "import.queued",
    "import.done",
    "import.failed",
    "peer.up",
    "peer.down",
    "disk.low",
    "disk.ok",
    "config.reloaded",
];
