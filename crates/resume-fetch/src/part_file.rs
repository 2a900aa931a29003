//! The growing file beside the target: positional writes, syncs, and a lock for as long as anybody writes.

use std::fs::{File, Permissions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, FlockOperation};

use crate::disk;
use crate::error::LocalError;
use crate::publish::SealedPart;

/// An open part file. Clones share the descriptor and its lock; the lock ends with the last of them, so a write that
/// is still on its way keeps a second download out.
#[derive(Clone, Debug)]
pub(crate) struct PartFile {
    file: Arc<File>,
    path: Arc<PathBuf>,
    /// The next sync fails.
    #[cfg(test)]
    sync_fails: Arc<AtomicBool>,
    /// How often it was read.
    #[cfg(test)]
    reads: Arc<AtomicU64>,
}

impl PartFile {
    /// Opens or creates the part file and takes its lock. Blocking.
    ///
    /// A file with a second name is refused, unless that name is `twin`: the one it was getting when a publication was
    /// cut short on a filesystem that cannot rename without replacing.
    ///
    /// # Errors
    /// [`LocalError::UnsafePart`] when the name is taken by a link, a directory, a device, another user's file or a
    /// file with a second name; [`LocalError::Busy`] when it is locked; [`LocalError::Io`] otherwise.
    pub(crate) fn open(path: PathBuf, twin: Option<&Path>) -> Result<Self, LocalError> {
        for _ in 0..REOPENS {
            let file = open_locked(&path, twin)?;
            if still_named(&file, &path)? {
                return Ok(Self::new(file, path));
            }
        }
        Err(LocalError::Busy(path))
    }

    /// Removes the name of a part file in which there is nothing. Blocking.
    pub(crate) fn remove_if_empty(&self) -> Result<(), LocalError> {
        if self.len()? > 0 {
            return Ok(());
        }
        // Under the lock: whoever opens the name meanwhile finds that it is gone, and makes a new one.
        std::fs::remove_file(&*self.path).map_err(self.failed("remove"))
    }

    /// A part file over anything that can be opened, such as a device that refuses to write or to sync.
    #[cfg(all(test, feature = "reqwest"))]
    pub(crate) fn over(device: &str) -> Self {
        let file = File::options().read(true).write(true).open(device).expect("a device");
        Self::new(file, device.into())
    }

    /// A part file whose first sync fails. All others succeed, as if nothing had been lost.
    #[cfg(all(test, feature = "reqwest"))]
    pub(crate) fn losing_pages(path: PathBuf) -> Self {
        let part = Self::open(path, None).expect("a part file");
        part.sync_fails.store(true, Ordering::Relaxed);
        part
    }

    /// How often it was read so far.
    #[cfg(all(test, feature = "reqwest"))]
    pub(crate) fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn new(file: File, path: PathBuf) -> Self {
        Self {
            file: Arc::new(file),
            path: Arc::new(path),
            #[cfg(test)]
            sync_fails: Arc::default(),
            #[cfg(test)]
            reads: Arc::default(),
        }
    }

    /// The open file, with its lock.
    pub(crate) fn descriptor(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Length on disk in bytes. Says nothing about which of them are ours.
    pub(crate) fn len(&self) -> Result<u64, LocalError> {
        self.file.metadata().map(|meta| meta.len()).map_err(self.failed("look at"))
    }

    /// Writes `bytes` at `offset`. Blocking.
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), LocalError> {
        self.file.write_all_at(bytes, offset).map_err(self.failed("write"))
    }

