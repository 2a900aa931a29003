//! Files that were just asked for, kept open for whoever asks next.
//!
//! Somebody who reads a file in many ranges would have it opened for each of them, on another thread, because opening
//! may wait for a disk. A file that is open already has its directories and its inode in memory, so whether its path
//! still leads to it can be asked where the request is answered: by a look-up that gives up instead of waiting. That
//! question is asked every time: a file that was replaced, moved, removed or written to is opened anew by the very next
//! request.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use range_http::FileStamp;
use tokio::time::Instant;

use super::OpenItem;
use super::item::Tag;

/// The files of all shares that are kept open.
#[derive(Debug, Default)]
pub(super) struct KeptFiles(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<Key, Arc<KeptFile>>,
    /// Whether somebody closes what is not used any more.
    is_swept: bool,
}

/// A file of a share. Shares that were replaced do not get their numbers back.
pub(super) type Key = (u64, Tag);

/// A file as it was when it was opened.
#[derive(Debug)]
struct KeptFile {
    path: PathBuf,
    identity: Identity,
    open: OpenItem,
    /// Whether its validators were strong then.
    was_still: bool,
    opened_at: Instant,
    used_at: Mutex<Instant>,
}

/// What tells one state of one file from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    stamp: FileStamp,
    links: u64,
}

impl KeptFiles {
    /// The file of `key`, if it is kept and its path still leads to it, unchanged.
    pub(super) fn open(&self, key: Key, now: SystemTime) -> Option<OpenItem> {
        let kept = self.lock().files.get(&key).cloned()?;
        // A tag that was weak may have become strong since, and the other way round when the clock was set back.
        let is_same = kept.identity.stamp.is_still(now) == kept.was_still
            && found_without_waiting(&kept.path).map(|found| Identity::of(&found)) == Some(kept.identity);
        if is_same {
            kept.use_now();
            return Some(OpenItem { seen_at: now, ..kept.open.clone() });
        }
        close(self.lock().files.remove(&key).into_iter().chain([kept]).collect());
        None
    }

    /// Keeps a file that was just opened under `path`, in place of the one that was not used for longest if there are
    /// too many. It is let go once nobody asked for it for some seconds, and in any case after half a minute: it must
    /// not keep a disk from being unmounted, nor the room of a removed file taken, for long.
    pub(super) fn keep(self: &Arc<Self>, key: Key, path: PathBuf, metadata: &Metadata, open: &OpenItem) {
        let identity = Identity::of(metadata);
        let (was_still, now) = (identity.stamp.is_still(open.seen_at), Instant::now());
        let open = open.clone();
        let file = KeptFile { path, identity, open, was_still, opened_at: now, used_at: Mutex::new(now) };
        let mut kept = self.lock();
        if !std::mem::replace(&mut kept.is_swept, true) {
            tokio::spawn(let_go(Arc::downgrade(self)));
        }
        let mut closing: Vec<_> = kept.files.insert(key, Arc::new(file)).into_iter().collect();
        if kept.files.len() > MOST {
            let oldest = kept.files.iter().min_by_key(|(_, file)| file.used_at()).map(|(&key, _)| key);
            closing.extend(oldest.and_then(|key| kept.files.remove(&key)));
        }
        drop(kept);
        close(closing);
    }

    /// Closes what was kept for long enough by `now`; whether anything is left.
    fn sweep(&self, now: Instant) -> bool {
        let mut kept = self.lock();
        let closing: Vec<_> =
            kept.files.extract_if(|_, file| file.is_over(now)).map(|(_, file)| file).collect();
        kept.is_swept = !kept.files.is_empty();
        let is_left = kept.is_swept;
        drop(kept);
        close(closing);
        is_left
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptFile {
    fn used_at(&self) -> Instant {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn use_now(&self) {
        *self.used_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used_at()) >= UNUSED || now.duration_since(self.opened_at) >= LONGEST
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), stamp: FileStamp::of(metadata), links: metadata.nlink() }
    }
}

