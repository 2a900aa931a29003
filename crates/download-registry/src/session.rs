//! The writer's connection, with as few trips to the database's thread as can be.
//!
//! sqlx runs every statement on a thread of the connection, and waking that thread and being woken by it often costs
//! more than the statement. So what only frames a command (`BEGIN`, `SAVEPOINT`, `RELEASE`, `COMMIT`) does not travel
//! alone: it goes in front of the next statement of a command, or behind its last one.

use std::{fmt::Write, mem};

use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Either, Execute, Executor, Sqlite, SqliteConnection, query::Query,
    sqlite::SqliteArguments, sqlite::SqliteRow,
};

use crate::StorageError;

/// A connection in the hands of the writer, and where it is between two commits.
#[derive(Debug)]
pub(crate) struct Session {
    db: SqliteConnection,
    phase: Phase,
    /// Statements that go in front of the next one.
    before: &'static [&'static str],
    /// The command has the transaction to itself: no savepoint is around it.
    alone: bool,
    /// The next statement is the last of its command.
    last: bool,
    /// The command has executed something.
    touched: bool,
    /// Why there is no transaction, though a command asked for one.
    refused: Option<StorageError>,
}

/// How far the transaction is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Begun,
    Committed,
}

/// What came of a statement.
#[derive(Default)]
pub(crate) struct Outcome {
    rows: Vec<SqliteRow>,
    changed: u64,
}

impl Session {
    pub(crate) fn new(db: SqliteConnection) -> Self {
        Self {
            db,
            phase: Phase::Before,
            before: &[],
            alone: true,
            last: false,
            touched: false,
            refused: None,
        }
    }

    /// Makes ready for a transaction of one command, or of several that may each be undone alone.
    pub(crate) fn prepare(&mut self, alone: bool) {
        self.phase = Phase::Before;
        // Taking the write lock now means waiting for it now: an upgrade later would fail at once, without the timeout.
        self.before = if alone { &["BEGIN IMMEDIATE"] } else { &["BEGIN IMMEDIATE", "SAVEPOINT command"] };
        (self.alone, self.last, self.touched, self.refused) = (alone, false, false, None);
    }

    /// Ends one of several commands: what it did is kept, or undone.
    ///
    /// # Errors
    /// If there is no transaction to go on in.
    pub(crate) fn next(&mut self, keep: bool) -> Result<(), StorageError> {
        if mem::take(&mut self.touched) {
            self.before = if keep { &["RELEASE command", "SAVEPOINT command"] } else { UNDO };
        }
        self.refused.clone().map_or(Ok(()), Err)
    }

    /// Ends the transaction: commits what was kept, if it was not committed with the last statement of a lone command.
    pub(crate) async fn end(&mut self, keep: bool) -> Result<(), StorageError> {
        self.last = false;
        if let Some(refused) = &self.refused {
            return Err(refused.clone());
        }
        if self.phase == Phase::Begun {
            let undo = self.before == UNDO;
            self.before = &[];
            // To commit releases all savepoints.
            let end = match (keep, undo) {
                (false, _) => "ROLLBACK",
                (true, false) => "COMMIT",
                (true, true) => "ROLLBACK TO command; COMMIT",
            };
            let ended = sqlx::query(end).execute(&mut self.db).await;
            ended.map_err(|error| StorageError::from_sqlx(&error))?;
        }
        Ok(())
    }

    /// Says that the next statement is the last one of the command: whatever the command still does touches no data.
    ///
    /// A lone command is committed together with that statement.
    pub(crate) fn last(&mut self) -> &mut Self {
        self.last = true;
        self
    }

    /// The connection between two transactions.
    pub(crate) fn idle(&mut self) -> &mut SqliteConnection {
        &mut self.db
    }

    pub(crate) fn into_inner(self) -> SqliteConnection {
        self.db
    }

    async fn carry(&mut self, query: Query<'_, Sqlite, SqliteArguments>) -> Result<Outcome, sqlx::Error> {
        let carried = self.execute(query).await;
        if let Err(error) = &carried
            && self.phase == Phase::Before
        {
            self.refused = Some(StorageError::from_sqlx(error));
        }
        carried
    }

    /// Executes a statement, or several in one text, with what has to go in front and behind.
    async fn execute(
        &mut self,
        mut query: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<Outcome, sqlx::Error> {
        let arguments = query.take_arguments().map_err(sqlx::Error::Encode)?.unwrap_or_default();
        let before = mem::take(&mut self.before);
        let commit = mem::take(&mut self.last) && self.alone;
        self.touched = true;
        let statement = query.sql();
        let mut text = String::with_capacity(statement.as_str().len() + 64);
        for framing in before {
            let _ = write!(text, "{framing};");
        }
        text.push_str(statement.as_str());
        if commit {
            text.push_str(";COMMIT");
        }

        let mut outcome = Outcome::default();
        let (mut done, mut latest) = (0, 0);
        let mut results = self.db.fetch_many(sqlx::query_with(AssertSqlSafe(text), arguments));
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Right(row) => outcome.rows.push(row),
                Either::Left(result) => {
                    // Statements that only frame the others repeat the count of the one before them.
                    outcome.changed += mem::take(&mut latest);
                    if done < before.len() {
                        self.phase = Phase::Begun;
                    } else {
                        latest = result.rows_affected();
                    }
                    done += 1;
                }
            }
        }
        if commit {
            self.phase = Phase::Committed;
        } else {
            outcome.changed += latest;
        }
        Ok(outcome)
    }
}

/// Statements on their way through a session.
pub(crate) trait Through: Sized {
    /// Executes it and returns all rows.
    async fn all(self, db: &mut Session) -> Result<Vec<SqliteRow>, sqlx::Error>;

    /// Executes it and returns the first row, if there is one.
    async fn maybe(self, db: &mut Session) -> Result<Option<SqliteRow>, sqlx::Error>;

    /// Executes it and returns its row.
    async fn one(self, db: &mut Session) -> Result<SqliteRow, sqlx::Error>;

    /// Executes it and returns how many rows it changed.
    async fn run(self, db: &mut Session) -> Result<u64, sqlx::Error>;
}

impl Through for Query<'_, Sqlite, SqliteArguments> {
    async fn all(self, db: &mut Session) -> Result<Vec<SqliteRow>, sqlx::Error> {
        Ok(db.carry(self).await?.rows)
    }

    async fn maybe(self, db: &mut Session) -> Result<Option<SqliteRow>, sqlx::Error> {
        Ok(db.carry(self).await?.rows.into_iter().next())
    }

    async fn one(self, db: &mut Session) -> Result<SqliteRow, sqlx::Error> {
        self.maybe(db).await?.ok_or(sqlx::Error::RowNotFound)
    }

    async fn run(self, db: &mut Session) -> Result<u64, sqlx::Error> {
        Ok(db.carry(self).await?.changed)
    }
}

const UNDO: &[&str] = &["ROLLBACK TO command"];
