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

use crate::{OpenError, StorageError, StorageErrorKind, registry::connect_options, schema};

/// What lies at the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing, and nothing beside it that would be mistaken for its log.
    Nothing,
    /// A sound registry with a schema this version knows.
    Registry { schema: i64 },
}

/// Tells what lies at `path`, or why it must not be touched.
pub(crate) async fn inspect(path: &Path, busy_timeout: Duration) -> Result<Found, OpenError> {
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
    let verdict: String = ask(path, &whole, "PRAGMA quick_check(1)").await?;
    if verdict != "ok" {
        return Err(OpenError::Corrupt { path: path.into(), detail: verdict });
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
    if source.kind() == StorageErrorKind::Corrupt {
        return OpenError::Corrupt { path: path.into(), detail: source.to_string() };
    }
    OpenError::Storage { path: path.into(), source }
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
    let copy = schema::copy_path(path, supported);
    let backup = copy.exists().then_some(copy);
    OpenError::Newer { path: path.into(), found, supported, backup }
}

/// SQLite's result code for a file that does not start like a database.
const NOT_A_DATABASE: &str = "26";
