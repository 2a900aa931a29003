//! A file that is not ours, not whole or not of our time is refused by name, and nothing about it changes.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::{at, open};
use download_registry::{DownloadState, Layout, OpenError, Options, Registry, StorageErrorKind, TotalSource};
use sqlx::{ConnectOptions, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).create_if_missing(true).connect().await.unwrap()
}

async fn run(path: &Path, sql: &'static str) {
    let mut db = raw(path).await;
    sqlx::raw_sql(sql).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
}

/// A registry with some rows, closed.
async fn closed_registry() -> (tempfile::TempDir, PathBuf) {
    let f = open().await;
    for n in 0..200 {
        f.enqueue(&format!("file-{n}")).await;
    }
    f.registry.close().await;
    let path = f.dir.path().join("registry.db");
    (f.dir, path)
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

/// Opens, expects a refusal that names the path, and that neither the file nor its directory changed.
async fn refused(path: &Path) -> OpenError {
    let dir = path.parent().unwrap();
    let (bytes, names) = (fs::read(path).unwrap(), names_in(dir));
    let refusal = Registry::open(path, &Options::default()).await.unwrap_err();
    assert_eq!(fs::read(path).unwrap(), bytes, "{refusal}");
    assert_eq!(names_in(dir), names, "{refusal}");
    assert!(refusal.to_string().contains(path.to_str().unwrap()), "{refusal}");
    assert!(refusal.is_bad_file(), "{refusal}");
    refusal
}

#[tokio::test]
async fn an_empty_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    fs::write(&path, b"").unwrap();
    assert!(matches!(refused(&path).await, OpenError::Empty { .. }));
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    for bytes in [b"short".to_vec(), vec![b'x'; 8192], b"SQLite format 3\0but then nothing".to_vec()] {
        fs::write(&path, &bytes).unwrap();
        let refusal = refused(&path).await;
        assert!(
            matches!(
                refusal,
                OpenError::NotADatabase { .. } | OpenError::Corrupt { .. } | OpenError::Foreign { .. }
            ),
            "{refusal:?}"
        );
    }
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, sql) in [
        ("plain.db", "CREATE TABLE t (x)"),
        ("marked.db", "PRAGMA application_id = 7; CREATE TABLE t (x)"),
        ("wal.db", "PRAGMA journal_mode = WAL; CREATE TABLE t (x)"),
    ] {
        let path = dir.path().join(name);
        run(&path, sql).await;
        assert!(matches!(refused(&path).await, OpenError::Foreign { .. }), "{name}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_the_last_copy_this_version_can_read_is_named() {
    let (_dir, path) = closed_registry().await;
    run(&path, "PRAGMA user_version = 99").await;
    let refusal = refused(&path).await;
    assert!(matches!(refusal, OpenError::Newer { found: 99, supported: 3, backup: None, .. }), "{refusal:?}");

    // The newer version may have met any of the schemas before it.
    for name in ["registry.db.schema-4.bak", "registry.db.schema-2.bak", "registry.db.schema-3.bak"] {
        let copy = path.with_file_name(name);
        fs::write(&copy, b"a copy").unwrap();
        let refusal = refused(&path).await;
        let OpenError::Newer { backup, .. } = &refusal else { panic!("{refusal:?}") };
        let useful = name != "registry.db.schema-4.bak";
        assert_eq!(backup.as_ref(), useful.then_some(&copy));
        assert_eq!(refusal.to_string().contains(name), useful, "{refusal}");
    }
}

#[tokio::test]
async fn a_database_another_process_holds_is_refused_and_left_alone() {
    let (_dir, path) = closed_registry().await;
    let mut holder = raw(&path).await;
    sqlx::raw_sql("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; BEGIN EXCLUSIVE")
        .execute(&mut holder)
        .await
        .unwrap();
    let mut impatient = Options::default();
    impatient.busy_timeout = std::time::Duration::ZERO;
    let refusal = Registry::open(&path, &impatient).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Locked { .. }), "{refusal:?}");
    assert!(refusal.to_string().contains("registry.db is locked by another process"), "{refusal}");
    assert!(!refusal.is_bad_file());
    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
    holder.close().await.unwrap();
    Registry::open(&path, &Options::default()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let (_dir, path) = closed_registry().await;
    let whole = fs::read(&path).unwrap();
    let cut = whole[..whole.len() / 2].to_vec();
    let mut torn = whole.clone();
    for page in (4096..torn.len()).step_by(4096) {
        torn[page..page + 64].fill(0xa5);
    }
    for (what, bytes) in [("cut in half", cut), ("torn pages", torn)] {
        fs::write(&path, &bytes).unwrap();
        // Not within the tick of the clock in which it was closed.
        let later = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        let refusal = refused(&path).await;
        assert!(matches!(refusal, OpenError::Corrupt { .. }), "{what}: {refusal:?}");
    }
    fs::write(&path, &whole).unwrap();
    Registry::open(&path, &Options::default()).await.unwrap().close().await;
}

