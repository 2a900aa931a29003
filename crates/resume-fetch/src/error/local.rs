//! What the local disk refuses.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// The local disk refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LocalError {
    /// A read, write, sync or rename failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file has its final name, and the directory could not be synced: a power cut may still take the name back. The
    /// next call finds the file, changes the directory once more, and syncs it with that change.
    #[error("{} has its name, and its directory cannot be synced: {source}", target.display())]
    NotSynced {
        /// The final name.
        target: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The part file's name is taken by something that is not an ordinary file of ours.
    #[error("{} is {what}; it was not touched", path.display())]
    UnsafePart {
        /// The part file.
        path: PathBuf,
        /// What stands there.
        what: &'static str,
    },
    /// Another process or another download of this one is writing the part file.
    #[error("{} is being written by another download", .0.display())]
    Busy(PathBuf),
    /// The part file and the target are on different filesystems, where a rename is not atomic.
    #[error("{} and {} are on different filesystems", part.display(), target.display())]
    CrossDevice {
        /// The part file.
        part: PathBuf,
        /// The target.
        target: PathBuf,
    },
}

impl LocalError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }

    /// Whether the disk is full or a quota is used up.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if is_full(source))
    }

    /// Whether waiting may help: a full disk can be emptied, another download can end.
    pub fn is_transient(&self) -> bool {
        self.is_full() || matches!(self, Self::Busy(_))
    }
}

pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
