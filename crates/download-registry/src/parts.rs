//! Which part file belongs to whom: what a start compares with what is on the disk.
//!
//! Each question is answered from an index, so a start looks at what is on the disk and not at every row that ever was.

use sqlx::{Row, sqlite::SqliteRow};

use crate::{
    DownloadId, DownloadState, Registry, StorageError, claim::json_array, registry::read_error, rows,
};

/// A part file that a row names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// The row.
    pub id: DownloadId,
    /// What became of it so far.
    pub state: DownloadState,
    /// Where the part is, or was.
    pub path: String,
    /// Bytes of it on record.
    pub durable: u64,
}

impl Registry {
    /// Returns the parts that rows have bytes on record in: those of rows that are alive or failed. In no order.
    pub async fn begun_parts(&self) -> Result<Vec<Part>, StorageError> {
        let found = sqlx::query(BEGUN).fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().map(part).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Returns the rows that name one of these part files and did not publish it: alive, failed or cancelled. In no
    /// order. A published row's part has become its file.
    pub async fn parts_at<S: AsRef<str>>(&self, paths: &[S]) -> Result<Vec<Part>, StorageError> {
        let query = sqlx::query(AT).bind(json_array(paths));
        let found = query.fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().map(part).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Returns the cancelled rows whose part does not begin with `directory`, which ends with a separator.
    pub async fn cancelled_parts_outside(&self, directory: &str) -> Result<Vec<Part>, StorageError> {
        let query = sqlx::query(OUTSIDE).bind(directory);
        let found = query.fetch_all(self.readers()).await.map_err(read_error)?;
        found.iter().map(part).collect::<Result<_, _>>().map_err(read_error)
    }
}

fn part(row: &SqliteRow) -> Result<Part, sqlx::Error> {
    Ok(Part {
        id: DownloadId::new(row.try_get("id")?),
        state: rows::word(row, "state")?,
        path: row.try_get("part")?,
        durable: rows::number(row, "durable")?,
    })
}

pub(crate) const BEGUN: &str = "
    SELECT id, state, part, durable FROM download INDEXED BY download_begun
    WHERE durable > 0 AND part IS NOT NULL
      AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing', 'failed')";

pub(crate) const AT: &str = "
    SELECT id, state, part, durable FROM download INDEXED BY download_by_part
    WHERE part IN (SELECT value FROM json_each(?1))
      AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing', 'failed', 'cancelled')";

// Two ranges around the names that begin with the directory: behind its last character comes the next one.
pub(crate) const OUTSIDE: &str = "
    SELECT id, state, part, durable FROM download INDEXED BY download_by_part
    WHERE part < ?1 AND state = 'cancelled'
    UNION ALL
    SELECT id, state, part, durable FROM download INDEXED BY download_by_part
    WHERE part >= substr(?1, 1, length(?1) - 1) || char(unicode(substr(?1, -1)) + 1) AND state = 'cancelled'";
