//! Which bytes are on disk: half-open ranges, merged.
//!
//! The record may lag the data, never lead it: growth is recorded after the sync, shrinking before the file is touched.

use std::ops::Range;

use crate::{
    Download, DownloadId, DownloadState, Event, Fence, Registry, StorageError, Timestamp, WorkerError,
    generation::held_at,
    recording::Recording,
    registry::read_error,
    rows,
    session::{Session, Through},
    step::Step,
    writer::{Fault, refuse},
};

impl Registry {
    /// Returns the durable ranges of a download in order, merged; empty if there is no such row.
    pub async fn ranges(&self, id: DownloadId) -> Result<Vec<Range<u64>>, StorageError> {
        let rows = sqlx::query(LOAD).bind(id.get()).fetch_all(self.readers()).await.map_err(read_error)?;
        rows.iter().map(rows::range).collect::<Result<_, _>>().map_err(read_error)
    }

    /// Records ranges that were written **and synced**, and returns how many bytes are durable now.
    ///
    /// Ranges may overlap each other and what is recorded already. All of them are recorded, or none.
    ///
    /// # Errors
    /// [`WorkerError::StaleGeneration`] if the bytes belong to a representation that was given up;
    /// [`WorkerError::OutOfBounds`] for an empty range or one past the end; [`WorkerError::Fenced`].
    pub async fn record_durable(
        &self,
        fence: &Fence,
        generation: u64,
        ranges: &[Range<u64>],
        now: Timestamp,
    ) -> Result<u64, WorkerError> {
        let (fence, ranges) = (*fence, ranges.to_vec());
        self.send(|reply| Recording::new(fence, generation, ranges, now, reply)).await
    }

    /// Takes ranges back whose bytes proved unreadable or wrong, and returns how many bytes are durable now.
    ///
    /// Exactly these bytes go: a recorded range that reaches over both ends of one of them is split. All of them are
    /// taken back, or none. A download that was being finalized is being fetched again afterwards.
    pub async fn subtract(
        &self,
        fence: &Fence,
        generation: u64,
        ranges: &[Range<u64>],
        now: Timestamp,
    ) -> Result<u64, WorkerError> {
        let (fence, ranges) = (*fence, ranges.to_vec());
        self.write(move |db| Box::pin(async move { subtract(db, fence, generation, &ranges, now).await }))
            .await
    }
}

async fn subtract(
    db: &mut Session,
    fence: Fence,
    generation: u64,
    ranges: &[Range<u64>],
    now: Timestamp,
) -> Result<u64, Fault<WorkerError>> {
    let row = held_at(db, fence, generation).await?;
    if let Some(range) = ranges.iter().find(|range| range.is_empty()) {
        return Err(out_of_bounds(range, row.identity.total.map(|total| total.bytes)));
    }
    let mut lost = 0;
    for range in ranges {
        lost += cut(db, row.id, range).await?;
    }
    if lost == 0 {
        return Ok(row.durable);
    }
    if row.state == DownloadState::Finalizing {
        // Before the bytes go: a row that is finalizing says it is whole.
        let _: Download = Step::new(Event::Reopened).take::<WorkerError>(db, &row, now).await?;
    }
    let durable = row.durable.saturating_sub(lost);
    sqlx::query(SHRINK)
        .bind(row.id.get())
        .bind(rows::stored(fence.epoch())?)
        .bind(rows::stored(durable)?)
        .bind(now.as_millis())
        .run(db)
        .await?;
    Ok(durable)
}

/// Takes one range out of those recorded and returns how many bytes that removed.
async fn cut(db: &mut Session, id: DownloadId, range: &Range<u64>) -> Result<u64, Fault<WorkerError>> {
    let overlapping = take_out(db, id, range).await?;
    let mut lost = 0;
    for old in overlapping {
        lost += old.end.min(range.end) - old.start.max(range.start);
        for rest in [old.start..range.start, range.end..old.end] {
            if !rest.is_empty() {
                put_in(db, id, &rest).await?;
            }
        }
    }
    Ok(lost)
}

async fn take_out(
    db: &mut Session,
    id: DownloadId,
    range: &Range<u64>,
) -> Result<Vec<Range<u64>>, Fault<WorkerError>> {
    let rows = sqlx::query(TAKE_OVERLAPPING)
        .bind(id.get())
        .bind(rows::stored(range.start)?)
        .bind(rows::stored(range.end)?)
        .all(db)
        .await?;
    Ok(rows.iter().map(rows::range).collect::<Result<_, _>>()?)
}

async fn put_in(db: &mut Session, id: DownloadId, range: &Range<u64>) -> Result<(), Fault<WorkerError>> {
    sqlx::query("INSERT INTO download_range (download_id, start_at, end_at) VALUES (?1, ?2, ?3)")
        .bind(id.get())
        .bind(rows::stored(range.start)?)
        .bind(rows::stored(range.end)?)
        .run(db)
        .await?;
    Ok(())
}

/// Reads the ranges of a download in order.
pub(crate) async fn load_ranges(db: &mut Session, id: DownloadId) -> Result<Vec<Range<u64>>, sqlx::Error> {
    let rows = sqlx::query(LOAD).bind(id.get()).all(db).await?;
    rows.iter().map(rows::range).collect()
}

/// Refuses a range that cannot be one of this representation.
pub(crate) fn out_of_bounds(range: &Range<u64>, total: Option<u64>) -> Fault<WorkerError> {
    refuse(WorkerError::OutOfBounds { start: range.start, end: range.end, total })
}

const SHRINK: &str = "
    UPDATE download SET durable = ?3, attempts_mark = min(attempts_mark, ?3), updated_at = ?4
    WHERE id = ?1 AND lease_epoch = ?2";

pub(crate) const LOAD: &str =
    "SELECT start_at, end_at FROM download_range WHERE download_id = ?1 ORDER BY start_at";

// Recorded ranges lie apart, so of those that begin at or before ours only the last can reach it: the search begins at
// that row and not at the first of the download.
pub(crate) const TAKE_OVERLAPPING: &str = "
    DELETE FROM download_range
    WHERE download_id = ?1 AND start_at < ?3 AND end_at > ?2
      AND start_at >= coalesce(
          (SELECT max(start_at) FROM download_range WHERE download_id = ?1 AND start_at <= ?2), ?2)
    RETURNING start_at, end_at";
