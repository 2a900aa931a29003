//! What lies at the path, and whether it may be touched.
//!
//! Everything here only reads. The file's own header answers first, through SQLite and not through `File`: closing a
//! second handle on a database would drop the locks another connection of this process holds on it.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf, absolute as absolute_path},
    time::Duration,
};

use sqlx::{ConnectOptions, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::{OpenError, StorageError, StorageErrorKind, registry::connect_options, schema, soundness};

/// What lies at the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, and nothing beside it that would be mistaken for its log.
    Nothing,
    /// A sound registry with a schema this version knows.
    Registry { schema: i64 },
}

/// Refuses to work with a SQLite that may lose what it has committed.
pub(crate) async fn refuse_old_sqlite() -> Result<(), OpenError> {
    let path = Path::new(":memory:");
    let memory = SqliteConnectOptions::new().in_memory(true);
    let version: String = ask(path, &memory, "SELECT sqlite_version()").await?;
    if is_too_old(&version) { Err(OpenError::OldSqlite { version }) } else { Ok(()) }
}

/// Tells what lies at `path`, or why it must not be touched.
///
/// With `trust`, pages are not read where [nothing can have happened](soundness::is_known) to them since they were.
pub(crate) async fn inspect(path: &Path, busy_timeout: Duration, trust: bool) -> Result<Found, OpenError> {
    let log = beside(path, "-wal");
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.len() == 0 && metadata.is_file() => {
            return Err(OpenError::Empty { path: path.into() });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && log.exists() => {
            return Err(OpenError::StrayLog { path: path.into(), log });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(source) => return Err(OpenError::Io { path: path.into(), source }),
    }

    // The mark is written before the log is first used, so the file alone shows whose it is.
    let alone = connect_options(path, busy_timeout).read_only(true).immutable(true);
    let mark: i32 = ask(path, &alone, "PRAGMA application_id").await?;
    if mark != schema::APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.into(), application_id: mark });
    }

    // The rest may still be in the log of a process that was killed. Without a log, reading leaves no trace at all.
    let whole = if log.exists() { connect_options(path, busy_timeout).read_only(true) } else { alone };
    let schema: i64 = ask(path, &whole, "PRAGMA user_version").await?;
    if schema > schema::version() {
        return Err(newer(path, schema));
    }
    if !trust || !soundness::is_known(path, log.exists()) {
        let verdict: String = ask(path, &whole, "PRAGMA quick_check(1)").await?;
        if verdict != "ok" {
            return Err(OpenError::Corrupt { path: path.into(), detail: verdict });
        }
    }
    Ok(Found::Registry { schema })
}

/// Makes `path` absolute and checks that SQLite can be given it.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    // Absolute, so that no name can look like `:memory:` or a `file:` URI.
    let path = absolute_path(path).map_err(|source| OpenError::Io { path: path.into(), source })?;
    if path.to_str().is_none() { Err(OpenError::Path { path }) } else { Ok(path) }
}

/// Appends to the file's name: `peerd.db` and `-wal` make `peerd.db-wal`.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

/// Turns what the database said while it was opened into a refusal that names the file.
pub(crate) fn storage(path: &Path, error: &sqlx::Error) -> OpenError {
    if let sqlx::Error::Database(database) = error
        && database.code().as_deref() == Some(NOT_A_DATABASE)
    {
        return OpenError::NotADatabase { path: path.into() };
    }
    let source = StorageError::from_sqlx(error);
    match source.kind() {
        StorageErrorKind::Corrupt => OpenError::Corrupt { path: path.into(), detail: source.to_string() },
        StorageErrorKind::Busy => OpenError::Locked { path: path.into() },
        _ => OpenError::Storage { path: path.into(), source },
    }
}

async fn ask<T>(path: &Path, options: &SqliteConnectOptions, question: &'static str) -> Result<T, OpenError>
where
    T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
{
    let answer = async {
        let mut db: SqliteConnection = options.connect().await?;
        let answer = sqlx::query_scalar(question).fetch_one(&mut db).await;
        sqlx::Connection::close(db).await?;
        answer
    };
    answer.await.map_err(|error: sqlx::Error| storage(path, &error))
}

fn newer(path: &Path, found: i64) -> OpenError {
    let supported = schema::version();
    // The newer version may have come from an older one than ours; its copy is of use to us all the same.
    let mut copies = (0..=supported).rev().map(|schema| schema::copy_path(path, schema));
    OpenError::Newer { path: path.into(), found, supported, backup: copies.find(|copy| copy.exists()) }
}

/// A version that cannot be read is not one of those known to be broken.
fn is_too_old(version: &str) -> bool {
    let numbers: Option<Vec<u32>> = version.split('.').map(|number| number.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.as_slice() < OLDEST_SQLITE.as_slice())
}

/// Versions before this one could lose a commit when the write-ahead log was reset at an unlucky moment.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// SQLite's result code for a file that does not start like a database.
const NOT_A_DATABASE: &str = "26";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_that_may_lose_a_commit_is_too_old() {
        for (version, old) in [
            ("3.46.0", true),
            ("3.51.2", true),
            ("3.51.3", false),
            ("3.52.0", false),
            ("4.0", false),
            ("?", false),
        ] {
            assert_eq!(is_too_old(version), old, "{version}");
        }
    }
}
