//! What someone who holds no lease may order: pause, resume, retry, cancel, delete, and the importer's news.
//!
//! An order takes effect at once. A worker that was busy with the row learns it from its next write, which is refused;
//! who wants its last bytes recorded stops it first.

use crate::{
    Download, DownloadId, Event, OperatorError, Priority, Problem, Registry, StorageError, Timestamp, rows,
    session::{Session, Through},
    step::{Step, conflict, find, possessions},
    writer::{Fault, refuse},
};

impl Registry {
    /// Sets a download aside. What is durable is kept.
    pub async fn pause(&self, id: DownloadId, now: Timestamp) -> Result<Download, OperatorError> {
        self.order(id, Event::Paused, now).await
    }

    /// Puts a paused download back in line, at its old place.
    pub async fn resume(&self, id: DownloadId, now: Timestamp) -> Result<Download, OperatorError> {
        self.order(id, Event::Resumed, now).await
    }

    /// Puts a failed or waiting download back in line with a fresh count of failures. What is durable is kept.
    ///
    /// # Errors
    /// [`OperatorError::Conflict`] if a live download has taken its destination or its item meanwhile.
    pub async fn retry(&self, id: DownloadId, now: Timestamp) -> Result<Download, OperatorError> {
        self.write(move |db| {
            Box::pin(async move {
                let row = existing(db, id).await?;
                come_back(db, &row, Event::RetryRequested, now).await
            })
        })
        .await
    }

    /// Calls a download off and forgets its bytes; the caller deletes the part file afterwards. The row stays.
    ///
    /// Stop its worker first: one that is just renaming the file into place would publish it all the same.
    pub async fn cancel(&self, id: DownloadId, now: Timestamp) -> Result<Download, OperatorError> {
        self.write(move |db| Box::pin(async move { cancel(db, id, now).await })).await
    }

    /// Fails a download that no worker gets to fail: one that may not run at all, or was superseded.
    ///
    /// With `retry_at` it comes back by itself then. A worker that holds it is fenced off.
    pub async fn reject(
        &self,
        id: DownloadId,
        problem: &Problem,
        retryable: bool,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        let problem = problem.clone();
        self.write(move |db| {
            Box::pin(async move {
                let row = existing(db, id).await?;
                let step = Step::new(Event::Failed).because(&problem).retryable(retryable).retry_at(retry_at);
                step.take(db, &row, now).await
            })
        })
        .await
    }

    /// Removes a row with its ranges and its history, and returns it as it was: its files are the caller's to delete.
    ///
    /// Any state will do. A worker that holds it is fenced off.
    pub async fn delete(&self, id: DownloadId) -> Result<Download, OperatorError> {
        self.write(move |db| {
            Box::pin(async move {
                let row = existing(db, id).await?;
                sqlx::query("DELETE FROM download WHERE id = ?1").bind(id.get()).run(db).await?;
                Ok(row)
            })
        })
        .await
    }

