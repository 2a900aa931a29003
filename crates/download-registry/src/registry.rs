//! The registry itself: one writer, a few readers, one file.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    ConnectOptions, SqliteConnection,
    sqlite::{
        SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
        SqliteSynchronous,
    },
};

use crate::{
    OpenError, StorageError, filesystem, open, schema,
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
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
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
        let path = open::absolute(path.as_ref())?;
        if !options.allow_network_filesystem {
            refuse_network(&path)?;
        }
        match open::inspect(&path, options.busy_timeout).await? {
            open::Found::Nothing if !options.create => return Err(OpenError::Missing { path }),
            open::Found::Nothing => schema::create(&path).await?,
            open::Found::Registry { schema } => schema::update(&path, schema).await?,
        }

        let refused = |error: sqlx::Error| open::storage(&path, &error);
        // The writer comes first: it switches the log on, which readers may not.
        let writer = writer_options(&path, options).connect().await.map_err(refused)?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.clamp(1, 64))
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(reader_options(&path, options))
            .await
            .map_err(refused)?;
        Ok(Self { inner: Arc::new(Inner { path, writer: Writer::start(writer), readers }) })
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
        &self.inner.path
    }

    /// Runs `work` in a transaction of the writer; see [`Writer::write`].
    pub(crate) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StorageError> + Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T, E> + Send + 'static,
    {
        self.inner.writer.write(work).await
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
        .thread_name(|_| "registry-writer".to_owned())
}

fn reader_options(path: &Path, options: &Options) -> SqliteConnectOptions {
    connect_options(path, options.busy_timeout).read_only(true).thread_name(|_| "registry-reader".to_owned())
}

fn refuse_network(path: &Path) -> Result<(), OpenError> {
    let directory = path.parent().unwrap_or(path);
    match filesystem::network_filesystem(directory) {
        Ok(None) => Ok(()),
        Ok(Some(filesystem)) => Err(OpenError::NetworkFilesystem { path: path.to_owned(), filesystem }),
        Err(source) => Err(OpenError::Io { path: directory.to_owned(), source }),
    }
}
