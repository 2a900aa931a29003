//! What happened to a download: its tries and its changes of state, as the database wrote them down by itself.

use sqlx::{SqliteConnection, sqlite::SqliteRow};

use crate::{DownloadId, DownloadState, Registry, StorageError, Timestamp, registry::read_error, rows};

/// One try at a download: from the moment a worker starts until it stops, for whatever reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Attempt {
    /// Counted from 1.
    pub n: u32,
    /// The process that tried.
    pub owner: String,
    /// The claim it tried under.
    pub epoch: u64,
    /// When it started.
    pub started_at: Timestamp,
    /// When it stopped; `None` while it runs.
    pub ended_at: Option<Timestamp>,
    /// Durable bytes when it started.
    pub from_bytes: u64,
    /// Durable bytes when it stopped; fewer than before if the download started over in between.
    pub to_bytes: Option<u64>,
    /// The event that ended it, such as `sealed` or `retry_scheduled`.
    pub outcome: Option<String>,
    /// The kind of problem that ended it.
    pub reason: Option<String>,
}

/// One change of state, or one restart.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transition {
    /// Its place in the log of all downloads. Grows; numbers may be missing.
    pub seq: i64,
    /// The row.
    pub download: DownloadId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened: `enqueued`, or the text of an [`Event`](crate::Event).
    pub event: String,
    /// The kind of problem, or the reason of a restart.
    pub reason: Option<String>,
    /// The state before; `None` for a new row.
    pub from: Option<DownloadState>,
    /// The state after.
    pub to: DownloadState,
    /// How often the row had been claimed.
    pub epoch: u64,
    /// The generation after.
    pub generation: u64,
    /// Durable bytes after.
    pub durable: u64,
    /// Bytes a restart gave up.
    pub discarded: Option<u64>,
}

/// A part of the log of all downloads.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogPage {
    /// The entries, oldest first.
    pub transitions: Vec<Transition>,
    /// Number of the last entry the log ever had; at the end of the last page, the reader has caught up with it.
    pub newest: i64,
    /// Whether no entry after the one asked for is missing. If not (some were removed, with their row or because it
    /// had too many, or the number asked for was never given), look at the rows themselves and go on from `newest`.
    pub complete: bool,
}

impl Registry {
    /// Returns the last `limit` tries at a download, oldest first; empty if there is no such row.
    pub async fn attempts(&self, id: DownloadId, limit: u32) -> Result<Vec<Attempt>, StorageError> {
        let query = sqlx::query(ATTEMPTS);
        let found = query.bind(id.get()).bind(limit).fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().rev().map(attempt).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Returns the last `limit` changes of a download, oldest first; empty if there is no such row.
    pub async fn transitions(&self, id: DownloadId, limit: u32) -> Result<Vec<Transition>, StorageError> {
        let query = sqlx::query(TRANSITIONS);
        let found = query.bind(id.get()).bind(limit).fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().rev().map(transition).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Returns the changes of all downloads that came after the log's `seq`, oldest first, up to `limit` (1 to 1,000;
    /// 0 means 100) of them, as of one moment.
    ///
    /// This is what a stream of events continues from: the last [`Transition::seq`] a reader saw is where the next
    /// call goes on. Start at [`newest_transition`](Self::newest_transition) to hear only what is new.
    pub async fn transitions_after(&self, seq: i64, limit: u32) -> Result<LogPage, StorageError> {
        let limit = if limit == 0 { DEFAULT_LIMIT } else { limit.min(MAX_LIMIT) };
        self.page_after(seq, limit).await.map_err(read_error)
    }

    async fn page_after(&self, seq: i64, limit: u32) -> Result<LogPage, sqlx::Error> {
        let mut db = self.readers().begin().await?;
        let newest = newest(&mut db).await?;
        let removed_to: i64 =
            sqlx::query_scalar("SELECT removed_to FROM history").fetch_one(&mut *db).await?;
        let found = sqlx::query(AFTER).bind(seq).bind(limit).fetch_all(&mut *db).await?;
        let transitions = found.iter().map(transition).collect::<Result<_, _>>()?;
        Ok(LogPage { transitions, newest, complete: (removed_to..=newest).contains(&seq) })
    }

    /// Returns the number of the last entry of the log, whether or not it is still there; 0 if nothing ever happened.
    pub async fn newest_transition(&self) -> Result<i64, StorageError> {
        let mut db = self.readers().acquire().await.map_err(read_error)?;
        newest(&mut db).await.map_err(read_error)
    }
}

async fn newest(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let newest: Option<i64> = sqlx::query_scalar(NEWEST).fetch_optional(db).await?;
    Ok(newest.unwrap_or(0))
}

fn attempt(row: &SqliteRow) -> Result<Attempt, sqlx::Error> {
    use sqlx::Row;
    Ok(Attempt {
        n: rows::number(row, "n")?,
        owner: row.try_get("owner")?,
        epoch: rows::number(row, "epoch")?,
        started_at: rows::required_moment(row, "started_at")?,
        ended_at: rows::moment(row, "ended_at")?,
        from_bytes: rows::number(row, "from_bytes")?,
        to_bytes: rows::maybe_number(row, "to_bytes")?,
        outcome: row.try_get("outcome")?,
        reason: row.try_get("reason")?,
    })
}

fn transition(row: &SqliteRow) -> Result<Transition, sqlx::Error> {
    use sqlx::Row;
    let from: Option<&str> = row.try_get("from_state")?;
    Ok(Transition {
        seq: row.try_get("seq")?,
        download: DownloadId::new(row.try_get("download_id")?),
        at: rows::required_moment(row, "at")?,
        event: row.try_get("event")?,
        reason: row.try_get("reason")?,
        from: from.map(|_| rows::word(row, "from_state")).transpose()?,
        to: rows::word(row, "to_state")?,
        epoch: rows::number(row, "epoch")?,
        generation: rows::number(row, "generation")?,
        durable: rows::number(row, "durable")?,
        discarded: rows::maybe_number(row, "discarded")?,
    })
}

pub(crate) const ATTEMPTS: &str = "SELECT * FROM attempt WHERE download_id = ?1 ORDER BY n DESC LIMIT ?2";

pub(crate) const TRANSITIONS: &str =
    "SELECT * FROM transition WHERE download_id = ?1 ORDER BY seq DESC LIMIT ?2";

pub(crate) const AFTER: &str = "SELECT * FROM transition WHERE seq > ?1 ORDER BY seq LIMIT ?2";

/// Not the largest number in the log: that one may have been removed with its row.
const NEWEST: &str = "SELECT seq FROM sqlite_sequence WHERE name = 'transition'";

const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1_000;
