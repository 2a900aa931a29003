//! `[downloads]` and `[limits]`: how bytes come in, and how fast they may flow.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::byte_size::ByteSize;
use super::duration;
use super::keys::key;
use super::section::{Section, section};
use super::validate::Verdict;

/// `[downloads]`: where downloads go, how often they are tried, when they are given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DownloadsConfig {
    /// Whether anything is downloaded; false serves only and leaves rows and parts alone. Default `true`.
    pub enabled: bool,
    /// Where finished files go; empty = `completed` in the state directory. Default empty.
    pub dir: PathBuf,
    /// Where parts grow, on the same file system as `dir`; empty = its sibling `incomplete`. Default empty.
    pub incomplete_dir: PathBuf,
    /// What happens when the final name is taken. Default `fail`.
    pub on_conflict: OnConflict,
    /// Downloads at once, at least 1. Default `3`.
    pub max_concurrent: u32,
    /// Connections of one download, 1 to 16; 1 = sequential. Default `4`.
    pub connections: u32,
    /// Attempts without progress in between, at least 1. Default `5`.
    pub max_attempts: u32,
    /// Durable progress that starts the count of attempts anew, bytes; 0 = never. Default `1MiB`.
    pub attempts_reset_bytes: ByteSize,
    /// Ceiling of the first retry delay, above zero; it doubles. Default `1s`.
    #[serde(with = "duration")]
    pub retry_base: Duration,
    /// Cap of the retry delay, at least `retry_base`. Default `60s`.
    #[serde(with = "duration")]
    pub retry_max: Duration,
    /// Longest Retry-After that is waited for with the row active; a longer one parks it. Default `5m`.
    #[serde(with = "duration")]
    pub max_retry_after: Duration,
    /// When a row that ran out of attempts on transient errors comes back, above zero. Default `30m`.
    #[serde(with = "duration")]
    pub retry_failed_every: Duration,
    /// When a row that keeps failing stops coming back, above zero. Default `7d`.
    #[serde(with = "duration")]
    pub give_up_after: Duration,
    /// Time to connect, above zero. Default `10s`.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Time to the whole response head, above zero. Default `30s`.
    #[serde(with = "duration")]
    pub response_timeout: Duration,
    /// Silence in a body that ends the attempt, above zero. Default `60s`.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
    /// Bytes per second over 30 s below which an attempt ends; 0 = off. Default `1KiB`.
    pub low_speed: ByteSize,
    /// Largest file accepted, bytes; 0 = any. Default `100GiB`.
    pub max_size: ByteSize,
    /// Free space below which the queue pauses, bytes; it resumes above twice that; 0 = off. Default `1GiB`.
    pub min_free: ByteSize,
    /// Bytes written between two checkpoints; 0 = by time only. Default `16MiB`.
    pub checkpoint_bytes: ByteSize,
    /// Time between two checkpoints while bytes arrive, above zero. Default `2s`.
    #[serde(with = "duration")]
    pub checkpoint_interval: Duration,
    /// How long rows that are over are kept; `0s` = for ever. Default `90d`.
    #[serde(with = "duration")]
    pub keep_history: Duration,
    /// Whether the file goes once its importer's history shows it. Default `false`.
    pub unlink_after_import: bool,
}

impl Default for DownloadsConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: PathBuf::new(),
            incomplete_dir: PathBuf::new(),
            on_conflict: OnConflict::Fail,
            max_concurrent: 3,
            connections: 4,
            max_attempts: 5,
            attempts_reset_bytes: ByteSize::mib(1),
            retry_base: Duration::from_secs(1),
            retry_max: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(5 * 60),
            retry_failed_every: Duration::from_secs(30 * 60),
            give_up_after: Duration::from_secs(7 * 24 * 3600),
            connect_timeout: Duration::from_secs(10),
            response_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            low_speed: ByteSize::kib(1),
            max_size: ByteSize::gib(100),
            min_free: ByteSize::gib(1),
            checkpoint_bytes: ByteSize::mib(16),
            checkpoint_interval: Duration::from_secs(2),
            keep_history: Duration::from_secs(90 * 24 * 3600),
            unlink_after_import: false,
        }
    }
}

/// What happens to a finished download whose final name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// The download fails with the reason; neither file is touched.
    Fail,
    /// The download gets a free name beside it.
    Rename,
    /// The download takes the name; the other file is gone.
    Replace,
}

