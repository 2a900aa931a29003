//! One connection that writes, and one task that owns it.
//!
//! Every write is a command sent to the task. The task takes all commands that are waiting, runs them in one
//! transaction and commits once, so a busy daemon pays for one sync of the log instead of one per write. A command
//! that fails is undone alone (a savepoint); only a failed commit fails everyone in it. Because the task runs the
//! command, a caller that goes away cannot leave a transaction half-way.

use std::{future::Future, mem, pin::Pin, sync::Mutex};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use crate::StorageError;

/// What a command's work returns while it borrows the connection.
pub(crate) type Work<'c, T, E> = Pin<Box<dyn Future<Output = Result<T, Fault<E>>> + Send + 'c>>;

/// Why a command did not do its work: it was refused, or the database failed.
pub(crate) enum Fault<E> {
    Refused(E),
    Storage(StorageError),
}

/// The sending side of the writer task.
#[derive(Debug)]
pub(crate) struct Writer {
    commands: Mutex<Option<mpsc::Sender<Box<dyn Command>>>>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the task on the current runtime.
    pub(crate) fn start(db: SqliteConnection) -> Self {
        let (commands, inbox) = mpsc::channel(QUEUE);
        let task = tokio::spawn(serve(db, inbox));
        Self { commands: Mutex::new(Some(commands)), task: Mutex::new(Some(task)) }
    }

    /// Runs `work` inside a transaction and returns once that is committed and synced.
    ///
    /// # Cancel safety
    /// Safe. A dropped call was either not sent yet, and does nothing, or runs to its end unobserved.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let commands = locked(&self.commands).clone().ok_or_else(StorageError::closed)?;
        let command = Box::new(Order { work: Some(work), outcome: None, reply });
        commands.send(command).await.map_err(|_| StorageError::closed())?;
        answer.await.unwrap_or_else(|_| Err(StorageError::closed().into()))
    }

    /// Lets the task finish what was sent, close the connection and end. Later writes are refused.
    pub(crate) async fn close(&self) {
        drop(locked(&self.commands).take());
        let task = locked(&self.task).take();
        if let Some(task) = task {
            // A task that panicked has dropped its connection, which undoes what was not committed.
            let _ = task.await;
        }
    }
}

/// Serves commands until every sender is gone.
async fn serve(mut db: SqliteConnection, mut inbox: mpsc::Receiver<Box<dyn Command>>) {
    let mut group = Vec::with_capacity(GROUP);
    while inbox.recv_many(&mut group, GROUP).await > 0 {
        let committed = commit_group(&mut db, &mut group).await;
        if let Err(error) = &committed {
            tracing::warn!(%error, commands = group.len(), "registry commit failed");
        }
        for command in group.drain(..) {
            command.settle(committed.clone());
        }
    }
    // The last connection to close folds the log back into the database and removes it.
    let _ = sqlx::query("PRAGMA optimize").execute(&mut db).await;
    if let Err(error) = db.close().await {
        tracing::warn!(%error, "registry did not close cleanly");
    }
}

async fn commit_group(db: &mut SqliteConnection, group: &mut [Box<dyn Command>]) -> Result<(), StorageError> {
    let result = run_group(db, group).await;
    if result.is_err() {
        // Some errors end the transaction by themselves; then there is nothing left to roll back.
        let _ = sqlx::query("ROLLBACK").execute(&mut *db).await;
    }
    result.map_err(|error| StorageError::from_sqlx(&error))
}

async fn run_group(db: &mut SqliteConnection, group: &mut [Box<dyn Command>]) -> Result<(), sqlx::Error> {
    // Taking the write lock now means waiting for it now: an upgrade later would fail at once, without the timeout.
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *db).await?;
    if let [alone] = group {
        let end = if alone.run(db).await { "COMMIT" } else { "ROLLBACK" };
        sqlx::query(end).execute(&mut *db).await?;
        return Ok(());
    }
    for command in group {
        sqlx::query("SAVEPOINT command").execute(&mut *db).await?;
        if !command.run(db).await {
            sqlx::query("ROLLBACK TO command").execute(&mut *db).await?;
        }
        sqlx::query("RELEASE command").execute(&mut *db).await?;
    }
    sqlx::query("COMMIT").execute(&mut *db).await?;
    Ok(())
}

/// A write whose types were forgotten, so that different ones can stand in one line.
trait Command: Send {
    /// Does the work and keeps its outcome; `false` asks to undo it.
    fn run<'a>(&'a mut self, db: &'a mut SqliteConnection)
    -> Pin<Box<dyn Future<Output = bool> + Send + 'a>>;

    /// Tells the caller the outcome, now that the fate of the transaction is known.
    fn settle(self: Box<Self>, committed: Result<(), StorageError>);
}

struct Order<T, E, F> {
    work: Option<F>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Command for Order<T, E, F>
where
    T: Send + 'static,
    E: From<StorageError> + Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, E> + Send + 'static,
{
    fn run<'a>(
        &'a mut self,
        db: &'a mut SqliteConnection,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(async move {
            let Some(work) = mem::take(&mut self.work) else { return false };
            let outcome = work(db).await.map_err(|fault| match fault {
                Fault::Refused(refusal) => refusal,
                Fault::Storage(error) => error.into(),
            });
            self.outcome.insert(outcome).is_ok()
        })
    }

    fn settle(self: Box<Self>, committed: Result<(), StorageError>) {
        let outcome = match (self.outcome, committed) {
            // Refused for its own reason: true whatever became of the others.
            (Some(Err(refusal)), _) => Err(refusal),
            (Some(Ok(done)), Ok(())) => Ok(done),
            (Some(Ok(_)) | None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Err(StorageError::closed().into()),
        };
        // Nobody has to be waiting: the write stands either way.
        let _ = self.reply.send(outcome);
    }
}

impl<E> From<sqlx::Error> for Fault<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Storage(StorageError::from_sqlx(&error))
    }
}

impl<E> From<StorageError> for Fault<E> {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Turns a refusal into the fault of the command that meets it.
pub(crate) fn refuse<E>(refusal: impl Into<E>) -> Fault<E> {
    Fault::Refused(refusal.into())
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // The guarded values are swapped whole, so a panic elsewhere cannot have left them half-way.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Commands that may wait in line before callers wait to send.
const QUEUE: usize = 1024;

/// Commands that share one commit at most: more would only let the first of them wait longer.
const GROUP: usize = 256;
