//! What to do about rows whose worker is gone, and about failed rows whose time has come.

use std::time::Duration;

use crate::{
    Claim, Conflict, Download, DownloadId, DownloadState, Event, IllegalTransition, OperatorError, Problem,
    Registry, StorageError, Timestamp,
    operator::come_back,
    rows,
    session::{Session, Through},
    step::Step,
    writer::Fault,
};

/// What recovery found.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Recovered {
    /// Rows that were being fetched and are in line again, with everything that was durable.
    pub requeued: Vec<DownloadId>,
    /// Rows whose bytes are all durable, claimed for the caller to publish.
    pub finalizing: Vec<Claim>,
}

impl Registry {
    /// Takes back what a dead process held: every row leased by `owner`, and every row whose lease has run out.
    ///
    /// Call it once at start, before anything is claimed: `owner` is the name this process claims under, which its
    /// predecessor used as well. Rows that were being fetched go back in line at once, with their count of failures
    /// unchanged. Rows that were being finalized are claimed for `owner` until `now + lease_for` and returned.
    pub async fn recover(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Recovered, StorageError> {
        self.take_back(owner, true, now, lease_for).await
    }

    /// Takes back rows whose lease has run out, whoever held them; otherwise like [`recover`](Self::recover).
    ///
    /// Call it now and then while running: it finds rows whose worker was lost without a trace.
    pub async fn recover_expired(
        &self,
        owner: &str,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Recovered, StorageError> {
        self.take_back(owner, false, now, lease_for).await
    }

    /// Puts failed rows whose `retry_at` has come back in line, with a fresh count of failures, and returns them.
    ///
    /// At most 500 at once, those that waited longest first: call it again while there are as many.
    /// A row whose destination or item a live download has taken meanwhile stays failed, with `superseded` as its
    /// problem, and will not come back by itself any more.
    pub async fn revive_failed(&self, now: Timestamp) -> Result<Vec<DownloadId>, StorageError> {
        self.write(move |db| Box::pin(async move { revive(db, now).await })).await
    }

    async fn take_back(
        &self,
        owner: &str,
        own: bool,
        now: Timestamp,
        lease_for: Duration,
    ) -> Result<Recovered, StorageError> {
        let owner = owner.to_owned();
        let until = now.saturating_add(lease_for);
        self.write(move |db| Box::pin(async move { take_back(db, &owner, own, now, until).await })).await
    }
}

async fn take_back(
    db: &mut Session,
    owner: &str,
    own: bool,
    now: Timestamp,
    until: Timestamp,
) -> Result<Recovered, Fault<StorageError>> {
    let lost = sqlx::query(LOST).bind(own.then_some(owner)).bind(now.as_millis()).all(db).await?;
    let mut recovered = Recovered::default();
    for row in &lost {
        let row = rows::download(row)?;
        let ours = own && row.lease.as_ref().is_some_and(|lease| lease.owner == owner);
        let event = if ours { Event::Recovered } else { Event::LeaseExpired };
        if row.state == DownloadState::Finalizing {
            recovered.finalizing.push(claim_to_finish(db, &row, event, owner, now, until).await?);
        } else {
            let _: Download = Step::new(event).take(db, &row, now).await.map_err(inconsistent)?;
            recovered.requeued.push(row.id);
        }
    }
    if !lost.is_empty() {
        let (requeued, finalizing) = (recovered.requeued.len(), recovered.finalizing.len());
        tracing::info!(requeued, finalizing, "took back rows whose worker is gone");
    }
    Ok(recovered)
}

async fn claim_to_finish(
    db: &mut Session,
    row: &Download,
    event: Event,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Claim, Fault<StorageError>> {
    let row = sqlx::query(TAKE_OVER)
        .bind(row.id.get())
        .bind(event.as_str())
        .bind(now.as_millis())
        .bind(owner)
        .bind(until.as_millis())
        .one(db)
        .await?;
    Ok(Claim::new(rows::download(&row)?))
}

async fn revive(db: &mut Session, now: Timestamp) -> Result<Vec<DownloadId>, Fault<StorageError>> {
    let due = sqlx::query(DUE).bind(now.as_millis()).all(db).await?;
    let mut revived = Vec::new();
    for row in &due {
        let row = rows::download(row)?;
        match come_back(db, &row, Event::Revived, now).await {
            Ok(_) => revived.push(row.id),
            Err(Fault::Storage(error)) => return Err(error.into()),
            Err(Fault::Refused(refusal)) => supersede(db, &row, &refusal).await?,
        }
    }
    Ok(revived)
}

/// A row whose place was taken does not ask again, and says who has it.
async fn supersede(db: &mut Session, row: &Download, refusal: &OperatorError) -> Result<(), sqlx::Error> {
    let problem = match (refusal, &row.error) {
        (OperatorError::Conflict(Conflict { id, .. }), Some(error)) => {
            let message = format!("download {id} has taken its place; before that: {}", error.message);
            Some(Problem::new("superseded", message))
        }
        _ => None,
    };
    sqlx::query(SUPERSEDE)
        .bind(row.id.get())
        .bind(problem.as_ref().map(|problem| problem.kind.as_str()))
        .bind(problem.as_ref().map(|problem| problem.message.as_str()))
        .run(db)
        .await
        .map(drop)
}

/// A leased row can always be taken back; one that cannot was changed by other hands.
fn inconsistent(fault: Fault<IllegalTransition>) -> Fault<StorageError> {
    match fault {
        Fault::Storage(error) => Fault::Storage(error),
        Fault::Refused(refusal) => Fault::Storage(StorageError::inconsistent(&refusal)),
    }
}

/// Few rows are leased, so all of them are looked at.
pub(crate) const LOST: &str = "
    SELECT * FROM download INDEXED BY download_lease
    WHERE lease_owner IS NOT NULL AND (lease_owner = ?1 OR lease_until <= ?2)
    ORDER BY id";

const TAKE_OVER: &str = "
    UPDATE download SET
        state = state, last_event = ?2, last_reason = NULL, updated_at = ?3,
        lease_owner = ?4, lease_epoch = lease_epoch + 1, lease_until = ?5
    WHERE id = ?1
    RETURNING *";

const SUPERSEDE: &str = "
    UPDATE download SET
        retry_at = NULL, error_kind = coalesce(?2, error_kind), error_message = coalesce(?3, error_message)
    WHERE id = ?1";

pub(crate) const DUE: &str = "
    SELECT * FROM download INDEXED BY download_due
    WHERE state = 'failed' AND retry_at <= ?1
    ORDER BY retry_at, id
    LIMIT 500";
