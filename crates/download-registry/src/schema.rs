//! Making the database and bringing its schema up to date.

use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, ConnectOptions, Connection, SqliteConnection,
    migrate::Migrator,
    sqlite::{SqliteAutoVacuum, SqliteJournalMode, SqliteSynchronous},
};

use crate::{
    OpenError,
    open::{beside, storage},
    registry::connect_options,
};

/// Makes a registry at `path`, where nothing is.
///
/// It is made under another name and renamed when it is whole and synced: a process killed in the middle leaves no
/// file that looks like a registry and is none.
pub(crate) async fn create(path: &Path) -> Result<(), OpenError> {
    let draft = beside(path, ".new");
    let io = |source| OpenError::Io { path: path.into(), source };
    for suffix in ["", "-journal", "-wal", "-shm"] {
        remove_if_there(&beside(&draft, suffix)).map_err(io)?;
    }
    make_private(&draft).map_err(io)?;
    fill(&draft).await.map_err(|error| at(path, error))?;

    File::open(&draft).and_then(|file| file.sync_all()).map_err(io)?;
    rename_if_free(&draft, path).map_err(io)?;
    sync_directory(path).map_err(io)?;
    tracing::info!(path = %path.display(), schema = version(), "registry created");
    Ok(())
}

/// Brings the registry at `path` from schema `found` to ours, after putting a copy of it aside.
pub(crate) async fn update(path: &Path, found: i64) -> Result<(), OpenError> {
    if found >= version() {
        return Ok(());
    }
    let copy = copy_path(path, found);
    copy_into(path, &copy).await?;
    let mut db = connect_options(path, MIGRATE_BUSY)
        .synchronous(SqliteSynchronous::Full)
        .connect()
        .await
        .map_err(|error| storage(path, &error))?;
    let migrated = migrator().run(&mut db).await;
    let closed = db.close().await;
    migrated.map_err(|error| OpenError::Migrate { path: path.into(), detail: error.to_string() })?;
    closed.map_err(|error| storage(path, &error))?;
    tracing::info!(path = %path.display(), from = found, to = version(), copy = %copy.display(), "schema updated");
    Ok(())
}

/// The number of the newest schema this version knows.
pub(crate) fn version() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or(0)
}

/// Where the copy of a registry with `schema` is put before its schema changes.
pub(crate) fn copy_path(path: &Path, schema: i64) -> PathBuf {
    beside(path, &format!(".schema-{schema}.bak"))
}

/// Writes a copy of the database at `path` to `copy`, whole or not at all; an older copy is replaced.
pub(crate) async fn copy_into(path: &Path, copy: &Path) -> Result<(), OpenError> {
    let draft = beside(copy, ".new");
    let io = |source| OpenError::Io { path: copy.into(), source };
    remove_if_there(&draft).map_err(io)?;
    // An empty file of our making, so that the copy is as private as the original.
    make_private(&draft).map_err(io)?;
    vacuum_into(path, &draft).await.map_err(|error| storage(path, &error))?;
    File::open(&draft).and_then(|file| file.sync_all()).map_err(io)?;
    fs::rename(&draft, copy).map_err(io)?;
    sync_directory(copy).map_err(io)
}

/// The mark in the header of our databases: "peer".
pub(crate) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"peer");

async fn fill(draft: &Path) -> Result<(), OpenError> {
    let refused = |error: sqlx::Error| storage(draft, &error);
    let mut db = connect_options(draft, MIGRATE_BUSY)
        // Without a log until it is in place: one file can be renamed, two cannot.
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .connect()
        .await
        .map_err(refused)?;
    let mark = AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}"));
    sqlx::query(mark).execute(&mut db).await.map_err(refused)?;
    let migrated = migrator().run(&mut db).await;
    db.close().await.map_err(refused)?;
    migrated.map_err(|error| OpenError::Migrate { path: draft.into(), detail: error.to_string() })
}

async fn vacuum_into(path: &Path, copy: &Path) -> Result<(), sqlx::Error> {
    let mut db: SqliteConnection = connect_options(path, MIGRATE_BUSY).read_only(true).connect().await?;
    let copied = sqlx::query("VACUUM INTO ?1").bind(copy.to_str()).execute(&mut db).await;
    db.close().await?;
    copied.map(drop)
}

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.dangerous_set_table_name("_peerd_migrations");
    migrator
}

fn at(path: &Path, error: OpenError) -> OpenError {
    match error {
        OpenError::Migrate { detail, .. } => OpenError::Migrate { path: path.into(), detail },
        OpenError::Storage { source, .. } => OpenError::Storage { path: path.into(), source },
        other => other,
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop)
}

/// Renames without replacing: should another process have been faster after all, its registry stays.
fn rename_if_free(draft: &Path, path: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::{
            fs::{CWD, RenameFlags, renameat_with},
            io::Errno,
        };
        match renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
            // Some filesystems cannot; the caller's lock is what keeps others away there.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    if path.exists() { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(draft, path) }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Longer than usual: whoever holds the database now may be in the middle of a large commit.
const MIGRATE_BUSY: Duration = Duration::from_secs(30);
