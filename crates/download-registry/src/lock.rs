//! One process per state directory.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;

/// The right to be the only process that works in a directory.
///
/// The operating system holds the lock and takes it back when the process ends, however it ends. The file stays: to
/// delete it would let two processes lock two different files of the same name.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
    path: PathBuf,
}

/// Why a directory could not be locked.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process works there.
    #[error("{} is in use{}", path.display(), holder(*pid))]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that said it took the lock; for messages only.
        pid: Option<u32>,
    },
    /// The disk refused.
    #[error("cannot lock {}", path.display())]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl StateLock {
    /// Locks `directory`, which must exist, without waiting.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process (or another `StateLock` in this one) has it.
    pub fn acquire(directory: impl AsRef<Path>) -> Result<Self, LockError> {
        let path = directory.as_ref().join(FILE_NAME);
        let io = |source| LockError::Io { path: path.clone(), source };
        let mut file = open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held { pid: read_pid(&mut file), path }),
            Err(TryLockError::Error(source)) => return Err(io(source)),
        }
        write_pid(&mut file).map_err(io)?;
        Ok(Self { _file: file, path })
    }

    /// Whether a process works in `directory` now. Nothing is made or changed there; a directory nobody ever locked is
    /// free.
    ///
    /// The answer is as old as the call. While it looks, a moment, a process that starts there may be refused.
    ///
    /// # Errors
    /// [`LockError::Io`] when the lock file may not be looked at.
    pub fn is_held(directory: impl AsRef<Path>) -> Result<bool, LockError> {
        let path = directory.as_ref().join(FILE_NAME);
        let looked = match File::open(&path) {
            Ok(file) => file.try_lock_shared(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(source) => return Err(LockError::Io { path, source }),
        };
        match looked {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(source)) => Err(LockError::Io { path, source }),
        }
    }

    /// Returns the lock file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn open(path: &Path) -> io::Result<File> {
    // Not truncated: the name in it belongs to whoever holds the lock, which is not us yet.
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" by process {pid}"))
}

const FILE_NAME: &str = "lock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_lock_is_refused_and_names_the_holder() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateLock::acquire(dir.path()).unwrap();
        let refused = StateLock::acquire(dir.path()).unwrap_err();
        assert!(matches!(&refused, LockError::Held { pid: Some(pid), path }
            if *pid == std::process::id() && path == first.path()));
        assert!(refused.to_string().contains("is in use by process"), "{refused}");

        drop(first);
        StateLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn whether_it_is_held_is_seen_without_touching_anything() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!StateLock::is_held(dir.path()).unwrap());
        assert!(!dir.path().join("lock").exists());
        let lock = StateLock::acquire(dir.path()).unwrap();
        assert!(StateLock::is_held(dir.path()).unwrap());
        drop(lock);
        assert!(!StateLock::is_held(dir.path()).unwrap());
        StateLock::acquire(dir.path()).unwrap();
    }

    #[test]
    fn a_missing_directory_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("gone");
        let refused = StateLock::acquire(&missing).unwrap_err();
        assert!(matches!(refused, LockError::Io { path, .. } if path == missing.join("lock")));
    }
}
