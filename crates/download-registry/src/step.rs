//! The one door through which a row changes its state.

use sqlx::Row;

use crate::{
    Conflict, Download, DownloadId, Event, Fence, IllegalTransition, Problem, Timestamp, WorkerError,
    error::Claimed,
    rows,
    session::{Session, Through},
    writer::{Fault, refuse},
};

/// A move from one state to another, with what changes along with it.
pub(crate) struct Step<'a> {
    event: Event,
    reason: Option<&'a str>,
    problem: Option<&'a Problem>,
    retry_at: Option<Timestamp>,
    retryable: bool,
    attempts: Option<(u32, u64)>,
}

impl<'a> Step<'a> {
    pub(crate) fn new(event: Event) -> Self {
        Self { event, reason: None, problem: None, retry_at: None, retryable: false, attempts: None }
    }

    /// Keeps `problem` on the row and its kind in the log.
    pub(crate) fn because(self, problem: &'a Problem) -> Self {
        Self { problem: Some(problem), reason: Some(&problem.kind), ..self }
    }

    pub(crate) fn retry_at(self, at: Option<Timestamp>) -> Self {
        Self { retry_at: at, ..self }
    }

    pub(crate) fn retryable(self, retryable: bool) -> Self {
        Self { retryable, ..self }
    }

    /// Sets the count of failed tries, and the durable length it was counted at.
    pub(crate) fn attempts(self, count: u32, mark: u64) -> Self {
        Self { attempts: Some((count, mark)), ..self }
    }

    /// Takes `row` through the step and returns it as it is afterwards.
    pub(crate) async fn take<E>(
        self,
        db: &mut Session,
        row: &Download,
        now: Timestamp,
    ) -> Result<Download, Fault<E>>
    where
        E: From<IllegalTransition>,
    {
        let to = row.state.after(&self.event).map_err(refuse)?;
        let (attempts, mark) = self.attempts.unzip();
        let changed = sqlx::query(STEP)
            .bind(row.id.get())
            .bind(row.state.as_str())
            .bind(rows::stored(row.lease_epoch)?)
            .bind(to.as_str())
            .bind(self.event.as_str())
            .bind(self.reason)
            .bind(now.as_millis())
            .bind(self.retry_at.map(Timestamp::as_millis))
            .bind(self.retryable)
            .bind(attempts)
            .bind(rows::maybe_stored(mark)?)
            .bind(self.problem.is_none() && !clears_the_error(self.event))
            .bind(self.problem.map(|problem| problem.kind.as_str()))
            .bind(self.problem.map(|problem| problem.message.as_str()))
            .bind(to.is_leased())
            .bind(to.is_published())
            .one(db)
            .await?;
        Ok(rows::download(&changed)?)
    }
}

/// What was in the way does not outlive the moment it no longer is.
fn clears_the_error(event: Event) -> bool {
    matches!(event, Event::Published | Event::RetryRequested | Event::Revived | Event::Resumed)
}

/// Reads a row inside a transaction.
pub(crate) async fn find(db: &mut Session, id: DownloadId) -> Result<Option<Download>, sqlx::Error> {
    let row = sqlx::query(FIND).bind(id.get()).maybe(db).await?;
    row.as_ref().map(rows::download).transpose()
}

/// Reads the row a worker holds, or tells it that it does not hold it any more.
pub(crate) async fn held(db: &mut Session, fence: Fence) -> Result<Download, Fault<WorkerError>> {
    let row = find(db, fence.id()).await?;
    let held = row.filter(|row| row.lease_epoch == fence.epoch() && row.lease.is_some());
    held.ok_or_else(|| refuse(fence.refusal()))
}

/// What a row takes possession of while it is live.
pub(crate) struct Possessions<'a> {
    pub(crate) target: Option<&'a str>,
    pub(crate) part: Option<&'a str>,
    pub(crate) item: Option<(&'a str, &'a str)>,
}

/// Finds the live row that already has one of `wanted`; `except` is the row that wants them.
///
/// Whoever asks holds the write lock, so what is free now is free when it is taken. The unique indexes stand behind it.
pub(crate) async fn conflict(
    db: &mut Session,
    wanted: Possessions<'_>,
    except: Option<DownloadId>,
) -> Result<Option<Conflict>, sqlx::Error> {
    let (peer, item) = wanted.item.unzip();
    let row = sqlx::query(CONFLICT)
        .bind(wanted.target)
        .bind(wanted.part)
        .bind(peer)
        .bind(item)
        .bind(except.map(DownloadId::get))
        .maybe(db)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let what = match row.try_get("what")? {
        "target" => Claimed::Target,
        "part" => Claimed::Part,
        _ => Claimed::Item,
    };
    Ok(Some(Conflict { id: DownloadId::new(row.try_get("id")?), what }))
}

/// What `row` takes possession of when it comes back to life.
pub(crate) fn possessions(row: &Download) -> Possessions<'_> {
    Possessions {
        target: row.target.as_deref(),
        part: row.part.as_deref(),
        item: row.peer.as_deref().zip(row.item.as_deref()),
    }
}

pub(crate) const FIND: &str = "SELECT * FROM download WHERE id = ?1";

/// Naming `state` is what makes the database write history, even where the state stays the same.
pub(crate) const STEP: &str = "
    UPDATE download SET
        state = ?4, last_event = ?5, last_reason = ?6, updated_at = ?7,
        retry_at = ?8, retryable = ?9,
        attempts = coalesce(?10, attempts), attempts_mark = coalesce(?11, attempts_mark),
        error_kind = CASE WHEN ?12 THEN error_kind ELSE ?13 END,
        error_message = CASE WHEN ?12 THEN error_message ELSE ?14 END,
        lease_owner = CASE WHEN ?15 THEN lease_owner END,
        lease_until = CASE WHEN ?15 THEN lease_until END,
        completed_at = CASE WHEN ?16 THEN coalesce(completed_at, ?7) END
    WHERE id = ?1 AND state = ?2 AND lease_epoch = ?3
    RETURNING *";

// Three questions, each with the index that answers it: asked as one, every live row would be looked at.
pub(crate) const CONFLICT: &str = "
    SELECT id, 'target' AS what FROM download INDEXED BY download_live_target
    WHERE target = ?1 AND id IS NOT ?5
      AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing')
    UNION ALL
    SELECT id, 'part' FROM download INDEXED BY download_live_part
    WHERE part = ?2 AND id IS NOT ?5
      AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing')
    UNION ALL
    SELECT id, 'item' FROM download INDEXED BY download_live_item
    WHERE peer = ?3 AND item = ?4 AND id IS NOT ?5
      AND state IN ('queued', 'downloading', 'waiting', 'paused', 'finalizing')
    LIMIT 1";
