//! Whether a database is known to be sound, so that a start need not read all of it.
//!
//! The file is changed at few moments: when the log is folded, and when it is closed. After each of them a note is put
//! on it (an extended attribute): how it looked, and in which life of the machine that was. A file that still looks
//! like that is as sound as it was, if it was closed or the machine has not gone down since; a process that was killed
//! harms nothing, for what it wrote is in the hands of the system. Everything else is read through again: a file
//! somebody else wrote to or put there, and one that was open when the machine went down, whatever its disk promised.

use std::path::Path;

/// Which end a note speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The log was folded; the database is in use.
    InUse,
    /// The database was closed, and has no log any more.
    Closed,
}

/// Notes that the database looks as it should. What cannot be noted is checked at the next start.
pub(crate) fn note(path: &Path, moment: Moment) {
    let life = match moment {
        Moment::InUse => system::life(),
        Moment::Closed => Some(CLOSED.to_owned()),
    };
    if let (Some(look), Some(life)) = (system::look(path), life) {
        system::write(path, &format!("{look} {life}"));
    }
}

/// Tells whether the database looks as it did when it was noted last, and nothing can have happened to it since.
pub(crate) fn is_known(path: &Path, has_log: bool) -> bool {
    let (Some(look), Some(noted)) = (system::look(path), system::read(path)) else { return false };
    let Some(life) = noted.strip_prefix(&look).and_then(|rest| rest.strip_prefix(' ')) else { return false };
    (life == CLOSED && !has_log) || system::life().is_some_and(|now| now == life)
}

const CLOSED: &str = "closed";

#[cfg(target_os = "linux")]
mod system {
    use std::{fs, os::unix::fs::MetadataExt, path::Path};

    use rustix::fs::{XattrFlags, getxattr, setxattr};

    /// What a change of the file would show itself by.
    pub(super) fn look(path: &Path) -> Option<String> {
        let file = fs::metadata(path).ok()?;
        let (dev, ino, len) = (file.dev(), file.ino(), file.len());
        Some(format!("{dev}:{ino} {len} {}.{:09}", file.mtime(), file.mtime_nsec()))
    }

    /// A word for the time since the machine was started.
    pub(super) fn life() -> Option<String> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        Some(id.trim().to_owned()).filter(|id| !id.is_empty())
    }

    pub(super) fn read(path: &Path) -> Option<String> {
        let mut value = vec![0; 256];
        let length = getxattr(path, NAME, &mut value[..]).ok()?;
        value.truncate(length);
        String::from_utf8(value).ok()
    }

    pub(super) fn write(path: &Path, value: &str) {
        if let Err(error) = setxattr(path, NAME, value.as_bytes(), XattrFlags::empty()) {
            tracing::debug!(%error, path = %path.display(), "no note on the registry; the next start checks it");
        }
    }

    const NAME: &str = "user.download_registry.sound";
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::Path;

    pub(super) fn look(_: &Path) -> Option<String> {
        None
    }

    pub(super) fn life() -> Option<String> {
        None
    }

    pub(super) fn read(_: &Path) -> Option<String> {
        None
    }

    pub(super) fn write(_: &Path, _: &str) {}
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{
        fs::{self, File},
        time::{Duration, SystemTime},
    };

    use super::*;

    #[test]
    fn a_file_is_known_as_long_as_it_looks_as_it_did_and_nothing_can_have_happened_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("registry.db");
        fs::write(&path, "a database").unwrap();
        assert!(!is_known(&path, false), "nobody said so");
        note(&path, Moment::Closed);
        if system::read(&path).is_none() {
            // This disk keeps no notes: everything is read through at every start.
            return;
        }
        assert!(is_known(&path, false));
        assert!(!is_known(&path, true), "it was closed without a log, so this is somebody else's");
        note(&path, Moment::InUse);
        assert!(is_known(&path, true), "its process was killed");
        assert!(is_known(&path, false));

        let look = system::look(&path).unwrap();
        for note in [format!("{look} another life"), look.clone(), format!("{look}0 closed"), String::new()] {
            system::write(&path, &note);
            assert!(!is_known(&path, true) && !is_known(&path, false), "{note}");
        }

        note(&path, Moment::Closed);
        let later = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(!is_known(&path, false), "somebody wrote to it");
        let copy = dir.path().join("copy.db");
        note(&path, Moment::Closed);
        fs::copy(&path, &copy).unwrap();
        system::write(&copy, &system::read(&path).unwrap());
        assert!(!is_known(&copy, false), "it is another file");
    }
}
