//! The watched folder on the disk: what lies in it, and how a file leaves it. Everything here blocks.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, OFlags, RenameFlags};

use crate::stub::MAX_BYTES;

/// What lay in the folder.
#[derive(Debug)]
pub(super) struct Listing {
    /// Device and inode of the folder: another disk under the same path is another folder.
    pub(super) identity: (u64, u64),
    /// Its files by name, those that are hidden left out. Folders in it are not looked into.
    pub(super) files: Vec<(OsString, Stamp)>,
}

/// By what a file is told from the one that had its name before. Whatever anybody does to a file shows here;
/// reading it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) regular: bool,
    pub(super) size: u64,
    /// When it came to lie here, or was touched last: milliseconds since 1970, by the clock of the filesystem.
    pub(super) changed_ms: i64,
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
}

impl From<&Metadata> for Stamp {
    fn from(of: &Metadata) -> Self {
        Self {
            regular: of.is_file(),
            size: of.len(),
            changed_ms: of.ctime().saturating_mul(1000).saturating_add(of.ctime_nsec() / 1_000_000),
            inode: (of.dev(), of.ino()),
            modified: (of.mtime(), of.mtime_nsec()),
            changed: (of.ctime(), of.ctime_nsec()),
        }
    }
}

/// Lists the folder.
pub(super) fn list(dir: &Path) -> io::Result<Listing> {
    let folder = fs::metadata(dir)?;
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_bytes().starts_with(b".") {
            continue;
        }
        // One that is gone by now is as good as never seen.
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        if !metadata.is_dir() {
            files.push((name, Stamp::from(&metadata)));
        }
    }
    Ok(Listing { identity: (folder.dev(), folder.ino()), files })
}

/// Reads a file, one byte more than a stub may have at most; `None` when it is not the file it was.
pub(super) fn read(path: &Path, stamp: &Stamp) -> io::Result<Option<Vec<u8>>> {
    // A pipe that takes the place of the file must not hold us up, and a link must not lead us away.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    let file: File = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if Stamp::from(&file.metadata()?) != *stamp {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    (&file).take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let still = Stamp::from(&file.metadata()?) == *stamp;
    Ok(Some(bytes).filter(|_| still))
}

/// Deletes a file, unless it is not the file it was.
pub(super) fn delete(path: &Path, stamp: &Stamp) -> io::Result<bool> {
    if !is_still(path, stamp)? {
        return Ok(false);
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(true),
    }
}

/// Moves a file to the directory `to`, which is made, under its own name or `name (1).torrent` and so on, and returns
/// where it is; `None` when it is not the file it was.
pub(super) fn archive(path: &Path, stamp: &Stamp, to: &Path) -> io::Result<Option<PathBuf>> {
    if !is_still(path, stamp)? {
        return Ok(None);
    }
    fs::create_dir_all(to)?;
    for number in 0..MAX_NAMES {
        let target = to.join(numbered(path, number));
        match move_no_replace(path, &target) {
            Ok(()) => return Ok(Some(target)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

fn is_still(path: &Path, stamp: &Stamp) -> io::Result<bool> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Stamp::from(&metadata) == *stamp),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn move_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Another filesystem, or one that cannot be told not to replace: a copy that is new, then the first one goes.
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            let bytes = fs::read(from)?;
            let mut copy = OpenOptions::new().write(true).create_new(true).open(to)?;
            io::Write::write_all(&mut copy, &bytes)?;
            copy.sync_all()?;
            fs::remove_file(from)
        }
        other => Ok(other?),
    }
}

/// `film.torrent`, `film (1).torrent`, `film (2).torrent`, …
fn numbered(path: &Path, number: u32) -> OsString {
    let mut name = match number {
        0 => return path.file_name().unwrap_or_default().to_owned(),
        _ => path.file_stem().unwrap_or_default().to_owned(),
    };
    name.push(format!(" ({number})"));
    if let Some(extension) = path.extension() {
        name.push(OsStr::new("."));
        name.push(extension);
    }
    name
}

/// Stubs of one name in the archive, at most.
const MAX_NAMES: u32 = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(path: &Path) -> Stamp {
        Stamp::from(&path.symlink_metadata().unwrap())
    }

    fn names(dir: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = list(dir).unwrap().files.into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_listed_and_what_is_hidden_or_a_folder_is_not() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.torrent", "notes.txt", ".hidden.torrent"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        fs::create_dir(dir.path().join("folder.torrent")).unwrap();
        std::os::unix::fs::symlink("a.torrent", dir.path().join("link.torrent")).unwrap();
        assert_eq!(names(dir.path()), ["a.torrent", "link.torrent", "notes.txt"]);
        let listed = list(dir.path()).unwrap().files;
        let link = listed.iter().find(|(name, _)| name == "link.torrent").unwrap();
        assert!(!link.1.regular, "a link is told from a file");
        assert!(list(&dir.path().join("missing")).is_err());
    }

    #[test]
    fn a_file_that_changed_is_neither_read_nor_deleted_nor_archived() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("a.torrent"), dir.path().join("done"));
        fs::write(&path, "one").unwrap();
        let before = stamp(&path);
        assert_eq!(read(&path, &before).unwrap().as_deref(), Some(&b"one"[..]));
        fs::write(&path, "other").unwrap();
        assert_eq!(read(&path, &before).unwrap(), None);
        assert!(!delete(&path, &before).unwrap());
        assert_eq!(archive(&path, &before, &to).unwrap(), None);
        assert!(path.exists() && !to.exists());
        fs::remove_file(&path).unwrap();
        assert!(read(&path, &before).unwrap().is_none() && !delete(&path, &before).unwrap());
    }

    #[test]
    fn an_archived_file_takes_no_other_ones_name() {
        let dir = tempfile::tempdir().unwrap();
        let (path, to) = (dir.path().join("a.b.torrent"), dir.path().join("done"));
        for (text, name) in [("1", "a.b.torrent"), ("2", "a.b (1).torrent"), ("3", "a.b (2).torrent")] {
            fs::write(&path, text).unwrap();
            assert_eq!(archive(&path, &stamp(&path), &to).unwrap(), Some(to.join(name)));
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), text);
        }
        assert!(!path.exists());
    }

    #[test]
    fn no_more_is_read_than_shows_that_it_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.torrent");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(read(&path, &stamp(&path)).unwrap().map(|bytes| bytes.len()), Some(MAX_BYTES + 1));
    }
}
