//! Why a database was not opened, and whether the file itself is to blame.

use std::{io, path::PathBuf};

use thiserror::Error;

use crate::{StorageError, StorageErrorKind};

/// Why a database was not opened. The file was not changed, except for [`OpenError::Migrate`] after its copy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no database, and the options forbid to make one.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file is empty. A registry is put in place whole, so something else emptied or made it.
    #[error("{} is empty: it is not a registry, or it was cut off", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is no SQLite database.
    #[error("{} is not a database", path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The database belongs to another program.
    #[error("{} is a database of another program (application id {application_id:#010x})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The mark found in its header.
        application_id: i32,
    },
    /// The database was written by a newer version.
    #[error("{} has schema {found}, newer than the {supported} this version reads{}", path.display(), copy_hint(backup.as_ref()))]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The newest schema this version reads.
        supported: i64,
        /// The copy made before the newer version changed the schema, if it is still there.
        backup: Option<PathBuf>,
    },
    /// The database is damaged.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What the check found.
        detail: String,
    },
    /// The database is gone, but its write-ahead log is there: a new database would swallow the log of the old one.
    #[error("{} is missing but its log {} is there", path.display(), log.display())]
    StrayLog {
        /// The missing database.
        path: PathBuf,
        /// Its log.
        log: PathBuf,
    },
    /// The database would lie on a network filesystem, where SQLite's locks and shared memory do not hold.
    #[error("{} is on a network filesystem ({filesystem})", path.display())]
    NetworkFilesystem {
        /// The file.
        path: PathBuf,
        /// Name of the filesystem.
        filesystem: &'static str,
    },
    /// Another process holds the database and did not let go of it within the busy timeout.
    #[error("{} is locked by another process", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The SQLite this program was built with may lose what it has committed.
    #[error("SQLite {version} may lose commits; 3.51.3 or newer is needed")]
    OldSqlite {
        /// Its version.
        version: String,
    },
    /// The path cannot be given to SQLite: it is not UTF-8.
    #[error("{} is not valid UTF-8", path.display())]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The schema could not be brought up to date. The step that failed left no trace; the copy from before is there.
    #[error("cannot bring the schema of {} up to date: {detail}{}", path.display(), copy_hint(copy.as_ref()))]
    Migrate {
        /// The file.
        path: PathBuf,
        /// The copy made before, if the database was not new.
        copy: Option<PathBuf>,
        /// What went wrong.
        detail: String,
    },
    /// The disk refused.
    #[error("cannot open {}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The database refused.
    #[error("cannot open {}", path.display())]
    Storage {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: StorageError,
    },
}

impl OpenError {
    /// Tells whether the file itself is the trouble (damaged, foreign, newer), not its surroundings.
    ///
    /// Such a file needs a person: trying again, or elsewhere, will not help.
    #[must_use]
    pub fn is_bad_file(&self) -> bool {
        match self {
            Self::Empty { .. }
            | Self::NotADatabase { .. }
            | Self::Foreign { .. }
            | Self::Newer { .. }
            | Self::Corrupt { .. }
            | Self::StrayLog { .. }
            | Self::Migrate { .. } => true,
            Self::Storage { source, .. } => source.kind() == StorageErrorKind::Corrupt,
            Self::Missing { .. }
            | Self::NetworkFilesystem { .. }
            | Self::Locked { .. }
            | Self::OldSqlite { .. }
            | Self::Path { .. }
            | Self::Io { .. } => false,
        }
    }
}

fn copy_hint(backup: Option<&PathBuf>) -> String {
    backup.map_or_else(String::new, |copy| format!("; {} is a copy from before the change", copy.display()))
}
