//! The write-ahead log, folded back into the database beside the writer.
//!
//! SQLite would do it in the middle of whichever commit makes the log too long, and that caller would wait for some
//! thousand pages to be copied and synced. Here another connection does most of that while commits go on. Only the
//! last bit, what was appended in the meantime, is folded while the writer stands still: the log can begin anew then,
//! which it cannot while something is always being added. So its length stays bounded however busy the writer is.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use sqlx::{Connection, Row, SqliteConnection};
use tokio::{
    sync::{Mutex, MutexGuard, Notify},
    task::JoinHandle,
};

use crate::soundness::{self, Moment};

/// The writer's side: it says what it wrote, and waits where it has to.
#[derive(Debug)]
pub(crate) struct Folder {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    /// Writes since the other side looked at the log.
    writes: usize,
}

#[derive(Debug, Default)]
struct Shared {
    /// Held by the writer while it is in a transaction.
    gate: Mutex<()>,
    /// Enough was written for a look at the log.
    look: Notify,
    end: Notify,
}

impl Folder {
    /// Starts to look after the log with a connection of its own.
    pub(crate) fn start(db: SqliteConnection, path: &Path) -> Self {
        let shared = Arc::<Shared>::default();
        let task = tokio::spawn(serve(db, path.to_owned(), Arc::clone(&shared)));
        Self { shared, task, writes: 0 }
    }

    /// Waits until nobody needs the writer to stand still; it does not as long as the guard lives.
    pub(crate) async fn gate(&self) -> MutexGuard<'_, ()> {
        self.shared.gate.lock().await
    }

    /// Says that so many writes were committed.
    pub(crate) fn wrote(&mut self, writes: usize) {
        self.writes += writes;
        if self.writes >= LOOK_EVERY {
            self.writes = 0;
            self.shared.look.notify_one();
        }
    }

    /// Closes the connection, after what it is just doing.
    pub(crate) async fn end(self) {
        self.shared.end.notify_one();
        // One that panicked has no connection any more.
        let _ = self.task.await;
    }
}

async fn serve(mut db: SqliteConnection, path: PathBuf, shared: Arc<Shared>) {
    loop {
        tokio::select! {
            () = shared.end.notified() => break,
            () = shared.look.notified() => {}
        }
        if let Err(error) = keep_short(&mut db, &path, &shared.gate).await {
            // It is tried again with the next writes; meanwhile the log is longer, and nothing is lost.
            tracing::warn!(%error, "the registry's log could not be folded");
        }
    }
    if let Err(error) = db.close().await {
        tracing::warn!(%error, "the connection that folds the registry's log did not close cleanly");
    }
}

/// Folds the log if it is long.
async fn keep_short(db: &mut SqliteConnection, path: &Path, gate: &Mutex<()>) -> Result<(), sqlx::Error> {
    if look(db, LENGTH).await?.unfolded() < LONG {
        return Ok(());
    }
    let left = look(db, FOLD).await?.unfolded();
    if left > 0 {
        let _standing_still = gate.lock().await;
        look(db, FOLD).await?;
    }
    soundness::note(path, Moment::InUse);
    Ok(())
}

/// The log, in pages.
struct Log {
    pages: i64,
    folded: i64,
}

impl Log {
    fn unfolded(&self) -> i64 {
        self.pages - self.folded
    }
}

async fn look(db: &mut SqliteConnection, pragma: &'static str) -> Result<Log, sqlx::Error> {
    let row = sqlx::query(pragma).fetch_one(db).await?;
    Ok(Log { pages: row.try_get(1)?, folded: row.try_get(2)? })
}

/// Folds nothing, and tells how long the log is.
const LENGTH: &str = "PRAGMA wal_checkpoint(NOOP)";
/// Folds what can be folded without making anyone wait.
const FOLD: &str = "PRAGMA wal_checkpoint(PASSIVE)";

/// Pages from which on the log is long: 8 MiB, a hundred changes of state. A log that begins anew is written over what is
/// there already, and a sync of that costs less than one that makes a file longer.
const LONG: i64 = 2048;
/// Writes between two looks at the log. One makes some ten pages of it.
const LOOK_EVERY: usize = 32;