    /// Lets rows of a peer that wait because of a problem of this kind run at once, and returns how many. Nothing else
    /// about them changes, their count of failures neither.
    pub async fn hurry_waiting(&self, peer: &str, kind: &str, now: Timestamp) -> Result<u64, StorageError> {
        let (peer, kind) = (peer.to_owned(), kind.to_owned());
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query(HURRY).bind(peer).bind(kind).bind(now.as_millis());
                Ok(query.run(db).await?)
            })
        })
        .await
    }

    /// Changes how eagerly a download is served.
    pub async fn set_priority(
        &self,
        id: DownloadId,
        priority: Priority,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        let value = Some(i64::from(priority.get()));
        self.set(
            id,
            "UPDATE download SET priority = ?2, updated_at = ?3 WHERE id = ?1 RETURNING *",
            value,
            now,
        )
        .await
    }

    /// Changes the limit of a download in bytes per second; `None` lifts it.
    pub async fn set_limit_down(
        &self,
        id: DownloadId,
        limit: Option<u64>,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        let value = rows::maybe_stored(limit)?;
        self.set(
            id,
            "UPDATE download SET limit_down = ?2, updated_at = ?3 WHERE id = ?1 RETURNING *",
            value,
            now,
        )
        .await
    }

    /// Says that an importer was asked to take the published file; `note` is kept for people to read.
    pub async fn import_queued(
        &self,
        id: DownloadId,
        note: &str,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        self.import(id, Event::ImportQueued, note, now).await
    }

    /// Says that the importer has the file.
    pub async fn imported(
        &self,
        id: DownloadId,
        note: &str,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        self.import(id, Event::Imported, note, now).await
    }

    /// Says that the importer did not take the file: the row is `completed` again.
    pub async fn import_failed(
        &self,
        id: DownloadId,
        note: &str,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        self.import(id, Event::ImportFailed, note, now).await
    }

    /// Keeps the importer's latest news without a change of state.
    pub async fn set_import_state(
        &self,
        id: DownloadId,
        note: &str,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        let note = Some(note.to_owned());
        self.set(
            id,
            "UPDATE download SET import_state = ?2, updated_at = ?3 WHERE id = ?1 RETURNING *",
            note,
            now,
        )
        .await
    }

    async fn order(&self, id: DownloadId, event: Event, now: Timestamp) -> Result<Download, OperatorError> {
        self.write(move |db| {
            Box::pin(async move {
                let row = existing(db, id).await?;
                Step::new(event).take(db, &row, now).await
            })
        })
        .await
    }

    async fn import(
        &self,
        id: DownloadId,
        event: Event,
        note: &str,
        now: Timestamp,
    ) -> Result<Download, OperatorError> {
        let note = note.to_owned();
        self.write(move |db| {
            Box::pin(async move {
                let row = existing(db, id).await?;
                let mut row = Step::new(event).take::<OperatorError>(db, &row, now).await?;
                sqlx::query("UPDATE download SET import_state = ?2 WHERE id = ?1")
                    .bind(id.get())
                    .bind(&note)
                    .run(db)
                    .await?;
                row.import_state = Some(note);
                Ok(row)
            })
        })
        .await
    }

    async fn set<V>(
        &self,
        id: DownloadId,
        statement: &'static str,
        value: Option<V>,
        now: Timestamp,
    ) -> Result<Download, OperatorError>
    where
        V: for<'q> sqlx::Encode<'q, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + 'static,
    {
        self.write(move |db| {
            Box::pin(async move {
                let query = sqlx::query(statement).bind(id.get()).bind(value).bind(now.as_millis());
                let row = query.maybe(db).await?;
                let row = row.as_ref().map(rows::download).transpose()?;
                row.ok_or_else(|| refuse(OperatorError::NotFound(id)))
            })
        })
        .await
    }
}

/// Puts a row that was not live back in line, unless its place was taken.
pub(crate) async fn come_back(
    db: &mut Session,
    row: &Download,
    event: Event,
    now: Timestamp,
) -> Result<Download, Fault<OperatorError>> {
    // The state is asked first: "it is completed" is a better answer than "someone else has its name".
    row.state.after(&event).map_err(refuse)?;
    if let Some(conflict) = conflict(db, possessions(row), Some(row.id)).await? {
        return Err(refuse(conflict));
    }
    Step::new(event).attempts(0, row.durable).take(db, row, now).await
}

async fn cancel(db: &mut Session, id: DownloadId, now: Timestamp) -> Result<Download, Fault<OperatorError>> {
    let row = existing(db, id).await?;
    let _: Download = Step::new(Event::Cancelled).take::<OperatorError>(db, &row, now).await?;
    // First the record, then the file: a row must not claim bytes that are about to go.
    sqlx::query("DELETE FROM download_range WHERE download_id = ?1").bind(id.get()).run(db).await?;
    let row = sqlx::query("UPDATE download SET durable = 0, attempts_mark = 0 WHERE id = ?1 RETURNING *")
        .bind(id.get())
        .one(db)
        .await?;
    Ok(rows::download(&row)?)
}

pub(crate) async fn existing(db: &mut Session, id: DownloadId) -> Result<Download, Fault<OperatorError>> {
    find(db, id).await?.ok_or_else(|| refuse(OperatorError::NotFound(id)))
}

/// Without naming `state`: an earlier turn is no history.
pub(crate) const HURRY: &str = "
    UPDATE download INDEXED BY download_lane SET retry_at = ?3
    WHERE peer = ?1 AND state IN ('queued', 'waiting')
      AND state = 'waiting' AND error_kind = ?2 AND retry_at > ?3";
