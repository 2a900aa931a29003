//! Files that were just asked for, kept open for whoever asks next.
//!
//! Somebody who reads a file in many ranges would have it opened for each of them, on another thread, because opening
//! may wait for a disk. A file that is open already has its directories and its inode in memory, so whether its path
//! still leads to it can be asked where the request is answered, without waiting. That question is asked every time: a
//! file that was replaced, removed or written to is opened anew by the very next request.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use range_http::FileStamp;
use tokio::time::Instant;

use super::OpenItem;
use super::item::Tag;

/// The files of one share that are kept open.
#[derive(Debug, Default)]
pub(super) struct KeptFiles {
    files: Mutex<HashMap<Tag, KeptFile>>,
}

/// A file as it was when it was opened.
#[derive(Debug)]
struct KeptFile {
    path: PathBuf,
    identity: Identity,
    open: OpenItem,
    /// Whether its validators were strong then.
    was_still: bool,
    used_at: Instant,
}

/// What tells one state of one file from any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    stamp: FileStamp,
    links: u64,
}

impl KeptFiles {
    /// The file of `tag`, if it is kept and its path still leads to it, unchanged.
    pub(super) fn open(&self, tag: Tag, now: SystemTime) -> Option<OpenItem> {
        let mut files = self.lock();
        let kept = files.get_mut(&tag)?;
        let found = std::fs::metadata(&kept.path).ok().map(|metadata| Identity::of(&metadata));
        // A tag that was weak may have become strong since, and the other way round when the clock was set back.
        if found != Some(kept.identity) || kept.identity.stamp.is_still(now) != kept.was_still {
            close(files.remove(&tag).into_iter().collect());
            return None;
        }
        kept.used_at = Instant::now();
        Some(OpenItem { seen_at: now, ..kept.open.clone() })
    }

    /// Keeps a file that was just opened under `path`, in place of the one that was not used for longest if there are
    /// too many. A file is let go once it was not used for some seconds: it must not keep a disk from being unmounted,
    /// nor the room of a removed file taken, for long.
    pub(super) fn keep(self: &Arc<Self>, tag: Tag, path: PathBuf, metadata: &Metadata, open: &OpenItem) {
        let identity = Identity::of(metadata);
        let was_still = identity.stamp.is_still(open.seen_at);
        let file = KeptFile { path, identity, open: open.clone(), was_still, used_at: Instant::now() };
        let mut files = self.lock();
        if files.is_empty() {
            tokio::spawn(let_go(Arc::downgrade(self)));
        }
        files.insert(tag, file);
        if files.len() > MOST {
            let oldest = files.iter().min_by_key(|(_, kept)| kept.used_at).map(|(&tag, _)| tag);
            close(oldest.and_then(|tag| files.remove(&tag)).into_iter().collect());
        }
    }

    /// Closes what was not used since `then`; whether anything is left.
    fn sweep(&self, then: Instant) -> bool {
        let mut files = self.lock();
        close(files.extract_if(|_, kept| kept.used_at <= then).map(|(_, kept)| kept).collect());
        !files.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Tag, KeptFile>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes files that are not used any more, until there is none.
async fn let_go(kept: Weak<KeptFiles>) {
    loop {
        tokio::time::sleep(UNUSED).await;
        let then = Instant::now() - UNUSED;
        if !kept.upgrade().is_some_and(|kept| kept.sweep(then)) {
            return;
        }
    }
}

/// Lets go of files. To close the last of a removed file is to give its room back, which may take the disk a while.
fn close(files: Vec<KeptFile>) {
    if !files.is_empty() {
        tokio::task::spawn_blocking(move || drop(files));
    }
}

impl Identity {
    fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), stamp: FileStamp::of(metadata), links: metadata.nlink() }
    }
}

/// Whether looking up the path of this open file never waits: true for the file systems whose directories stay in memory
/// with an open file, false for networks, programs and whatever is not known.
#[cfg(target_os = "linux")]
pub(super) fn is_looked_up_in_memory(file: &File) -> bool {
    // The field's width and sign differ between platforms; every magic number fits 32 bits.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::unnecessary_cast)]
    rustix::fs::fstatfs(file).is_ok_and(|stat| LOCAL.contains(&(stat.f_type as u32)))
}

/// Elsewhere nobody has looked.
#[cfg(not(target_os = "linux"))]
pub(super) fn is_looked_up_in_memory(_: &File) -> bool {
    false
}

/// Magic numbers of `statfs(2)`: ext2 to ext4, XFS, Btrfs, F2FS, bcachefs, ZFS, overlayfs, tmpfs.
#[cfg(target_os = "linux")]
const LOCAL: [u32; 8] =
    [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0xCA45_1A4E, 0x2FC1_2FC1, 0x794C_7630, 0x0102_1994];

/// Files kept open for each share.
const MOST: usize = 32;

/// For how long a file is kept that nobody asks for.
const UNUSED: Duration = Duration::from_secs(5);

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

    /// Whether a file that was just opened is one that can be kept at all: it is where temporary files are.
    fn is_kept_here(share: &Path) -> bool {
        File::open(share.join("a")).is_ok_and(|file| is_looked_up_in_memory(&file))
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
        let names = (0..MOST + 8).map(|number| format!("{number:02}")).chain(["a".into()]);
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
}
