//! Putting downloads in line, and describing them once their peer answers.

use crate::{
    Download, DownloadState, EnqueueError, Fence, Metadata, NewDownload, Registry, Timestamp, WorkerError,
    rows,
    session::{Session, Through},
    step::{Possessions, conflict, held},
    writer::{Fault, refuse},
};

impl Registry {
    /// Puts a download in line (or aside, if it starts out paused) and returns its row.
    ///
    /// # Errors
    /// [`EnqueueError::Conflict`] names the live download that already has the target, the part file or the item.
    pub async fn enqueue(&self, new: &NewDownload, now: Timestamp) -> Result<Download, EnqueueError> {
        let new = new.clone();
        self.write(move |db| Box::pin(async move { insert(db, &new, now).await })).await
    }

    /// Writes down what the peer's answer told about a download.
    ///
    /// The size is taken over only while no byte is durable: afterwards it belongs to the bytes.
    ///
    /// # Errors
    /// [`WorkerError::Conflict`] names the live download that already has the target or the part file.
    pub async fn describe(
        &self,
        fence: &Fence,
        metadata: &Metadata,
        now: Timestamp,
    ) -> Result<Download, WorkerError> {
        let (fence, metadata) = (*fence, metadata.clone());
        self.write(move |db| Box::pin(async move { describe(db, fence, &metadata, now).await })).await
    }
}

async fn insert(
    db: &mut Session,
    new: &NewDownload,
    now: Timestamp,
) -> Result<Download, Fault<EnqueueError>> {
    let identity = rows::stored_identity(&new.identity)?;
    let state = if new.paused { DownloadState::Paused } else { DownloadState::Queued };
    let inserted = sqlx::query(INSERT)
        .bind(new.peer.as_deref())
        .bind(new.item.as_deref())
        .bind(&new.url)
        .bind(new.filename.as_deref())
        .bind(new.target.as_deref())
        .bind(new.part.as_deref())
        .bind(state.as_str())
        .bind(new.priority.get())
        .bind(identity.total)
        .bind(identity.source)
        .bind(identity.validator)
        .bind(rows::maybe_stored(new.limit_down)?)
        .bind(new.import.as_deref())
        .bind(new.digests.sha256.as_ref().map(<[u8; 32]>::as_slice))
        .bind(new.digests.blake3.as_ref().map(<[u8; 32]>::as_slice))
        .bind(now.as_millis())
        .one(db.last())
        .await;
    match inserted {
        Ok(row) => Ok(rows::download(&row)?),
        Err(error) => Err(explain(db, new, error).await?),
    }
}

/// Tells what stands in the way of a row. Mostly nothing does, so this is asked when a unique index has said no.
async fn explain(
    db: &mut Session,
    new: &NewDownload,
    error: sqlx::Error,
) -> Result<Fault<EnqueueError>, sqlx::Error> {
    if error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation) {
        let wanted = Possessions {
            target: new.target.as_deref(),
            part: new.part.as_deref(),
            item: new.peer.as_deref().zip(new.item.as_deref()),
        };
        if let Some(conflict) = conflict(db, wanted, None).await? {
            return Ok(refuse(conflict));
        }
    }
    Ok(error.into())
}

async fn describe(
    db: &mut Session,
    fence: Fence,
    metadata: &Metadata,
    now: Timestamp,
) -> Result<Download, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    let wanted =
        Possessions { target: metadata.target.as_deref(), part: metadata.part.as_deref(), item: None };
    if let Some(conflict) = conflict(db, wanted, Some(row.id)).await? {
        return Err(refuse(conflict));
    }
    let total = metadata.total.filter(|_| row.durable == 0);
    let row = sqlx::query(DESCRIBE)
        .bind(row.id.get())
        .bind(rows::stored(fence.epoch())?)
        .bind(metadata.filename.as_deref())
        .bind(metadata.target.as_deref())
        .bind(metadata.part.as_deref())
        .bind(rows::maybe_stored(total.map(|total| total.bytes))?)
        .bind(total.map(|total| total.source.as_str()))
        .bind(now.as_millis())
        .one(db)
        .await?;
    Ok(rows::download(&row)?)
}

const INSERT: &str = "
    INSERT INTO download (
        peer, item, url, filename, target, part, state, last_event, priority, total, total_source, validator,
        limit_down, import, sha256, blake3, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'enqueued', ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16)
    RETURNING *";

const DESCRIBE: &str = "
    UPDATE download SET
        filename = coalesce(?3, filename), target = coalesce(?4, target), part = coalesce(?5, part),
        total = coalesce(?6, total), total_source = coalesce(?7, total_source), updated_at = ?8
    WHERE id = ?1 AND lease_epoch = ?2
    RETURNING *";
