//! What happened to a download: its tries and its changes of state, as the database wrote them down by itself.

use sqlx::sqlite::SqliteRow;

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

impl Registry {
    /// Returns the last `limit` tries at a download, oldest first; empty if there is no such row.
    pub async fn attempts(&self, id: DownloadId, limit: u32) -> Result<Vec<Attempt>, StorageError> {
        let query = sqlx::query("SELECT * FROM attempt WHERE download_id = ?1 ORDER BY n DESC LIMIT ?2");
        let found = query.bind(id.get()).bind(limit).fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().rev().map(attempt).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Returns the last `limit` changes of a download, oldest first; empty if there is no such row.
    pub async fn transitions(&self, id: DownloadId, limit: u32) -> Result<Vec<Transition>, StorageError> {
        let query = sqlx::query("SELECT * FROM transition WHERE download_id = ?1 ORDER BY seq DESC LIMIT ?2");
        let found = query.bind(id.get()).bind(limit).fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().rev().map(transition).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Returns up to `limit` changes of any download that came after the log's `seq`, oldest first.
    pub async fn transitions_after(&self, seq: i64, limit: u32) -> Result<Vec<Transition>, StorageError> {
        let query = sqlx::query("SELECT * FROM transition WHERE seq > ?1 ORDER BY seq LIMIT ?2");
        let found = query.bind(seq).bind(limit).fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().map(transition).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Removes up to `limit` published or cancelled rows that last changed before `before`, and returns how many.
    ///
    /// Failed rows stay: they may own a part file. Call it again until it returns less than `limit`; small bites leave
    /// room for others.
    pub async fn prune(&self, before: Timestamp, limit: u32) -> Result<u64, StorageError> {
        self.write(move |db| {
            Box::pin(async move {
                let pruned =
                    sqlx::query(PRUNE).bind(before.as_millis()).bind(limit).execute(&mut *db).await?;
                if pruned.rows_affected() > 0 {
                    // Gives the pages back to the disk a few at a time.
                    sqlx::query("PRAGMA incremental_vacuum(200)").fetch_all(db).await?;
                }
                Ok(pruned.rows_affected())
            })
        })
        .await
    }
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

const PRUNE: &str = "
    DELETE FROM download WHERE id IN (
        SELECT id FROM download
        WHERE state IN ('completed', 'imported', 'cancelled') AND updated_at < ?1
        LIMIT ?2)";
