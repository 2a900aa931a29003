//! Room on the disk: below `min_free` the queue waits and what runs is set aside with its bytes, until twice that is
//! free again. A directory that went away holds the queue, too: an unmounted disk must not turn every row into a
//! failure.
//!
//! Looking at a disk may take as long as the disk likes (a network mount that hangs), so it happens on threads of its
//! own.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use resume_fetch::Phase;
use tokio::task::spawn_blocking;

use super::{Intent, Shared};
use crate::events::{Event, Room};

/// How to look at the disk, and what was seen last.
pub(super) struct Disk {
    free: Arc<FreeBytes>,
    low: AtomicBool,
    away: AtomicBool,
}

/// Tells how many bytes may still be written below a directory; `None` when the filesystem does not say.
type FreeBytes = dyn Fn(&Path) -> Option<u64> + Send + Sync;

impl Disk {
    pub(super) fn new(free: impl Fn(&Path) -> Option<u64> + Send + Sync + 'static) -> Self {
        Self { free: Arc::new(free), low: AtomicBool::default(), away: AtomicBool::default() }
    }

    pub(super) fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Bytes that may still be written below `dir`.
    pub(super) async fn free(&self, dir: &Path) -> Option<u64> {
        let (free, dir) = (Arc::clone(&self.free), dir.to_path_buf());
        spawn_blocking(move || free(&dir)).await.ok().flatten()
    }
}

impl Shared {
    /// Looks at the disk, and tells whether anything may be started.
    pub(super) async fn has_room(&self) -> bool {
        let dirs = [self.settings().dir.clone(), self.settings().incomplete_dir.clone()];
        let missing = spawn_blocking(move || dirs.into_iter().find(|dir| !dir.is_dir())).await;
        let missing = missing.ok().flatten();
        let was_away = self.disk.away.swap(missing.is_some(), Ordering::Relaxed);
        match missing {
            Some(dir) => {
                if !was_away {
                    tracing::error!(dir = %dir.display(), "the directory is gone; the queue waits for it");
                }
                return false;
            }
            None if was_away => tracing::info!("the directories are back; the queue goes on"),
            None => {}
        }
        let min_free = self.settings().min_free;
        if min_free == 0 {
            return true;
        }
        let Some(free) = self.disk.free(&self.settings().incomplete_dir).await else { return true };
        let was_low = self.disk.is_low();
        let low = is_low(free, min_free, was_low);
        self.disk.low.store(low, Ordering::Relaxed);
        match (was_low, low) {
            (false, true) => self.events.record(&Event::DiskLow(Room { free, min_free })),
            (true, false) => self.events.record(&Event::DiskOk(Room { free, min_free })),
            _ => {}
        }
        if low {
            self.set_aside_what_grows();
        }
        !low
    }

    /// Stops every transfer that may still write; each is parked by its worker and comes back by itself.
    fn set_aside_what_grows(&self) {
        for running in self.running().values() {
            let phase = running.progress.borrow().map(|progress| progress.phase);
            // What is whole needs no more room than its name.
            if matches!(phase, Some(Phase::Verifying | Phase::Finalizing)) || running.stop.is_cancelled() {
                continue;
            }
            *running.intent.lock().unwrap_or_else(PoisonError::into_inner) = Intent::MakeRoom;
            running.stop.cancel();
        }
    }
}

/// Whether too little is free; what was low is so until there is twice as much.
fn is_low(free: u64, min_free: u64, was_low: bool) -> bool {
    free < if was_low { min_free.saturating_mul(2) } else { min_free }
}

/// Whether there is anything of this name, a dangling link included.
pub(super) async fn exists(path: PathBuf) -> bool {
    spawn_blocking(move || path.symlink_metadata().is_ok()).await.unwrap_or(false)
}

/// Bytes the disk has set apart for a file, holes not counted; 0 for one that is not there.
pub(super) async fn allocated(path: PathBuf) -> u64 {
    let metadata = spawn_blocking(move || path.symlink_metadata()).await;
    metadata.ok().and_then(Result::ok).map_or(0, |metadata| metadata.blocks().saturating_mul(512))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_was_low_needs_twice_as_much_before_the_queue_goes_on() {
        for (free, was_low, low) in
            [(100, false, false), (99, false, true), (100, true, true), (199, true, true), (200, true, false)]
        {
            assert_eq!(is_low(free, 100, was_low), low, "{free} free, low before: {was_low}");
        }
        assert!(is_low(u64::MAX - 1, u64::MAX, true), "no reserve is too large to be doubled");
        assert!(!is_low(0, 0, true), "no reserve is never missed");
    }
}
