//! A registry looked at from outside: nothing is written to it, so the process it belongs to may be running.

use std::{io, os::unix::fs::MetadataExt, path::Path, time::Duration};

use sqlx::sqlite::{SqlitePool, SqlitePoolOptions};

use crate::{OpenError, StorageError, maintenance, open, place::Place, registry::connect_options, schema};

/// A registry opened for looking only. No lock on its directory is needed, and its schema stays as it is.
#[derive(Debug)]
pub struct Inspection {
    place: Place,
    schema: i64,
    db: SqlitePool,
    /// What the file looked like when nobody worked with it; `None` when somebody did.
    at_rest: Option<Stamp>,
}

/// What a change of a file shows itself by: device, inode, length and time of the last change.
type Stamp = (u64, u64, u64, (i64, i64));

impl Inspection {
    /// Opens the registry at `path`, whether or not another process works with it.
    ///
    /// # Errors
    /// [`OpenError`], with the path; [`OpenError::Missing`] where there is none, for none is made.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = open::absolute(path.as_ref())?;
        let open::Found::Registry { schema } = open::inspect(&path, BUSY, false).await? else {
            return Err(OpenError::Missing { path });
        };
        // Looked at before the first page is read: a later look would miss what came in between.
        let at_rest = at_rest(&path);
        let db = connect(&path, at_rest.is_some()).await.map_err(|error| open::storage(&path, &error))?;
        let place = Place::of(&path).map_err(|source| OpenError::Io { path, source })?;
        Ok(Self { place, schema, db, at_rest })
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
        let outcome = self.check_through(&self.db).await;
        match self.woken().await.map_err(|error| StorageError::from_sqlx(&error))? {
            None => outcome,
            Some(db) => {
                let outcome = self.check_through(&db).await;
                db.close().await;
                outcome
            }
        }
    }

    async fn check_through(&self, db: &SqlitePool) -> Result<Vec<String>, StorageError> {
        let mut problems = maintenance::damage(db).await?;
        if self.schema == schema::version() {
            problems.extend(maintenance::contradictions(db).await?);
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
        let outcome = self.copy_through(&self.db, &copy).await;
        match self.woken().await.map_err(|error| open::storage(self.path(), &error))? {
            None => outcome,
            Some(db) => {
                let outcome = self.copy_through(&db, &copy).await;
                db.close().await;
                outcome
            }
        }
    }

    async fn copy_through(&self, db: &SqlitePool, copy: &Path) -> Result<(), OpenError> {
        let mut db = db.acquire().await.map_err(|error| open::storage(self.path(), &error))?;
        schema::copy_into(&mut db, copy).await
    }

    /// Another way in, when somebody began to work with a file that was read as if nobody ever would: what was read may
    /// be half of the old and half of the new, and is to be read again among others who write.
    async fn woken(&self) -> Result<Option<SqlitePool>, sqlx::Error> {
        let (then, now) = (self.at_rest, at_rest(self.path()));
        if then.is_none() || now == then {
            return Ok(None);
        }
        // Once only: whoever begins a second time within one look is not somebody to wait for.
        connect(self.path(), now.is_some()).await.map(Some)
    }

    async fn may_replace(&self, copy: &Path) -> Result<(), OpenError> {
        let refused = |reason: &str| {
            let source = io::Error::new(io::ErrorKind::AlreadyExists, reason.to_owned());
            OpenError::Io { path: copy.to_owned(), source }
        };
        if self.place.names(copy) {
            return Err(refused("a copy cannot replace its original"));
        }
        match open::inspect(copy, BUSY, false).await {
            Ok(_) => Ok(()),
            Err(_) => Err(refused("it exists and is no backup")),
        }
    }

    /// Lets go of the file.
    pub async fn close(self) {
        self.db.close().await;
    }
}

/// Opens the file for looking, through SQLite. One at rest is read as if on a disc, which leaves no trace at all.
async fn connect(path: &Path, at_rest: bool) -> Result<SqlitePool, sqlx::Error> {
    let options = connect_options(path, BUSY).read_only(true).immutable(at_rest);
    SqlitePoolOptions::new().max_connections(1).connect_with(options).await
}

/// What the file looks like, if nobody works with it: then there is no log.
fn at_rest(path: &Path) -> Option<Stamp> {
    let metadata = path.metadata().ok()?;
    let changed = (metadata.mtime(), metadata.mtime_nsec());
    let stamp = (metadata.dev(), metadata.ino(), metadata.len(), changed);
    (!open::beside(path, "-wal").exists()).then_some(stamp)
}

const BUSY: Duration = Duration::from_secs(5);
