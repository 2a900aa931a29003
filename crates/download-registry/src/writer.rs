//! One connection that writes, and one task that owns it.
//!
//! Every write is a command sent to the task. The task takes all commands that are waiting, runs them in one
//! transaction and commits once, so a busy daemon pays for one sync of the log instead of one per write. A command
//! that fails is undone alone (a savepoint); only a failed commit fails everyone in it. Because the task runs the
//! command, a caller that goes away cannot leave a transaction half-way.
//!
//! A task that ends without being asked to (a panic, a file that was taken away) leaves its reason behind: every caller
//! is told it, and whoever watches for it.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
};

use sqlx::{Connection, SqliteConnection};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use crate::{
    StorageError, StorageErrorKind,
    alarm::Alarm,
    command::{Command, Order},
    folding::Folder,
    observer::WriteObserver,
    place::Place,
    recording::record,
    session::Session,
    soundness::{self, Moment},
};

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
    /// Why the task ended, if nobody asked it to.
    failure: watch::Receiver<Option<StorageError>>,
}

impl Writer {
    /// Starts the task on the current runtime.
    pub(crate) fn start(
        db: SqliteConnection,
        folder: Folder,
        place: Place,
        observer: Option<Arc<dyn WriteObserver>>,
    ) -> Self {
        let (commands, inbox) = mpsc::channel(QUEUE);
        let (alarm, failure) = Alarm::new();
        let task = tokio::spawn(serve(Session::new(db), folder, place, observer, inbox, alarm));
        Self { commands: Mutex::new(Some(commands)), task: Mutex::new(Some(task)), failure }
    }

    /// Runs `work` inside a transaction and returns once that is committed and synced.
    ///
    /// # Cancel safety
    /// Safe. A dropped call was either not sent yet, and does nothing, or runs to its end unobserved.
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T, E> + Send + 'static,
    {
        self.send(|reply| Order::new(work, reply)).await
    }

