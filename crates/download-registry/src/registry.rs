//! The registry itself: one writer, a few readers, one file.

use std::{path::Path, sync::Arc, time::Duration};

use sqlx::{
    ConnectOptions,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
        SqliteSynchronous,
    },
};
use tokio::sync::oneshot;

use crate::{
    OpenError, StorageError,
    command::Command,
    filesystem,
    folding::Folder,
    observer::WriteObserver,
    open,
    place::Place,
    retention, schema,
    session::Session,
    soundness::{self, Moment},
    writer::{Work, Writer},
};

/// A registry of downloads in one SQLite file. Clones share it.
///
/// What a call returned survives a crash of the process and of the machine: every write is committed and synced before
/// it is answered.
///
/// # Cancel safety
/// Every method is cancel safe in the same way: a dropped read does nothing, a dropped write either was not sent yet
/// or runs to its end unobserved. Nothing is ever left half-way.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

/// How to open a registry.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Whether a missing database is made. Default: yes.
    pub create: bool,
    /// Connections that read, 1 to 64. Default: 3.
    pub readers: u32,
    /// How long to wait for another process that holds the database. Default: 5 s.
    pub busy_timeout: Duration,
    /// Opens a database on a network filesystem anyway. Default: no; two machines on one share destroy it.
    pub allow_network_filesystem: bool,
    /// Tries remembered of each download; when there are more, the oldest go. At least 1; default: 50.
    pub keep_attempts: u32,
    /// Changes remembered of each download; when there are more, the oldest go. At least 1; default: 200.
    pub keep_transitions: u32,
    /// Who wants to know when the writer works. Default: nobody.
    pub observer: Option<Arc<dyn WriteObserver>>,
}

#[derive(Debug)]
struct Inner {
    place: Place,
    writer: Writer,
    readers: SqlitePool,
}

impl Registry {
    /// Opens the registry at `path`, makes it if it is missing, and brings its schema up to date.
    ///
    /// The caller makes sure that no other process does the same at the same time, usually by holding a
    /// [`StateLock`](crate::StateLock). A file that is damaged, empty, foreign or newer is refused before anything
    /// is touched. A schema that has to change is copied beside the database first. Must be called inside a tokio
    /// runtime with its timer on, which then runs the writer.
    ///
    /// # Errors
    /// [`OpenError`], with the path.
    pub async fn open(path: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        open::refuse_old_sqlite().await?;
        let path = open::absolute(path.as_ref())?;
        if !options.allow_network_filesystem {
            refuse_network(&path)?;
        }
        match open::inspect(&path, options.busy_timeout, true).await? {
            open::Found::Nothing if !options.create => return Err(OpenError::Missing { path }),
            open::Found::Nothing => schema::create(&path).await?,
            open::Found::Registry { schema } => schema::update(&path, schema).await?,
        }

        let refused = |error: sqlx::Error| open::storage(&path, &error);
        // The writer comes first: it switches the log on, which readers may not.
        let mut writer = writer_options(&path, options).connect().await.map_err(refused)?;
        retention::set(&mut writer, options).await.map_err(refused)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.clamp(1, 64))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(reader_options(&path, options))
            .await
            .map_err(refused)?;
        let folder = folder_options(&path, options).connect().await.map_err(refused)?;
        let place = Place::of(&path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
        soundness::note(&path, Moment::InUse);
        let folder = Folder::start(folder, &path);
        let writer = Writer::start(writer, folder, place.clone(), options.observer.clone());
        Ok(Self { inner: Arc::new(Inner { place, writer, readers }) })
    }

    /// Waits until the registry cannot be written any more though nobody closed it, and returns why; for ever if all
    /// is well or it is closed.
    ///
    /// Nothing brings it back but to open it again, best in a new process: recovery then tells true from lost. Reading
    /// goes on, and so does [`backup`](Self::backup).
    ///
    /// # Cancel safety
    /// Safe. A dropped call does nothing.
    pub async fn failed(&self) -> StorageError {
        self.inner.writer.failed().await
    }

    /// Finishes the writes that were sent, closes the database and folds its log away.
    ///
    /// Later calls, on any clone, are refused with [`StorageErrorKind::Closed`](crate::StorageErrorKind::Closed).
    pub async fn close(&self) {
        // Readers first: the connection that closes last folds the log away, and readers may not write.
        self.inner.readers.close().await;
        self.inner.writer.close().await;
    }

    /// Returns the database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.inner.place.path()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.inner.place
    }

    /// Runs `work` in a transaction of the writer; see [`Writer::write`].
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut Session) -> Work<'c, T, E> + Send + 'static,
    {
        self.inner.writer.write(work).await
    }

    /// Puts a command in the writer's line; see [`Writer::send`].
    pub(crate) async fn send<T, E, C>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, E>>) -> C,
    ) -> Result<T, E>
    where
        E: From<StorageError>,
        C: Command + 'static,
    {
        self.inner.writer.send(command).await
    }

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.inner.readers
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: true,
            readers: 3,
            busy_timeout: Duration::from_secs(5),
            allow_network_filesystem: false,
            keep_attempts: 50,
            keep_transitions: 200,
            observer: None,
        }
    }
}

