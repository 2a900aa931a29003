//! A registry looked at from outside: nothing is written to it, so the process it belongs to may be running.

use std::{io, path::Path, time::Duration};

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};

use crate::{OpenError, StorageError, maintenance, open, place::Place, registry::connect_options, schema};

/// A registry opened for looking only. No lock on its directory is needed, and its schema stays as it is.
#[derive(Debug)]
pub struct Inspection {
    place: Place,
    schema: i64,
    db: SqlitePool,
}

impl Inspection {
    /// Opens the registry at `path`, whether or not another process works with it.
    ///
    /// # Errors
    /// [`OpenError`], with the path; [`OpenError::Missing`] where there is none, for none is made.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = open::absolute(path.as_ref())?;
        let open::Found::Registry { schema } = open::inspect(&path, BUSY).await? else {
            return Err(OpenError::Missing { path });
        };
        let options = connect_options(&path, BUSY).read_only(true);
        // Without a log nobody works with it, and reading as if on a disc leaves no trace at all.
        let options = if open::beside(&path, "-wal").exists() { options } else { options.immutable(true) };
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options);
        let db = pool.await.map_err(|error| open::storage(&path, &error))?;
        let place = Place::of(&path).map_err(|source| OpenError::Io { path, source })?;
        Ok(Self { place, schema, db })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    /// Checks the whole database, as [`Registry::check`](crate::Registry::check) does, and returns what is wrong.
    ///
    /// What an older schema says about itself is not compared: only the newest one is known that well.
    pub async fn check(&self) -> Result<Vec<String>, StorageError> {
        let mut problems = maintenance::damage(&self.db).await?;
        if self.schema == schema::version() {
            problems.extend(maintenance::contradictions(&self.db).await?);
        }
        Ok(problems)
    }

    /// Writes a consistent copy to `path`, whole and checked or not at all, while writes of others go on.
    ///
    /// Another registry that is there already is replaced.
    ///
    /// # Errors
    /// [`OpenError`] about the copy. A file that is no registry is not replaced, and neither is this one.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), OpenError> {
        let copy = open::absolute(path.as_ref())?;
        if copy.exists() {
            self.may_replace(&copy).await?;
        }
        let mut db = self.db.acquire().await.map_err(|error| open::storage(self.path(), &error))?;
        schema::copy_into(&mut db, &copy).await
    }

    async fn may_replace(&self, copy: &Path) -> Result<(), OpenError> {
        let refused = |reason: &str| {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, reason.to_owned());
            OpenError::Io { path: copy.to_owned(), source }
        };
        if self.place.names(copy) {
            return Err(refused("a copy cannot replace its original"));
        }
        match open::inspect(copy, BUSY).await {
            Ok(_) => Ok(()),
            Err(_) => Err(refused("it exists and is no backup")),
        }
    }

    /// Lets go of the file.
    pub async fn close(self) {
        self.db.close().await;
    }
}

const BUSY: Duration = Duration::from_secs(5);
