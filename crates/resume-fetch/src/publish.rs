//! The last step: a whole, synced part gets its final name, and the directory remembers it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags};

use crate::disk::{self, existing};
use crate::error::{FetchErrorKind, LocalError};
use crate::part_file::PartFile;

/// A part file with every byte present and synced. Only this can be published.
#[derive(Debug)]
pub(crate) struct SealedPart {
    part: PartFile,
    total: u64,
}

impl SealedPart {
    pub(crate) fn new(part: PartFile, total: u64) -> Self {
        Self { part, total }
    }

    /// Renames the part to `target` and syncs the directories on both sides. Blocking.
    ///
    /// Without `replace`, a file that appeared at `target` meanwhile wins: the part stays.
    ///
    /// # Errors
    /// [`FetchErrorKind::AlreadyExists`]; [`LocalError::CrossDevice`] when no rename is possible;
    /// [`LocalError::Io`] when the disk refuses; [`LocalError::NotSynced`] when it does so after the rename.
    pub(crate) fn publish(self, target: &Path, replace: bool) -> Result<u64, FetchErrorKind> {
        let from = self.part.path().to_path_buf();
        // Opened before: once the file has its name, a want of descriptors must not keep it from being synced.
        let names = Names::open(&from, target)?;
        let renamed = if replace { std::fs::rename(&from, target) } else { rename_no_replace(&from, target) };
        match renamed {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(FetchErrorKind::AlreadyExists(target.to_path_buf()));
            }
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                return Err(LocalError::CrossDevice { part: from, target: target.to_path_buf() }.into());
            }
            Err(error) => return Err(LocalError::io("publish", target)(error).into()),
        }
        names.sync(target)?;
        Ok(self.total)
    }
}

/// Makes a rename durable that an earlier call, perhaps of an earlier process, has made: until both directories are
/// synced, a power cut may take it back. Blocking.
///
/// A sync that failed then has marked the directory clean, so that another one by itself would prove nothing: the
/// directories are changed first, and what is synced is that change with everything before it.
pub(crate) fn sync_names(part: &Path, target: &Path) -> Result<(), LocalError> {
    let names = Names::open(part, target)?;
    for path in [target, part] {
        touch(disk::parent(path))
            .map_err(|source| LocalError::NotSynced { target: target.to_path_buf(), source })?;
    }
    names.sync(target)
}

/// Changes a directory and leaves it as it was: an empty directory is made in it and removed.
fn touch(dir: &Path) -> io::Result<()> {
    let entry = dir.join(TOUCH);
    // Two at a time may do each other's half; either half is a change. Nothing but an empty directory is ever removed.
    let or = |outcome: io::Result<()>, kind| match outcome {
        Err(error) if error.kind() == kind => Ok(()),
        outcome => outcome,
    };
    or(std::fs::create_dir(&entry), io::ErrorKind::AlreadyExists)?;
    or(std::fs::remove_dir(&entry), io::ErrorKind::NotFound)
}

/// The directories on the two sides of a rename.
struct Names {
    new: File,
    /// Only when it is another one.
    old: Option<File>,
}

impl Names {
    fn open(part: &Path, target: &Path) -> Result<Self, LocalError> {
        let open = |path: &Path| {
            File::open(disk::parent(path)).map_err(LocalError::io("open the directory of", path))
        };
        let apart = disk::parent(part) != disk::parent(target);
        Ok(Self { new: open(target)?, old: if apart { Some(open(part)?) } else { None } })
    }

    fn sync(&self, target: &Path) -> Result<(), LocalError> {
        let synced = self.new.sync_all().and_then(|()| self.old.as_ref().map_or(Ok(()), File::sync_all));
        synced.map_err(|source| LocalError::NotSynced { target: target.to_path_buf(), source })
    }
}