/// Turns the error of a read into ours.
#[allow(clippy::needless_pass_by_value, reason = "the shape `map_err` wants")]
pub(crate) fn read_error(error: sqlx::Error) -> StorageError {
    StorageError::from_sqlx(&error)
}

/// What every connection to a registry has in common.
pub(crate) fn connect_options(path: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(busy_timeout)
        .foreign_keys(true)
        .pragma("temp_store", "MEMORY")
        .pragma("cache_size", "-8192")
        // Mapped memory turns a read error into a signal that ends the process.
        .pragma("mmap_size", "0")
        // A file someone else prepared must not run code of theirs, nor crash us with odd pages.
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .disable_statement_logging()
}

fn writer_options(path: &Path, options: &Options) -> SqliteConnectOptions {
    connect_options(path, options.busy_timeout)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL keeps the file sound but may forget the last commits, and one of them may be the promise to truncate.
        .synchronous(SqliteSynchronous::Full)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .analysis_limit(400)
        .pragma("journal_size_limit", "67108864")
        // Only should the folder not keep up: it does this beside the writer, and long before.
        .pragma("wal_autocheckpoint", "16384")
        // A statement is prepared once for each of the frames it may travel in.
        .statement_cache_capacity(512)
        .thread_name(|_| "registry-writer".to_owned())
}

/// The connection that folds the log: as durable as the writer's, for what it wrote replaces the log.
fn folder_options(path: &Path, options: &Options) -> SqliteConnectOptions {
    connect_options(path, options.busy_timeout)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", "67108864")
        .thread_name(|_| "registry-folder".to_owned())
}

fn reader_options(path: &Path, options: &Options) -> SqliteConnectOptions {
    connect_options(path, options.busy_timeout).read_only(true).thread_name(|_| "registry-reader".to_owned())
}

fn refuse_network(path: &Path) -> Result<(), OpenError> {
    let directory = path.parent().unwrap_or(path);
    match filesystem::network_filesystem(directory) {
        Ok(None) => {
            if filesystem::is_fuse(directory) {
                let directory = directory.display();
                tracing::warn!(%directory, "the registry is on FUSE; that is safe only if it is a local disk");
            }
            Ok(())
        }
        Ok(Some(filesystem)) => Err(OpenError::NetworkFilesystem { path: path.to_owned(), filesystem }),
        Err(source) => Err(OpenError::Io { path: directory.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::{session::Through, writer::Fault};

    #[tokio::test]
    async fn the_settings_durability_rests_on_are_in_force_where_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path().join("registry.db"), &Options::default()).await.unwrap();
        let settings = [
            ("PRAGMA journal_mode", "wal", "readers do not stop the writer"),
            ("PRAGMA synchronous", "2", "FULL: a commit is synced before it is answered"),
            ("PRAGMA foreign_keys", "1", "what belongs to a row goes with it"),
            ("PRAGMA busy_timeout", "5000", "another process is waited for"),
            ("PRAGMA locking_mode", "normal", "copies are made while it is open"),
            ("PRAGMA wal_autocheckpoint", "16384", "64 MiB: long before that it is folded beside the writer"),
            ("PRAGMA journal_size_limit", "67108864", "a burst does not leave a large log for good"),
            ("PRAGMA mmap_size", "0", "a read error is an error, not a signal"),
            ("PRAGMA cache_size", "-8192", "8 MiB"),
            ("PRAGMA temp_store", "2", "memory"),
            ("PRAGMA auto_vacuum", "2", "pages can be given back a few at a time"),
            ("PRAGMA cell_size_check", "1", "odd pages are noticed"),
            ("PRAGMA trusted_schema", "0", "a schema runs no code of others"),
        ];
        for (setting, expected, because) in settings {
            let found = registry
                .write::<_, StorageError, _>(move |db| {
                    Box::pin(async move {
                        let row = sqlx::query(setting).one(db).await?;
                        let text = row.try_get_unchecked::<String, _>(0).map_err(Fault::from)?;
                        Ok(text)
                    })
                })
                .await
                .unwrap();
            assert_eq!(found, expected, "{setting}: {because}");
        }
    }

    #[tokio::test]
    async fn a_reader_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let registry = Registry::open(dir.path().join("registry.db"), &Options::default()).await.unwrap();
        let refused = sqlx::query("DELETE FROM download").execute(registry.readers()).await.unwrap_err();
        assert_eq!(read_error(refused).kind(), crate::StorageErrorKind::ReadOnly);
    }
}