    /// Puts a command in line, and returns its answer once it is committed and synced. Cancel safe like
    /// [`write`](Self::write).
    pub(crate) async fn send<T, E, C>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, E>>) -> C,
    ) -> Result<T, E>
    where
        E: From<StorageError>,
        C: Command + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let command = Box::new(command(reply));
        let commands = locked(&self.commands).clone().ok_or_else(|| self.gone())?;
        commands.send(command).await.map_err(|_| self.gone())?;
        answer.await.unwrap_or_else(|_| Err(self.gone().into()))
    }

    /// Waits until the task has ended without being asked to, and returns why; for ever if it is told to end.
    pub(crate) async fn failed(&self) -> StorageError {
        let mut failure = self.failure.clone();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }

    /// Why there is no task any more.
    fn gone(&self) -> StorageError {
        self.failure.borrow().clone().unwrap_or_else(StorageError::closed)
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

/// Serves commands until every sender is gone, or nothing can be written any more.
async fn serve(
    mut db: Session,
    mut folder: Folder,
    place: Place,
    observer: Option<Arc<dyn WriteObserver>>,
    mut inbox: mpsc::Receiver<Box<dyn Command>>,
    alarm: Alarm,
) {
    let mut group = Vec::with_capacity(GROUP);
    // Behind the group, so that it goes before the group does: who then learns that no answer will come finds out why.
    let mut alarm = alarm;
    while inbox.recv_many(&mut group, GROUP).await > 0 {
        if let Some(observer) = &observer {
            observer.began(group.len());
        }
        let gate = folder.gate().await;
        let committed = commit_group(&mut db, &place, &mut group).await;
        drop(gate);
        folder.wrote(group.len());
        if let Some(observer) = &observer {
            observer.ended(committed.is_ok());
        }
        if let Err(error) = &committed {
            tracing::warn!(%error, commands = group.len(), "registry commit failed");
        }
        let failure = committed.clone().err().filter(|error| error.kind() == StorageErrorKind::Failed);
        if let Some(failure) = &failure {
            alarm.because(failure.clone());
        }
        for command in group.drain(..) {
            command.settle(committed.clone());
        }
        if failure.is_some() {
            // Not closed: the end of a database removes the log its path names, which may be somebody else's by now.
            mem::forget(db);
            return;
        }
    }
    folder.end().await;
    let mut db = db.into_inner();
    // The last connection to close folds the log back into the database and removes it.
    let _ = sqlx::query("PRAGMA optimize").execute(&mut db).await;
    match db.close().await {
        Ok(()) if place.holds() => soundness::note(place.path(), Moment::Closed),
        Ok(()) => {}
        Err(error) => tracing::warn!(%error, "registry did not close cleanly"),
    }
    alarm.switch_off();
}

async fn commit_group(
    db: &mut Session,
    place: &Place,
    group: &mut [Box<dyn Command>],
) -> Result<(), StorageError> {
    let result = run_group(db, group).await;
    if !place.holds() {
        // Whatever was committed lies in a file without a name.
        let path = place.path().display();
        return Err(StorageError::failed(format!("{path} was removed or replaced while it was in use")));
    }
    if result.is_err() {
        // Some errors end the transaction by themselves; then there is nothing left to roll back.
        let _ = sqlx::query("ROLLBACK").execute(db.idle()).await;
    }
    result
}

async fn run_group(db: &mut Session, group: &mut [Box<dyn Command>]) -> Result<(), StorageError> {
    db.prepare(group.len() == 1);
    if let [alone] = group {
        let keep = alone.run(db).await;
        return db.end(keep).await;
    }
    let mut rest = group;
    while !rest.is_empty() {
        let alike = rest.iter_mut().map_while(|command| command.recording()).count();
        let (now, later) = rest.split_at_mut(alike.max(1));
        if now.len() == 1 || !record_together(db, now).await? {
            for command in now {
                let keep = command.run(db).await;
                db.next(keep)?;
            }
        }
        rest = later;
    }
    db.end(true).await
}

/// Records what neighbours in line want recorded; `false` if that failed, and each is to be tried by itself.
async fn record_together(db: &mut Session, group: &mut [Box<dyn Command>]) -> Result<bool, StorageError> {
    let mut wanted: Vec<_> = group.iter_mut().filter_map(|command| command.recording()).collect();
    let recorded = record(db, &mut wanted).await.is_ok();
    db.next(recorded)?;
    Ok(recorded)
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tempfile::TempDir;

    use super::*;
    use crate::{DownloadId, EnqueueError, NewDownload, Options, Registry, Timestamp, session::Through};

    async fn open(dir: &Path) -> Registry {
        Registry::open(dir.join("registry.db"), &Options::default()).await.unwrap()
    }

    async fn enqueue(registry: &Registry, url: &str) -> Result<DownloadId, EnqueueError> {
        let new = NewDownload { url: url.to_owned(), ..NewDownload::default() };
        registry.enqueue(&new, Timestamp::from_millis(0)).await.map(|row| row.id)
    }

    /// A write that panics: no caller can make one, but a bug can.
    async fn panic_in_the_writer(registry: &Registry) -> StorageError {
        let outcome: Result<(), StorageError> = registry
            .write(|db| {
                Box::pin(async move {
                    sqlx::query("DELETE FROM download").run(db).await?;
                    panic!("injected")
                })
            })
            .await;
        outcome.unwrap_err()
    }

    #[tokio::test]
    async fn a_writer_that_panicked_is_noticed_by_every_caller_and_by_who_waits_for_it() {
        let dir = TempDir::new().unwrap();
        let registry = open(dir.path()).await;
        let id = enqueue(&registry, "https://a.example/").await.unwrap();
        let watcher = tokio::spawn({
            let registry = registry.clone();
            async move { registry.failed().await.kind() }
        });
        let (first, beside) = tokio::join!(
            panic_in_the_writer(&registry),
            enqueue(&registry, "https://b.example/") // in the same commit, or after it
        );
        assert_eq!(first.kind(), StorageErrorKind::Failed);
        let Err(EnqueueError::Storage(beside)) = beside else { panic!("{beside:?}") };
        assert_eq!(beside.kind(), StorageErrorKind::Failed);
        assert_eq!(watcher.await.unwrap(), StorageErrorKind::Failed);

        let Err(EnqueueError::Storage(later)) = enqueue(&registry, "https://c.example/").await else {
            panic!()
        };
        assert_eq!(later.kind(), StorageErrorKind::Failed);
        assert!(
            registry.get(id).await.unwrap().is_some(),
            "what was not committed is undone, and can be read"
        );
        registry.close().await;
        assert_eq!(registry.failed().await.kind(), StorageErrorKind::Failed, "closing does not hide it");

        let registry = open(dir.path()).await;
        enqueue(&registry, "https://d.example/").await.unwrap();
        assert!(registry.check().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_registry_that_is_well_or_was_closed_has_not_failed() {
        let dir = TempDir::new().unwrap();
        let registry = open(dir.path()).await;
        enqueue(&registry, "https://a.example/").await.unwrap();
        let mut failed = Box::pin(registry.failed());
        let mut polled = async || {
            std::future::poll_fn(|cx| std::task::Poll::Ready(failed.as_mut().poll(cx).is_ready())).await
        };
        assert!(!polled().await);
        registry.close().await;
        assert!(!polled().await);
        let Err(EnqueueError::Storage(error)) = enqueue(&registry, "https://b.example/").await else {
            panic!()
        };
        assert_eq!(error.kind(), StorageErrorKind::Closed);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn no_write_is_answered_once_the_file_was_taken_away() {
        for replaced in [false, true] {
            let dir = TempDir::new().unwrap();
            let registry = open(dir.path()).await;
            enqueue(&registry, "https://a.example/").await.unwrap();
            std::fs::rename(registry.path(), dir.path().join("elsewhere")).unwrap();
            if replaced {
                std::fs::write(registry.path(), "another file").unwrap();
            }
            let Err(EnqueueError::Storage(error)) = enqueue(&registry, "https://b.example/").await else {
                panic!("replaced: {replaced}")
            };
            assert_eq!(error.kind(), StorageErrorKind::Failed);
            assert!(error.to_string().contains("registry.db was removed or replaced"), "{error}");
            assert_eq!(registry.failed().await.kind(), StorageErrorKind::Failed);

            // What was answered before can still be saved.
            registry.backup(dir.path().join("rescue.db")).await.unwrap();
            let rescued = Registry::open(dir.path().join("rescue.db"), &Options::default()).await.unwrap();
            assert!(rescued.get(DownloadId::new(1)).await.unwrap().is_some());
        }
    }
}
