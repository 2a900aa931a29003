//! How long the past is kept: so many entries of every row, and finished rows until they are old.
//!
//! The limits of a row's history stand in the database, because a trigger enforces them, in the transaction that makes
//! the next entry.

use sqlx::SqliteConnection;

use crate::{Options, Registry, StorageError, Timestamp, session::Through};

impl Registry {
    /// Removes up to `limit` published or cancelled rows that last changed before `before`, and returns how many.
    ///
    /// Their history goes with them. Failed rows stay: they may own a part file; [`delete`](Self::delete) removes one.
    /// Rows an importer is to take stay until it said something about them; one whose `import` is `nobody` asks for no
    /// importer, and waits for none. Call it again until it returns less than `limit`; small bites leave room for others.
    pub async fn prune(
        &self,
        before: Timestamp,
        limit: u32,
        nobody: Option<&str>,
    ) -> Result<u64, StorageError> {
        let nobody = nobody.map(str::to_owned);
        self.write(move |db| {
            Box::pin(async move {
                let prune = sqlx::query(PRUNE).bind(before.as_millis()).bind(limit).bind(nobody);
                let pruned = prune.run(db).await?;
                if pruned > 0 {
                    // Gives the pages back to the disk a few at a time.
                    sqlx::query("PRAGMA incremental_vacuum(200)").run(db).await?;
                }
                Ok(pruned)
            })
        })
        .await
    }
}

/// Writes down how much history a row keeps, if that changed. Rows that have more lose it with their next entry.
pub(crate) async fn set(db: &mut SqliteConnection, options: &Options) -> Result<(), sqlx::Error> {
    sqlx::query(SET)
        .bind(options.keep_attempts.max(1))
        .bind(options.keep_transitions.max(1))
        .execute(db)
        .await
        .map(drop)
}

const SET: &str = "
    UPDATE history SET keep_attempts = ?1, keep_transitions = ?2
    WHERE keep_attempts <> ?1 OR keep_transitions <> ?2";

pub(crate) const PRUNE: &str = "
    DELETE FROM download WHERE id IN (
        SELECT id FROM download INDEXED BY download_finished
        WHERE state IN ('completed', 'imported', 'cancelled') AND updated_at < ?1
            AND (state <> 'completed' OR import IS NULL OR import = ?3 OR import_state IS NOT NULL)
        ORDER BY updated_at
        LIMIT ?2)";
