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
const LOCAL: [u32; 8] = [
    0xEF53,
    0x5846_5342,
    0x9123_683E,
    0xF2F5_2010,
    0xCA45_1A4E,
    0x2FC1_2FC1,
    0x794C_7630,
    0x0102_1994,
];

/// Files kept open for each share.
const MOST: usize = 32;

/// For how long a file is kept that nobody asks for.
const UNUSED: Duration = Duration::from_secs(5);
