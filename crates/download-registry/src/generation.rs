//! Which representation the bytes on disk belong to.
//!
//! The bytes of two representations are never mixed: when the one being fetched changes, a new generation starts from
//! zero. That is recorded before the file is truncated, so that no crash leaves a row that claims bytes of the old one.

use std::ops::Range;

use crate::{
    Download, DownloadId, Event, Fence, Identity, IllegalTransition, Layout, Registry, Restart, StorageError,
    Timestamp, WorkerError,
    ranges::{LOAD, out_of_bounds},
    registry::read_error,
    rows,
    session::{Session, Through},
    step::{FIND, held},
    writer::{Fault, refuse},
};

/// Where a download stands: what a worker needs to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResumePoint {
    /// Number of the representation, from 1; 0 before the first byte.
    pub generation: u64,
    /// Its complete-length and validator.
    pub identity: Identity,
    /// How the written bytes lie in the part file; [`Layout::Prefix`] before the first byte.
    pub layout: Layout,
    /// Durable ranges in order; none overlap or touch.
    pub ranges: Vec<Range<u64>>,
}

impl Registry {
    async fn point(&self, id: DownloadId) -> Result<Option<ResumePoint>, sqlx::Error> {
        let mut db = self.readers().begin().await?;
        let row = sqlx::query(FIND).bind(id.get()).fetch_optional(&mut *db).await?;
        let Some(row) = row.as_ref().map(rows::download).transpose()? else { return Ok(None) };
        let ranges = sqlx::query(LOAD).bind(id.get()).fetch_all(&mut *db).await?;
        let ranges = ranges.iter().map(rows::range).collect::<Result<_, _>>()?;
        let Download { generation, identity, layout, .. } = row;
        Ok(Some(ResumePoint { generation, identity, layout, ranges }))
    }

    /// Returns the identity, the layout and the durable ranges of a download, as of one moment; `None` if there is no such row.
    pub async fn resume_point(&self, id: DownloadId) -> Result<Option<ResumePoint>, StorageError> {
        self.point(id).await.map_err(read_error)
    }

    /// Starts a generation from zero and returns its number: no byte of the one before counts any more, and its part
    /// file begins as a [`Layout::Prefix`].
    ///
    /// Call it before the first byte of a download, and before the part file is truncated whenever the representation
    /// turns out to be another one or its bytes cannot be trusted; say why in `restart` then, and it is counted, logged
    /// and kept on the row. A download that was being finalized is being fetched again afterwards.
    ///
    /// # Errors
    /// [`WorkerError::IdentityChanged`] if bytes are durable and `restart` does not say why they are given up.
    pub async fn begin_generation(
        &self,
        fence: &Fence,
        identity: &Identity,
        restart: Option<&Restart>,
        now: Timestamp,
    ) -> Result<u64, WorkerError> {
        let (fence, identity, restart) = (*fence, identity.clone(), restart.cloned());
        self.write(move |db| {
            Box::pin(async move { begin_generation(db, fence, &identity, restart.as_ref(), now).await })
        })
        .await
    }

    /// Adds what was learnt about the representation while its bytes arrived. `None` leaves what is known.
    ///
    /// # Errors
    /// [`WorkerError::IdentityChanged`] if bytes are durable and the total or a strong validator would become another
    /// one; that takes [`begin_generation`](Self::begin_generation). A weak validator (`W/…`) may be replaced.
    /// [`WorkerError::OutOfBounds`] if the total is smaller than what is durable.
    pub async fn adopt_identity(
        &self,
        fence: &Fence,
        generation: u64,
        identity: &Identity,
        now: Timestamp,
    ) -> Result<(), WorkerError> {
        let (fence, identity) = (*fence, identity.clone());
        self.write(move |db| Box::pin(async move { adopt(db, fence, generation, &identity, now).await }))
            .await
    }
}

