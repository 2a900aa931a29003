//! Looking after the database itself: copies and checks, while it is in use.

use std::{io, path::Path, time::Duration};

use sqlx::{ConnectOptions, Connection, SqlitePool};

use crate::{
    OpenError, Registry, StorageError, open,
    registry::{connect_options, read_error},
    schema,
    session::Through,
    soundness::{self, Moment},
};

impl Registry {
    /// Writes a consistent copy of the database to `path`, whole and checked or not at all, while writes go on.
    ///
    /// The copy is one file, readable by its owner only, and synced. A file that is there already is replaced, unless
    /// it is this database. It is taken of the open database, so it works even when the file was deleted meanwhile.
    ///
    /// # Errors
    /// [`OpenError`] about the copy.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), OpenError> {
        let copy = open::absolute(path.as_ref())?;
        if copy.exists() && self.place().names(&copy) {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, "a copy cannot replace its original");
            return Err(OpenError::Io { path: copy, source });
        }
        let mut db = self.readers().acquire().await.map_err(|error| open::storage(&copy, &error))?;
        schema::copy_into(&mut db, &copy).await
    }

    /// Folds the write-ahead log into the database, gives free pages back to the disk and keeps the planner's
    /// statistics up to date. Call it now and then, when there is little else to do; closing does it as well.
    ///
    /// A reader or writer in the middle of something is waited for, up to the busy timeout; then the log stays.
    pub async fn tidy(&self) -> Result<(), StorageError> {
        self.write(|db| {
            Box::pin(async move {
                sqlx::query("PRAGMA incremental_vacuum(1000)").run(db).await?;
                sqlx::query("PRAGMA optimize").run(db).await?;
                Ok(())
            })
        })
        .await?;
        // On a connection of its own: the writer is always in a transaction, and a checkpoint cannot be.
        let mut db = connect_options(self.path(), FOLD_BUSY).connect().await.map_err(read_error)?;
        let folded = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut db).await;
        db.close().await.map_err(read_error)?;
        soundness::note(self.path(), Moment::InUse);
        folded.map(drop).map_err(read_error)
    }

    /// Checks the whole database, every index and every reference, and returns what is wrong; empty if all is well.
    ///
    /// Reads every page: about a second for 30 MiB.
    pub async fn check(&self) -> Result<Vec<String>, StorageError> {
        let mut problems = damage(self.readers()).await?;
        problems.extend(contradictions(self.readers()).await?);
        Ok(problems)
    }
}

/// What SQLite itself finds wrong with a database.
pub(crate) async fn damage(db: &SqlitePool) -> Result<Vec<String>, StorageError> {
    let mut problems: Vec<String> =
        sqlx::query_scalar("PRAGMA integrity_check").fetch_all(db).await.map_err(read_error)?;
    problems.retain(|line| line != "ok");
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(db).await.map_err(read_error)?;
    if !dangling.is_empty() {
        problems.push(format!("{} rows refer to rows that are not there", dangling.len()));
    }
    Ok(problems)
}

/// What rows of the newest schema say against each other.
pub(crate) async fn contradictions(db: &SqlitePool) -> Result<Vec<String>, StorageError> {
    let mut problems = Vec::new();
    for (count, what) in [
        (DRIFT, "downloads count other bytes than their ranges"),
        (ASTRAY, "downloads have another address than their first source"),
        (MISCOUNTED, "states count other downloads than there are"),
    ] {
        let found: i64 = sqlx::query_scalar(count).fetch_one(db).await.map_err(read_error)?;
        if found > 0 {
            problems.push(format!("{found} {what}"));
        }
    }
    Ok(problems)
}

/// Published rows keep their length and drop their ranges; for all others both must agree.
const DRIFT: &str = "
    SELECT count(*) FROM download
    WHERE state NOT IN ('completed', 'import_queued', 'imported')
      AND durable <> (SELECT coalesce(sum(end_at - start_at), 0) FROM download_range WHERE download_id = download.id)";

const ASTRAY: &str = "
    SELECT count(*) FROM download
    WHERE url IS NOT (SELECT url FROM source WHERE download_id = download.id ORDER BY n LIMIT 1)";

const MISCOUNTED: &str = "
    SELECT count(*) FROM download_state AS word
    WHERE coalesce((SELECT n FROM state_count WHERE state = word.name), 0)
        <> (SELECT count(*) FROM download WHERE state = word.name)";

/// Folding the log is housekeeping: whoever has something to do goes first.
const FOLD_BUSY: Duration = Duration::from_secs(1);
