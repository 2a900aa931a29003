//! Which part file belongs to whom: what a start compares with what is on the disk.

use sqlx::{Row, sqlite::SqliteRow};

use crate::{DownloadId, DownloadState, Registry, StorageError, registry::read_error, rows};

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
    /// Returns every part file that may still hold bytes of a row, in no order: those of rows that are alive, and of
    /// rows that failed or were cancelled. A published row's part has become its file.
    ///
    /// One pass over these rows: a hundred thousand take some tens of megabytes for as long as the list lives.
    pub async fn parts(&self) -> Result<Vec<Part>, StorageError> {
        let found = sqlx::query(PARTS).fetch_all(self.readers()).await.map_err(read_error)?;
        let part = |row: &SqliteRow| {
            Ok(Part {
                id: DownloadId::new(row.try_get("id")?),
                state: rows::word(row, "state")?,
                path: row.try_get("part")?,
                durable: rows::number(row, "durable")?,
            })
        };
        found.iter().map(part).collect::<Result<_, _>>().map_err(read_error)
    }
}

pub(crate) const PARTS: &str = "
    SELECT id, state, part, durable FROM download
    WHERE state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing', 'failed', 'cancelled')
      AND part IS NOT NULL";
