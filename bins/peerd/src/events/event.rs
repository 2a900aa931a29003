//! The events themselves. They borrow what they tell: nothing is copied for listeners that do not want it.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use download_registry::{Download, DownloadId, Problem, Timestamp};
use resume_fetch::{Completed, Progress, RestartReason};
use retry_kit::DelaySource;

use crate::config::Changes;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// To a download.
    Download(Subject<'a>, Step<'a>),
    /// A peer went away, or came back.
    Peer {
        /// Its name here.
        peer: &'a str,
        /// Which of the two.
        reach: Reach<'a>,
    },
    /// To the hand-off of a finished file.
    Import(Subject<'a>, ImportStep<'a>),
    /// Less than `min_free` is left where downloads grow; the queue waits.
    DiskLow(Room),
    /// There is room again; the queue goes on.
    DiskOk(Room),
    /// The configuration was read again, and what could be applied holds.
    ConfigReloaded(&'a Changes),
}

/// The download something happened to.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its row.
    pub id: DownloadId,
    /// Whom it comes from, where that is known.
    pub peer: Option<&'a str>,
}

/// What happened to it.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// It was added; the row survives a power cut.
    Created(&'a Download),
    /// It is in line.
    Queued(Why),
    /// A worker has it.
    Claimed {
        /// Bytes it begins with.
        durable: u64,
    },
    /// A body is coming in and continues what is held.
    Started {
        /// Offset it adds bytes at; above zero it resumes.
        from: u64,
        /// Complete-length, if known.
        total: Option<u64>,
        /// The validator the bytes are bound to, as sent.
        validator: Option<&'a str>,
    },
    /// Bytes came in.
    Received(u64),
    /// What came in is synced and on record.
    Checkpointed {
        /// How long both took together.
        took: Duration,
    },
    /// Where it stands.
    Progress(&'a Progress),
    /// An attempt failed and another follows.
    Retrying(Retry<'a>),
    /// It waits for something of ours, such as room on the disk. No attempt is counted.
    Held(Retry<'a>),
    /// A range waits to be tried again, while others go on.
    Setback {
        /// Its bytes.
        range: &'a Range<u64>,
        /// Failures of this range since it last made progress.
        attempt: u32,
        /// Time until its next try.
        delay: Duration,
        /// The failure, in words.
        reason: &'a str,
    },
    /// Recorded bytes could not be read back and are fetched again.
    Unreadable(&'a Range<u64>),
    /// All bytes are here; the digest is being computed.
    Verifying,
    /// What was held is given up; it starts over.
    Restarted {
        /// Why.
        reason: RestartReason,
        /// Bytes that will be fetched again.
        discarded: u64,
    },
    /// Its worker stopped, as it was asked to.
    Stopped,
    /// Its worker lost the row to somebody else.
    TakenOver,
    /// Its file has its name, and the row does not say so yet.
    Unrecorded,
    /// The operator set it aside.
    Paused {
        /// Bytes it keeps.
        durable: u64,
    },
    /// Its file is whole, under its final name.
    Completed {
        /// That name.
        path: &'a Path,
        /// What it came to.
        done: &'a Completed,
    },
    /// It was given up.
    Failed {
        /// Why.
        problem: &'a Problem,
        /// Whether trying again may help.
        retryable: bool,
        /// When it comes back by itself.
        retry_at: Option<Timestamp>,
        /// Bytes it keeps.
        durable: u64,
    },
    /// The operator called it off; its bytes are gone.
    Cancelled,
    /// Its row is gone.
    Deleted {
        /// Whether the published file went with it.
        data: bool,
    },
}

/// What happened to the hand-off of a file.
#[derive(Clone, Copy, Debug)]
pub enum ImportStep<'a> {
    /// It is in line.
    Queued {
        /// The importer.
        target: &'a str,
        /// The file, as the importer knows it.
        path: Option<&'a str>,
    },
    /// The importer has the file.
    Done {
        /// The importer.
        target: &'a str,
        /// The file, as the importer knew it.
        path: Option<&'a str>,
        /// Whether its history shows it.
        confirmed: bool,
        /// Whether our copy was removed.
        unlinked: bool,
    },
    /// It was given up.
    Failed {
        /// The importer.
        target: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// A wait before the next try.
#[derive(Clone, Copy, Debug)]
pub struct Retry<'a> {
    /// Failures since the last real progress.
    pub attempt: u32,
    /// How many are allowed.
    pub max: u32,
    /// Time until the next try.
    pub delay: Duration,
    /// Whether the peer named the time.
    pub source: DelaySource,
    /// The failure, in words.
    pub reason: &'a str,
    /// Whether the row gave its permit back for that time.
    pub parked: bool,
}

/// Why a download is in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is new.
    Added,
    /// The operator resumed it.
    Resumed,
    /// The operator wants it tried again.
    Retried,
    /// It had run out of attempts, and its time has come again.
    Revived,
    /// The daemon stops.
    Released,
    /// Its worker is gone.
    Recovered,
    /// Somebody reads another download, which has taken its place.
    Yielded,
}

impl Why {
    /// The word of `download.queued`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Resumed => "resumed",
            Self::Retried => "retried",
            Self::Revived => "revived",
            Self::Released => "released",
            Self::Recovered => "recovered",
            Self::Yielded => "yielded",
        }
    }
}

/// Whether a peer can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach<'a> {
    /// It answers again.
    Up,
    /// Nobody is there.
    Down {
        /// The failure, in words.
        reason: &'a str,
    },
}

/// Room where downloads grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes free.
    pub free: u64,
    /// Bytes that are to stay free.
    pub min_free: u64,
}

impl<'a> From<&'a Download> for Subject<'a> {
    fn from(row: &'a Download) -> Self {
        Self { id: row.id, peer: row.peer.as_deref() }
    }
}

impl From<DownloadId> for Subject<'_> {
    fn from(id: DownloadId) -> Self {
        Self { id, peer: None }
    }
}

impl<'a> Step<'a> {
    /// What the engine told; `None` for what nobody has a use for.
    pub fn heard(event: &'a resume_fetch::Event) -> Option<Self> {
        use resume_fetch::Event as Heard;
        Some(match event {
            Heard::Started { from, total, validator } => {
                Self::Started { from: *from, total: *total, validator: validator.as_deref() }
            }
            Heard::Restarted { reason, discarded } => {
                Self::Restarted { reason: *reason, discarded: *discarded }
            }
            Heard::Retrying { attempt, max, delay, source, reason } => Self::Retrying(Retry {
                attempt: *attempt,
                max: *max,
                delay: *delay,
                source: *source,
                reason,
                parked: false,
            }),
            Heard::Setback { range, attempt, delay, reason } => {
                Self::Setback { range, attempt: *attempt, delay: *delay, reason }
            }
            Heard::Unreadable { range } => Self::Unreadable(range),
            Heard::Verifying => Self::Verifying,
            _ => return None,
        })
    }
}