/// Refuses a target that no rename could reach, before anything is downloaded for it. Blocking.
pub(crate) fn check_reachable(part: &Path, target: &Path) -> Result<(), LocalError> {
    let device = |path: &Path| {
        let dir = disk::parent(path);
        std::fs::metadata(dir).map(|meta| meta.dev()).map_err(LocalError::io("look at the directory", dir))
    };
    if device(part)? != device(target)? {
        return Err(LocalError::CrossDevice { part: part.to_path_buf(), target: target.to_path_buf() });
    }
    match existing(target).map_err(LocalError::io("look at", target))? {
        Some(meta) if meta.is_dir() => {
            Err(LocalError::io("replace", target)(io::ErrorKind::IsADirectory.into()))
        }
        _ => Ok(()),
    }
}

fn rename_no_replace(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            link_and_unlink(from, to)
        }
        other => Ok(other?),
    }
}

/// For filesystems that cannot be told not to replace: a second name, which fails when the target exists, then the
/// first one goes. Where there are no second names either, only looking first is left.
fn link_and_unlink(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::hard_link(from, to) {
        Ok(()) => std::fs::remove_file(from),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) =>
        {
            match existing(to)? {
                Some(_) => Err(io::ErrorKind::AlreadyExists.into()),
                None => std::fs::rename(from, to),
            }
        }
        Err(error) => Err(error),
    }
}

const TOUCH: &str = ".resume-fetch.sync";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    use super::*;

    fn sealed(dir: &Path) -> SealedPart {
        let part = PartFile::open(dir.join("x.part"), None).unwrap();
        part.write_at(b"whole and more", 0).unwrap();
        part.sync().unwrap();
        part.seal(5).unwrap()
    }

    #[test]
    fn the_part_becomes_the_target_with_exactly_its_bytes_and_ordinary_permissions() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        sealed(dir.path()).publish(&target, false).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
        assert!(!dir.path().join("x.part").exists());
        let plain = dir.path().join("plain");
        std::fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
        assert_eq!(mode(&target), mode(&plain));
    }

    #[test]
    fn a_target_that_appeared_meanwhile_is_never_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("x");
        std::fs::write(&target, b"precious").unwrap();
        let error = sealed(dir.path()).publish(&target, false).unwrap_err();
        assert!(matches!(error, FetchErrorKind::AlreadyExists(_)), "{error}");
        assert_eq!(std::fs::read(&target).unwrap(), b"precious");
        assert!(dir.path().join("x.part").exists(), "the part stays");
        sealed(dir.path()).publish(&target, true).unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"whole");
    }

    #[test]
    fn without_a_rename_that_refuses_to_replace_a_second_name_does_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&from, b"new").unwrap();
        std::fs::write(&to, b"precious").unwrap();
        assert_eq!(link_and_unlink(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        std::fs::remove_file(&to).unwrap();
        link_and_unlink(&from, &to).unwrap();
        assert_eq!(std::fs::read(&to).unwrap(), b"new");
        assert!(!from.exists());
    }

    #[test]
    fn a_target_no_rename_can_reach_is_known_before_the_download() {
        let dir = tempfile::tempdir().unwrap();
        let part = dir.path().join("x.part");
        check_reachable(&part, &dir.path().join("x")).unwrap();
        std::fs::create_dir(dir.path().join("dir")).unwrap();
        check_reachable(&part, &dir.path().join("dir")).unwrap_err();
        check_reachable(&part, &dir.path().join("nowhere").join("x")).unwrap_err();
        let elsewhere = check_reachable(&part, Path::new("/proc/x")).unwrap_err();
        assert!(matches!(elsewhere, LocalError::CrossDevice { .. }), "{elsewhere}");
    }

    #[test]
    fn a_directory_whose_sync_may_have_failed_is_changed_before_it_is_synced_again() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        for dir in [&new, &old] {
            std::fs::create_dir(dir).unwrap();
            File::open(dir).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        }
        // Left by a process that was killed half-way.
        std::fs::create_dir(old.join(TOUCH)).unwrap();
        std::fs::write(new.join("x"), b"whole").unwrap();
        File::open(&new).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        sync_names(&old.join("x.part"), &new.join("x")).unwrap();
        let names =
            |dir: &Path| dir.read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!((names(&new), names(&old).len()), (vec!["x".into()], 0), "it looks as before");
        for dir in [&new, &old] {
            assert!(dir.metadata().unwrap().modified().unwrap() > SystemTime::UNIX_EPOCH, "it was changed");
        }
    }
}