/// Closes files that are not used any more, until there is none.
async fn let_go(kept: Weak<KeptFiles>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        if !kept.upgrade().is_some_and(|kept| kept.sweep(Instant::now())) {
            return;
        }
    }
}

/// Lets go of files. To close the last of a removed file is to give its room back, which may take the disk a while.
fn close(files: Vec<Arc<KeptFile>>) {
    if !files.is_empty() {
        tokio::task::spawn_blocking(move || drop(files));
    }
}

/// What a path without any link in it leads to, if that can be said from memory.
#[cfg(target_os = "linux")]
fn found_without_waiting(path: &std::path::Path) -> Option<Metadata> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

    let look = OFlags::PATH | OFlags::CLOEXEC;
    let found = openat2(CWD, path, look, Mode::empty(), ResolveFlags::CACHED | ResolveFlags::NO_SYMLINKS);
    File::from(found.ok()?).metadata().ok()
}

/// Elsewhere nothing is kept.
#[cfg(not(target_os = "linux"))]
fn found_without_waiting(_: &std::path::Path) -> Option<Metadata> {
    None
}

/// Whether what is known of this open file is in memory as long as it is open: true for file systems on disks of this
/// machine, false for networks, programs, layers over others, and whatever is not known.
#[cfg(target_os = "linux")]
pub(super) fn is_known_from_memory(file: &File) -> bool {
    // The field's width and sign differ between platforms; every magic number fits 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)]
    rustix::fs::fstatfs(file).is_ok_and(|stat| LOCAL.contains(&(stat.f_type as u32)))
}

/// Elsewhere nobody has looked.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_known_from_memory(_: &File) -> bool {
    false
}

/// Magic numbers of `statfs(2)`: ext2 to ext4, XFS, Btrfs, F2FS, bcachefs, ZFS, tmpfs.
#[cfg(target_os = "linux")]
const LOCAL: [u32; 7] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0xCA45_1A4E, 0x2FC1_2FC1, 0x0102_1994];

/// Files kept open at once.
pub(crate) const MOST: usize = 64;

/// For how long a file is kept that nobody asks for.
const UNUSED: Duration = Duration::from_secs(5);

/// For how long any file is kept.
const LONGEST: Duration = Duration::from_secs(30);