    /// Fills `buffer` from `offset`. Blocking.
    pub(crate) fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), LocalError> {
        #[cfg(test)]
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.file.read_exact_at(buffer, offset).map_err(self.failed("read"))
    }

    /// Checks that the disk has room for `total` bytes. Blocking.
    ///
    /// # Errors
    /// [`LocalError::Io`] with [`io::ErrorKind::StorageFull`] when there is not enough. A filesystem that does not tell
    /// is none: then the write that fails will.
    pub(crate) fn check_room(&self, total: u64) -> Result<(), LocalError> {
        let meta = self.file.metadata().map_err(self.failed("look at"))?;
        let missing = total.saturating_sub(meta.blocks().saturating_mul(512));
        match rustix::fs::fstatvfs(&*self.file) {
            Ok(stat) if stat.f_blocks > 0 && stat.f_bavail.saturating_mul(stat.f_frsize) < missing => {
                Err(self.failed("find room for")(io::ErrorKind::StorageFull.into()))
            }
            _ => Ok(()),
        }
    }

    /// Keeps room for `range` without changing the length, so that it lies together. Blocking.
    ///
    /// Where that cannot be done, for want of support or of space, the write will say so when it comes to it.
    pub(crate) fn reserve(&self, range: Range<u64>) {
        if !range.is_empty() {
            let length = range.end - range.start;
            let _ = rustix::fs::fallocate(&*self.file, FallocateFlags::KEEP_SIZE, range.start, length);
        }
    }

    /// Makes written bytes durable. Blocking.
    ///
    /// After an error the kernel may have dropped the pages it could not write and report success the next time: the
    /// caller must forget the bytes this sync was to cover, and never sync again and believe it.
    pub(crate) fn sync(&self) -> Result<(), LocalError> {
        #[cfg(test)]
        if self.sync_fails.swap(false, Ordering::Relaxed) {
            return Err(self.failed("sync")(rustix::io::Errno::IO.into()));
        }
        self.file.sync_data().map_err(self.failed("sync"))
    }

    /// Cuts or extends to `len` bytes and syncs. Blocking.
    pub(crate) fn truncate(&self, len: u64) -> Result<(), LocalError> {
        let meta = self.file.metadata().map_err(self.failed("look at"))?;
        if len == 0 && meta.len() == 0 && meta.blocks() == 0 {
            return Ok(());
        }
        // Also when the length is right already: room kept behind it for a longer file goes back to the disk.
        self.file.set_len(len).and_then(|()| self.file.sync_all()).map_err(self.failed("truncate"))
    }

    /// Declares the part whole: exactly `total` bytes, with the permissions of an ordinary new file, all synced.
    /// Blocking.
    ///
    /// The caller vouches that the durable ranges cover `[0, total)`; this cuts what lies behind them.
    pub(crate) fn seal(self, total: u64) -> Result<SealedPart, LocalError> {
        // Some filesystems have no permissions to set; a file is no worse for that.
        let _ = self.file.set_permissions(Permissions::from_mode(disk::default_file_mode()));
        if self.len()? < total {
            // Making it longer would make up bytes.
            return Err(self.failed("seal")(io::ErrorKind::UnexpectedEof.into()));
        }
        self.file.set_len(total).and_then(|()| self.file.sync_all()).map_err(self.failed("seal"))?;
        Ok(SealedPart::new(self, total))
    }

    fn failed(&self, action: &'static str) -> impl FnOnce(io::Error) -> LocalError {
        LocalError::io(action, &**self.path)
    }
}

fn open_locked(path: &Path, twin: Option<&Path>) -> Result<File, LocalError> {
    let unsafe_part = |what| LocalError::UnsafePart { path: path.to_path_buf(), what };
    let before = disk::existing(path).map_err(LocalError::io("look at", path))?;
    match &before {
        Some(meta) if meta.is_symlink() => return Err(unsafe_part("a symbolic link")),
        Some(meta) if meta.is_dir() => return Err(unsafe_part("a directory")),
        Some(meta) if !meta.is_file() => return Err(unsafe_part("a special file")),
        _ => {}
    }
    let file = disk::create_or_open(path, 0o600).map_err(LocalError::io("open", path))?;
    // What was looked at may have been swapped since: judge what is open.
    let meta = file.metadata().map_err(LocalError::io("look at", path))?;
    let twin = twin.and_then(|twin| disk::existing(twin).ok().flatten());
    let names = if twin.is_some_and(|twin| disk::same_file(&twin, &meta)) { 2 } else { 1 };
    if let Some(what) = disk::not_ours(&meta, names) {
        return Err(unsafe_part(what));
    }
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => return Err(LocalError::Busy(path.to_path_buf())),
        // A filesystem without locks: the ledger's own single-writer rule has to do.
        Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::NOLCK | rustix::io::Errno::INVAL) => {}
        Err(error) => return Err(LocalError::io("lock", path)(error.into())),
    }
    if before.is_none() {
        disk::sync_parent(path).map_err(LocalError::io("sync the directory of", path))?;
    }
    Ok(file)
}