#[tokio::test]
async fn a_log_without_its_database_is_not_taken_for_a_new_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    fs::write(path.with_file_name("registry.db-wal"), b"what is left").unwrap();
    let refusal = Registry::open(&path, &Options::default()).await.unwrap_err();
    assert!(matches!(refusal, OpenError::StrayLog { .. }), "{refusal:?}");
    assert_eq!(names_in(dir.path()), ["registry.db-wal"]);
}

#[tokio::test]
async fn a_place_where_nothing_can_be_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no/such/registry.db");
    let refusal = Registry::open(&missing, &Options::default()).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Io { .. }), "{refusal:?}");
    assert!(!refusal.is_bad_file());

    let mut look_only = Options::default();
    look_only.create = false;
    let absent = dir.path().join("registry.db");
    let refusal = Registry::open(&absent, &look_only).await.unwrap_err();
    assert!(matches!(refusal, OpenError::Missing { .. }));
    assert!(names_in(dir.path()).is_empty());
}

#[tokio::test]
async fn a_crash_while_the_database_is_made_leaves_nothing_that_looks_like_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    fs::write(path.with_file_name("registry.db.new"), b"half a database").unwrap();
    fs::write(path.with_file_name("registry.db.new-journal"), b"half a journal").unwrap();
    let registry = Registry::open(&path, &Options::default()).await.unwrap();
    registry.close().await;
    assert_eq!(names_in(dir.path()), ["registry.db"]);
}

#[cfg(unix)]
#[tokio::test]
async fn only_its_owner_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let f = open().await;
    f.enqueue("film").await;
    f.registry.backup(f.dir.path().join("copy.db")).await.unwrap();
    for name in names_in(f.dir.path()) {
        let mode = fs::metadata(f.dir.path().join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[tokio::test]
async fn an_older_schema_is_brought_up_to_date_and_a_copy_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("registry.db");
    // Marked as ours, before the first schema: the oldest a registry can be.
    run(
        &path,
        "PRAGMA application_id = 1885693298; CREATE TABLE keepsake (x); INSERT INTO keepsake VALUES (42)",
    )
    .await;

    let registry = Registry::open(&path, &Options::default()).await.unwrap();
    registry.enqueue(&common::new("film"), at(0)).await.unwrap();
    registry.close().await;

    let mut copy = raw(&path.with_file_name("registry.db.schema-0.bak")).await;
    let kept: i64 = sqlx::query_scalar("SELECT x FROM keepsake").fetch_one(&mut copy).await.unwrap();
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'download'")
        .fetch_one(&mut copy)
        .await
        .unwrap();
    assert_eq!((kept, tables), (42, 0));
    copy.close().await.unwrap();
    Registry::open(&path, &Options::default()).await.unwrap().close().await;
    assert_eq!(names_in(dir.path()), ["registry.db", "registry.db.schema-0.bak"]);
}

#[tokio::test]
async fn the_settings_that_durability_rests_on_are_in_force() {
    let f = open().await;
    let mut db = raw(f.registry.path()).await;
    let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut db).await.unwrap();
    let vacuum: i64 = sqlx::query_scalar("PRAGMA auto_vacuum").fetch_one(&mut db).await.unwrap();
    let mark: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut db).await.unwrap();
    let version: String = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut db).await.unwrap();
    assert_eq!((mode.as_str(), vacuum, mark), ("wal", 2, 0x7065_6572));
    // Versions before this one could lose a commit when the log was reset.
    let numbers: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
    assert!(numbers >= vec![3, 51, 3], "{version}");
    db.close().await.unwrap();
}

