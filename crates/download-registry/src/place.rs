//! Whether the open database is still the file its path names.
//!
//! A file that was deleted while it is open takes writes as if nothing had happened, and they are gone with the
//! process. Nobody may be told that such a write is safe.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The file a path named at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    path: PathBuf,
    file: FileId,
}

impl Place {
    /// Notes which file `path` names.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: file_id(path)? })
    }

    /// Tells whether `path` names the same file. A path that cannot be looked at is given the benefit of the doubt.
    pub(crate) fn names(&self, path: &Path) -> bool {
        match file_id(path) {
            Ok(found) => found == self.file,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// Tells whether the file is still where it was.
    pub(crate) fn holds(&self) -> bool {
        self.names(&self.path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(unix)]
type FileId = (u64, u64);

#[cfg(unix)]
fn file_id(path: &Path) -> io::Result<FileId> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Other platforms do not let an open file be taken away.
#[cfg(not(unix))]
type FileId = PathBuf;

#[cfg(not(unix))]
fn file_id(path: &Path) -> io::Result<FileId> {
    fs::canonicalize(path)
}
