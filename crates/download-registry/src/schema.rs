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
    update_by(path, found, &migrator()).await
}

async fn update_by(path: &Path, found: i64, migrator: &Migrator) -> Result<(), OpenError> {
    let to = newest(migrator);
    if found >= to {
        return Ok(());
    }
    let refused = |error: sqlx::Error| storage(path, &error);
    let copy = copy_path(path, found);
    let mut db = connect_options(path, MIGRATE_BUSY).read_only(true).connect().await.map_err(refused)?;
    let copied = copy_into(&mut db, &copy).await;
    db.close().await.map_err(refused)?;
    copied?;

    let options = connect_options(path, MIGRATE_BUSY).synchronous(SqliteSynchronous::Full);
    let mut db = options.connect().await.map_err(refused)?;
    let migrated = migrator.run(&mut db).await;
    let closed = db.close().await;
    migrated.map_err(|error| {
        let (path, copy) = (path.into(), Some(copy.clone()));
        OpenError::Migrate { path, copy, detail: error.to_string() }
    })?;
    closed.map_err(refused)?;
    tracing::info!(path = %path.display(), from = found, to, copy = %copy.display(), "schema updated");
    Ok(())
}

/// The number of the newest schema this version knows.
pub(crate) fn version() -> i64 {
    newest(&migrator())
}

/// Where the copy of a registry with `schema` is put before its schema changes.
pub(crate) fn copy_path(path: &Path, schema: i64) -> PathBuf {
    beside(path, &format!(".schema-{schema}.bak"))
}

/// Writes a copy of the database `db` is connected to, whole and checked or not at all; an older copy is replaced.
pub(crate) async fn copy_into(db: &mut SqliteConnection, copy: &Path) -> Result<(), OpenError> {
    let draft = beside(copy, ".new");
    let copied = write_draft(db, &draft, copy).await;
    if copied.is_err() {
        // Only room on the disk: the next copy would write over it.
        let _ = fs::remove_file(&draft);
    }
    copied
}

async fn write_draft(db: &mut SqliteConnection, draft: &Path, copy: &Path) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: copy.into(), source };
    remove_if_there(draft).map_err(io)?;
    // An empty file of our making, so that the copy is as private as the original.
    make_private(draft).map_err(io)?;
    let copied = sqlx::query("VACUUM INTO ?1").bind(draft.to_str()).execute(db).await;
    copied.map_err(|error| storage(copy, &error))?;
    File::open(draft).and_then(|file| file.sync_all()).map_err(io)?;
    let verdict = check_file(draft).await.map_err(|error| storage(copy, &error))?;
    if verdict != "ok" {
        return Err(OpenError::Corrupt { path: copy.into(), detail: verdict });
    }
    fs::rename(draft, copy).map_err(io)?;
    sync_directory(copy).map_err(io)
}

/// A copy that cannot be used is worse than none: it is found out on the day it is needed.
async fn check_file(path: &Path) -> Result<String, sqlx::Error> {
    let mut db = connect_options(path, MIGRATE_BUSY).read_only(true).immutable(true).connect().await?;
    let verdict = sqlx::query_scalar("PRAGMA integrity_check(1)").fetch_one(&mut db).await;
    db.close().await?;
    verdict
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
    migrated.map_err(|error| OpenError::Migrate { path: draft.into(), copy: None, detail: error.to_string() })
}

fn newest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or(0)
}

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!();
    migrator.dangerous_set_table_name("_peerd_migrations");
    migrator
}

fn at(path: &Path, error: OpenError) -> OpenError {
    match error {
        OpenError::Migrate { detail, copy, .. } => OpenError::Migrate { path: path.into(), copy, detail },
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

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use sqlx::{
        SqlSafeStr,
        migrate::{Migration, MigrationType},
    };
    use tempfile::TempDir;

    use super::*;
    use crate::{DownloadId, NewDownload, Options, Registry, Timestamp};

    /// What a later version would bring along: our steps, and these.
    fn of_a_later_version(steps: &[&'static str]) -> Migrator {
        let mut later = migrator();
        let mut all: Vec<Migration> = later.iter().cloned().collect();
        for (version, sql) in (version() + 1..).zip(steps) {
            let description = Cow::Borrowed("later");
            all.push(Migration::new(version, description, MigrationType::Simple, sql.into_sql_str(), false));
        }
        later.migrations = Cow::Owned(all);
        later
    }

    /// A registry with one row, closed, and the path of the copy an update makes of it.
    async fn registry(dir: &TempDir) -> (PathBuf, PathBuf) {
        let path = dir.path().join("registry.db");
        let registry = Registry::open(&path, &Options::default()).await.unwrap();
        let new = NewDownload { url: "https://a.example/".to_owned(), ..NewDownload::default() };
        registry.enqueue(&new, Timestamp::from_millis(0)).await.unwrap();
        registry.close().await;
        let copy = copy_path(&path, version());
        (path, copy)
    }

    async fn opens_with_its_row(path: &Path) {
        let registry = Registry::open(path, &Options::default()).await.unwrap();
        assert!(registry.get(DownloadId::new(1)).await.unwrap().is_some());
        assert!(registry.check().await.unwrap().is_empty());
        registry.close().await;
    }

    #[tokio::test]
    async fn who_goes_back_to_this_version_is_told_of_the_copy_the_later_one_made() {
        let dir = TempDir::new().unwrap();
        let (path, copy) = registry(&dir).await;
        let later = of_a_later_version(&[
            "ALTER TABLE download ADD COLUMN later TEXT; PRAGMA user_version = 4",
            "CREATE TABLE even_later (x ANY) STRICT; PRAGMA user_version = 5",
        ]);
        update_by(&path, version(), &later).await.unwrap();
        let refusal = Registry::open(&path, &Options::default()).await.unwrap_err();
        assert!(
            matches!(&refusal, OpenError::Newer { found: 5, backup: Some(named), .. } if *named == copy),
            "{refusal:?}"
        );
        assert!(refusal.to_string().contains("registry.db.schema-3.bak is a copy"), "{refusal}");

        fs::rename(&copy, &path).unwrap();
        opens_with_its_row(&path).await;
    }

    #[tokio::test]
    async fn a_step_that_fails_leaves_the_registry_as_it_was() {
        let dir = TempDir::new().unwrap();
        let (path, copy) = registry(&dir).await;
        let broken =
            of_a_later_version(&["ALTER TABLE download ADD COLUMN later TEXT; SELECT no_such_function()"]);
        let refusal = update_by(&path, version(), &broken).await.unwrap_err();
        assert!(
            matches!(&refusal, OpenError::Migrate { copy: Some(named), .. } if *named == copy),
            "{refusal:?}"
        );
        assert!(refusal.to_string().contains("schema-3.bak"), "{refusal}");
        opens_with_its_row(&path).await;
        opens_with_its_row(&copy).await;
    }

    #[tokio::test]
    async fn without_a_copy_there_is_no_update() {
        let dir = TempDir::new().unwrap();
        let (path, copy) = registry(&dir).await;
        fs::create_dir(&copy).unwrap();
        let later = of_a_later_version(&["CREATE TABLE t (x ANY) STRICT; PRAGMA user_version = 4"]);
        let refusal = update_by(&path, version(), &later).await.unwrap_err();
        assert!(matches!(&refusal, OpenError::Io { path, .. } if *path == copy), "{refusal:?}");
        opens_with_its_row(&path).await;
    }
}