/// Whether `path` still names the file we have locked. Whoever had the lock before may have published or removed it
/// between our opening and our locking it: then we hold what is now the finished file, or nothing.
fn still_named(file: &File, path: &Path) -> Result<bool, LocalError> {
    let ours = file.metadata().map_err(LocalError::io("look at", path))?;
    let named = disk::existing(path).map_err(LocalError::io("look at", path))?;
    Ok(named.is_some_and(|named| disk::same_file(&ours, &named)))
}

/// How often a file that vanished under its lock is looked for again.
const REOPENS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordinary_file_of_ours_is_opened_and_nothing_else_is_touched() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        std::fs::write(&victim, b"precious").unwrap();
        let at = |name: &str| dir.path().join(name);
        std::os::unix::fs::symlink(&victim, at("link")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
        std::fs::hard_link(&victim, at("hard")).unwrap();
        std::fs::create_dir(at("dir")).unwrap();
        let fifo = rustix::fs::mknodat(
            rustix::fs::CWD,
            at("fifo"),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        );
        fifo.unwrap();
        for name in ["link", "dangling", "hard", "dir", "fifo"] {
            let error = PartFile::open(at(name), None).unwrap_err();
            assert!(matches!(error, LocalError::UnsafePart { .. }), "{name}: {error}");
        }
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(!at("nowhere").exists());
    }

    #[test]
    fn a_second_writer_is_kept_out_until_the_first_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part");
        let first = PartFile::open(path.clone(), None).unwrap();
        let writing = first.clone();
        drop(first);
        assert!(
            matches!(PartFile::open(path.clone(), None), Err(LocalError::Busy(_))),
            "a write is still on its way"
        );
        drop(writing);
        PartFile::open(path, None).unwrap();
    }

    #[test]
    fn a_file_that_was_published_between_opening_and_locking_is_not_taken_for_the_part() {
        let dir = tempfile::tempdir().unwrap();
        let (path, target) = (dir.path().join("x.part"), dir.path().join("x"));
        let locked = open_locked(&path, None).unwrap();
        assert!(still_named(&locked, &path).unwrap());
        std::fs::rename(&path, &target).unwrap();
        assert!(!still_named(&locked, &path).unwrap(), "nothing has that name now");
        std::fs::write(&path, b"").unwrap();
        assert!(!still_named(&locked, &path).unwrap(), "another file has it");
    }

    #[test]
    fn reserved_room_does_not_show_in_the_length_and_goes_back_with_the_cut() {
        let dir = tempfile::tempdir().unwrap();
        let part = PartFile::open(dir.path().join("x.part"), None).unwrap();
        part.reserve(0..3 << 20);
        assert_eq!(part.len().unwrap(), 0);
        part.truncate(0).unwrap();
        assert_eq!(part.file.metadata().unwrap().blocks(), 0);
    }

    #[test]
    fn too_little_room_is_told_before_a_byte_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let part = PartFile::open(dir.path().join("x.part"), None).unwrap();
        part.check_room(1 << 20).unwrap();
        let error = part.check_room(1 << 60).unwrap_err();
        assert!(error.is_full(), "{error}");
    }

    #[test]
    fn an_unused_part_leaves_no_name_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.part");
        PartFile::open(path.clone(), None).unwrap().remove_if_empty().unwrap();
        assert!(!path.exists());
        let part = PartFile::open(path.clone(), None).unwrap();
        part.write_at(b"x", 0).unwrap();
        part.remove_if_empty().unwrap();
        assert!(path.exists(), "bytes are never thrown away on the way out");
    }
}