async fn begin_generation(
    db: &mut Session,
    fence: Fence,
    identity: &Identity,
    restart: Option<&Restart>,
    now: Timestamp,
) -> Result<u64, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    let state = row.state.after(&Event::Restarted).map_err(refuse)?;
    if restart.is_none() {
        // To give bytes up is a restart, and a restart has a reason.
        if row.durable > 0 {
            return Err(refuse(WorkerError::IdentityChanged { durable: row.durable }));
        }
        if state != row.state {
            return Err(refuse(IllegalTransition { from: row.state, event: Event::Restarted }));
        }
    }
    let identity = rows::stored_identity(identity)?;
    sqlx::query("DELETE FROM download_range WHERE download_id = ?1").bind(row.id.get()).run(db).await?;
    // Only a restart is an event: the statements differ in whether they name the state.
    let statement = if restart.is_some() { RESTART } else { BEGIN };
    let changed = sqlx::query(statement)
        .bind(row.id.get())
        .bind(rows::stored(fence.epoch())?)
        .bind(identity.total)
        .bind(identity.source)
        .bind(identity.validator)
        .bind(now.as_millis())
        .bind(restart.map(|restart| restart.reason.as_str()))
        .bind(rows::maybe_stored(restart.map(|restart| restart.discarded))?)
        .one(db)
        .await?;
    Ok(rows::number(&changed, "generation")?)
}

async fn adopt(
    db: &mut Session,
    fence: Fence,
    generation: u64,
    identity: &Identity,
    now: Timestamp,
) -> Result<(), Fault<WorkerError>> {
    let row = held_at(db, fence, generation).await?;
    let known = &row.identity;
    let other_total = known.total.zip(identity.total).is_some_and(|(known, new)| known.bytes != new.bytes);
    // A weak validator (`W/…`) binds no bytes: whoever proved in another way that they belong together may replace it.
    let binding = known.validator.as_deref().filter(|known| !known.starts_with("W/"));
    let other_validator =
        binding.is_some() && identity.validator.is_some() && binding != identity.validator.as_deref();
    if row.durable > 0 && (other_total || other_validator) {
        return Err(refuse(WorkerError::IdentityChanged { durable: row.durable }));
    }
    let total = identity.total.or(known.total);
    if let Some(total) = total.filter(|total| total.bytes < row.durable) {
        return Err(out_of_bounds(&(0..row.durable), Some(total.bytes)));
    }
    let validator = identity.validator.clone().or_else(|| known.validator.clone());
    let learnt = Identity { total, validator };
    let identity = rows::stored_identity(&learnt)?;
    sqlx::query(ADOPT)
        .bind(row.id.get())
        .bind(rows::stored(fence.epoch())?)
        .bind(identity.total)
        .bind(identity.source)
        .bind(identity.validator)
        .bind(now.as_millis())
        .run(db)
        .await?;
    Ok(())
}

/// Reads the row a worker holds, if it is still at the generation the worker writes for.
pub(crate) async fn held_at(
    db: &mut Session,
    fence: Fence,
    generation: u64,
) -> Result<Download, Fault<WorkerError>> {
    let row = held(db, fence).await?;
    if row.generation == generation {
        return Ok(row);
    }
    Err(refuse(WorkerError::StaleGeneration { asked: generation, current: row.generation }))
}

const BEGIN: &str = "
    UPDATE download SET
        generation = generation + 1, layout = 'prefix', durable = 0, attempts_mark = 0,
        total = ?3, total_source = ?4, validator = ?5, updated_at = ?6
    WHERE id = ?1 AND lease_epoch = ?2
    RETURNING generation";

const RESTART: &str = "
    UPDATE download SET
        state = 'downloading', last_event = 'restarted', last_reason = ?7,
        generation = generation + 1, layout = 'prefix', durable = 0, attempts_mark = 0,
        total = ?3, total_source = ?4, validator = ?5, updated_at = ?6,
        restarts = restarts + 1, last_restart_reason = ?7, last_restart_discarded = ?8, last_restart_at = ?6
    WHERE id = ?1 AND lease_epoch = ?2
    RETURNING generation";

const ADOPT: &str = "
    UPDATE download SET total = ?3, total_source = ?4, validator = ?5, updated_at = ?6
    WHERE id = ?1 AND lease_epoch = ?2";