/// `[limits]`: rates of everything together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Bytes per second we fetch, 0 = no limit. Default `0`.
    pub down: ByteSize,
    /// Bytes per second we serve, 0 = no limit. Default `0`.
    pub up: ByteSize,
}

pub(crate) const DOWNLOADS: Section = section(
    "downloads",
    "how bytes come in",
    &[
        key::<bool>(
            "downloads.enabled",
            "boolean",
            "`false` serves only; what is queued is shown as paused, parts stay untouched",
        ),
        key::<PathBuf>(
            "downloads.dir",
            "path",
            "where finished files go; empty is `completed` in the state directory",
        ),
        key::<PathBuf>(
            "downloads.incomplete_dir",
            "path",
            "where parts grow, on the same file system as `dir` and not `dir` itself; empty is its sibling `incomplete`",
        ),
        key::<OnConflict>(
            "downloads.on_conflict",
            "`fail`, `rename`, `replace`",
            "what happens when the final name is taken",
        )
        .live(),
        key::<u32>(
            "downloads.max_concurrent",
            "count, from 1",
            "downloads at once",
        )
        .live(),
        key::<u32>(
            "downloads.connections",
            "count, 1 to 16",
            "connections of one download at most; 1 is sequential",
        )
        .live(),
        key::<u32>(
            "downloads.max_attempts",
            "count, from 1",
            "attempts without progress in between",
        )
        .live(),
        key::<ByteSize>(
            "downloads.attempts_reset_bytes",
            "size, 0 = never",
            "durable progress that starts the count of attempts anew",
        )
        .live(),
        key::<Duration>(
            "downloads.retry_base",
            "duration, above 0",
            "ceiling of the first retry delay; it doubles with every attempt",
        )
        .live(),
        key::<Duration>(
            "downloads.retry_max",
            "duration, at least `retry_base`",
            "cap of the retry delay",
        )
        .live(),
        key::<Duration>(
            "downloads.max_retry_after",
            "duration",
            "longest Retry-After that is simply waited for; a longer one parks the download until then",
        )
        .live(),
        key::<Duration>(
            "downloads.retry_failed_every",
            "duration, above 0",
            "when a download that ran out of attempts on transient errors comes back by itself",
        )
        .live(),
        key::<Duration>(
            "downloads.give_up_after",
            "duration, above 0",
            "when it stops coming back",
        )
        .live(),
        key::<Duration>(
            "downloads.connect_timeout",
            "duration, above 0",
            "time to connect",
        ),
        key::<Duration>(
            "downloads.response_timeout",
            "duration, above 0",
            "time to the whole response head",
        )
        .live(),
        key::<Duration>(
            "downloads.idle_timeout",
            "duration, above 0",
            "silence that ends an attempt",
        )
        .live(),
        key::<ByteSize>(
            "downloads.low_speed",
            "size per second, 0 = off",
            "rate over 30 s below which an attempt ends",
        )
        .live(),
        key::<ByteSize>(
            "downloads.max_size",
            "size, 0 = any",
            "largest file accepted",
        )
        .live(),
        key::<ByteSize>(
            "downloads.min_free",
            "size, 0 = off",
            "free space below which the queue pauses; it resumes above twice that",
        )
        .live(),
        key::<ByteSize>(
            "downloads.checkpoint_bytes",
            "size, 0 = by time only",
            "bytes between two checkpoints",
        )
        .live(),
        key::<Duration>(
            "downloads.checkpoint_interval",
            "duration, above 0",
            "time between two checkpoints while bytes arrive",
        )
        .live(),
        key::<Duration>(
            "downloads.keep_history",
            "duration, 0s = for ever",
            "how long a finished or cancelled download stays in the list; its file stays anyway, and so does a failed one, and one whose import is pending",
        )
        .live(),
        key::<bool>(
            "downloads.unlink_after_import",
            "boolean",
            "our file goes once the history of its importer shows it; never without `import.NAME.confirm`",
        ),
    ],
)
.judged_by(Verdict::downloads);

pub(crate) const LIMITS: Section = section(
    "limits",
    "rates of everything together",
    &[
        key::<ByteSize>("limits.down", "size per second, 0 = no limit", "what we fetch").live(),
        key::<ByteSize>("limits.up", "size per second, 0 = no limit", "what we serve").live(),
    ],
);