const SWEEP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::super::tests::{all, library};
    use super::super::{Item, Library, LookupError, Scope};
    use super::*;

    async fn open(library: &Library, item: &Item) -> Result<OpenItem, LookupError> {
        library.open(&item.id, &Scope::All).await
    }

    async fn share_of(share: &Path, names: impl IntoIterator<Item = String>) -> (Library, Vec<Item>) {
        for name in names {
            fs::write(share.join(name), "first").expect("a file");
        }
        let library = library(&[("s", share)]).await;
        let items = all(&library, 100).await;
        (library, items)
    }

    /// Whether files can be kept at all where temporary files are.
    fn is_kept_here(share: &Path) -> bool {
        let path = share.join("a");
        File::open(&path).is_ok_and(|file| is_known_from_memory(&file))
            && found_without_waiting(&path).is_some()
    }

    #[tokio::test]
    async fn a_file_that_is_asked_for_again_is_the_one_that_is_open() {
        let share = tempfile::tempdir().expect("a directory");
        let (library, items) = share_of(share.path(), ["a".into()]).await;
        let first = open(&library, &items[0]).await.expect("open");
        let again = open(&library, &items[0]).await.expect("open");
        assert_eq!(Arc::ptr_eq(&first.item, &again.item), is_kept_here(share.path()));
        assert_eq!(first.item, again.item);
    }

    #[tokio::test]
    async fn whatever_happens_to_a_file_is_seen_by_the_very_next_request() {
        let share = tempfile::tempdir().expect("a directory");
        let path = share.path().join("a");
        let (library, items) = share_of(share.path(), ["a".into()]).await;
        let id = &items[0];
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(&path, "other").expect("rewritten"),
            &|| {
                fs::write(share.path().join("new"), "there").expect("a file");
                fs::rename(share.path().join("new"), &path).expect("replaced");
            },
            &|| File::options().append(true).open(&path).and_then(|file| file.set_len(3)).expect("cut"),
            &|| {
                let times = fs::FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
                File::options()
                    .append(true)
                    .open(&path)
                    .and_then(|file| file.set_times(times))
                    .expect("set back");
            },
        ];
        for (number, change) in changes.iter().enumerate() {
            let before = open(&library, id).await.expect("open");
            // The clock of files ticks every few milliseconds; what happens within one tick may look like nothing.
            while before.source.stamp() == FileStamp::of(&fs::metadata(&path).expect("a file")) {
                change();
            }
            let after = open(&library, id).await.expect("open");
            assert_eq!(
                after.source.stamp(),
                FileStamp::of(&fs::metadata(&path).expect("a file")),
                "{number}"
            );
            assert_ne!(after.item.etag, before.item.etag, "{number}");
        }
        fs::remove_file(&path).expect("removed");
        assert!(matches!(open(&library, id).await, Err(LookupError::Unknown)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_nobody_asks_for_any_more_is_closed() {
        let share = tempfile::tempdir().expect("a directory");
        let (library, items) = share_of(share.path(), ["a".into()]).await;
        let kept = Arc::downgrade(&open(&library, &items[0]).await.expect("open").item);
        while kept.strong_count() > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test]
    async fn no_more_than_a_few_files_are_kept_open_and_those_used_last_are() {
        let share = tempfile::tempdir().expect("a directory");
        let names = (10..MOST + 18).map(|number| format!("{number:02}")).chain(["a".into()]);
        let (library, items) = share_of(share.path(), names).await;
        let mut opened = Vec::new();
        for item in &items {
            opened.push(Arc::downgrade(&open(&library, item).await.expect("open").item));
        }
        let most = if is_kept_here(share.path()) { MOST } else { 0 };
        while opened.iter().filter(|item| item.strong_count() > 0).count() > most {
            tokio::task::yield_now().await;
        }
        assert!(opened.iter().rev().take(most).all(|item| item.strong_count() > 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_opened_anew_from_time_to_time_however_often_it_is_asked_for() {
        let share = tempfile::tempdir().expect("a directory");
        let (library, items) = share_of(share.path(), ["a".into()]).await;
        let first = Arc::downgrade(&open(&library, &items[0]).await.expect("open").item);
        while first.strong_count() > 0 {
            open(&library, &items[0]).await.expect("open");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test]
    async fn a_directory_that_became_a_link_leads_nowhere() {
        let outside = tempfile::tempdir().expect("a directory");
        let share = outside.path().join("share");
        fs::create_dir_all(share.join("sub")).expect("directories");
        let (library, items) = share_of(&share, ["sub/a".into()]).await;
        open(&library, &items[0]).await.expect("open");
        fs::rename(share.join("sub"), outside.path().join("sub")).expect("moved");
        std::os::unix::fs::symlink(outside.path().join("sub"), share.join("sub")).expect("a link");
        assert!(matches!(open(&library, &items[0]).await, Err(LookupError::Unknown)));
    }

    #[tokio::test(start_paused = true)]
    async fn one_task_closes_what_is_not_used_however_often_files_change() {
        let share = tempfile::tempdir().expect("a directory");
        let path = share.path().join("a");
        let (library, items) = share_of(share.path(), ["a".into()]).await;
        open(&library, &items[0]).await.expect("open");
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for size in 10..40 {
            fs::write(&path, vec![b'x'; size]).expect("rewritten");
            open(&library, &items[0]).await.expect("open");
        }
        assert!(tokio::runtime::Handle::current().metrics().num_alive_tasks() <= tasks + 1);
    }
}