#[tokio::test]
async fn the_words_of_the_table_are_the_words_of_the_types() {
    let f = open().await;
    let mut db = raw(f.registry.path()).await;
    let mut states: Vec<&str> = DownloadState::ALL.map(DownloadState::as_str).to_vec();
    states.sort_unstable();
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT name FROM download_state ORDER BY name").fetch_all(&mut db).await.unwrap();
    assert_eq!(stored, states);
    let mut sources: Vec<&str> = TotalSource::ALL.map(TotalSource::as_str).to_vec();
    sources.sort_unstable();
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT name FROM total_source ORDER BY name").fetch_all(&mut db).await.unwrap();
    assert_eq!(stored, sources);
    let mut layouts: Vec<&str> = Layout::ALL.map(Layout::as_str).to_vec();
    layouts.sort_unstable();
    let stored: Vec<String> =
        sqlx::query_scalar("SELECT name FROM layout ORDER BY name").fetch_all(&mut db).await.unwrap();
    assert_eq!(stored, layouts);
}

#[tokio::test]
async fn the_schema_refuses_rows_that_make_no_sense() {
    let f = open().await;
    let id = f.enqueue("film").await.id;
    let mut db = raw(f.registry.path()).await;
    for nonsense in [
        "UPDATE download SET state = 'active'",
        "UPDATE download SET state = 'downloading'",
        "UPDATE download SET state = 'waiting'",
        "UPDATE download SET state = 'completed'",
        "UPDATE download SET lease_owner = 'me'",
        "UPDATE download SET priority = 11",
        "UPDATE download SET durable = -1",
        "UPDATE download SET layout = 'append'",
        "UPDATE download SET layout = NULL",
        "UPDATE download SET total = 5, total_source = 'request', durable = 6",
        "UPDATE download SET total = 5",
        "UPDATE download SET total = 'five', total_source = 'request'",
        "UPDATE download SET sha256 = x'00'",
        "UPDATE download SET retry_at = 5",
        "UPDATE download SET error_kind = 'x'",
        "UPDATE source SET url = ''",
        "UPDATE source SET supports_ranges = 2",
        "UPDATE source SET disabled_until = 5",
        "INSERT INTO source (download_id, url, n, updated_at) VALUES (999, 'x', 1, 0)",
        "INSERT INTO source (download_id, url, n, updated_at) SELECT id, url, 2, 0 FROM download",
        "UPDATE history SET keep_attempts = 0",
        "INSERT INTO history VALUES (2, 1, 1, 0)",
        "INSERT INTO download_range VALUES (1, 5, 5)",
        "INSERT INTO download_range VALUES (999, 0, 5)",
        "INSERT INTO download_range VALUES (1, 10, 20), (1, 20, 30)",
        "INSERT INTO download_range VALUES (1, 10, 20), (1, 5, 10)",
        "INSERT INTO download_range VALUES (1, 10, 20), (1, 12, 15)",
        "INSERT INTO download_range VALUES (1, 10, 20), (1, 30, 40), (1, 5, 50)",
        "INSERT INTO download (url, state, last_event, created_at, updated_at, target)
         SELECT url, 'queued', 'enqueued', 0, 0, target FROM download",
    ] {
        let refused = sqlx::raw_sql(nonsense).execute(&mut db).await;
        assert!(refused.is_err(), "{nonsense}");
    }
    db.close().await.unwrap();
    assert_eq!(f.registry.get(id).await.unwrap().unwrap().state, DownloadState::Queued);
    assert!(f.registry.ranges(id).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_closed_registry_says_so() {
    let f = open().await;
    let other = f.registry.clone();
    f.registry.close().await;
    let read = other.get(download_registry::DownloadId::new(1)).await.unwrap_err();
    let write = other.prune(at(0), 1, None).await.unwrap_err();
    assert_eq!((read.kind(), write.kind()), (StorageErrorKind::Closed, StorageErrorKind::Closed));
    other.close().await;
}

#[tokio::test]
async fn a_number_too_large_for_the_table_is_refused() {
    let f = open().await;
    let mut huge = common::new("film");
    huge.limit_down = Some(u64::MAX);
    let refused = f.registry.enqueue(&huge, at(0)).await.unwrap_err();
    let download_registry::EnqueueError::Storage(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.kind(), StorageErrorKind::OutOfRange);
}
