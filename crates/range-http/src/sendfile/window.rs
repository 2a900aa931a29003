//! Which part of which file an address stands for.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::{WINDOW, region};
use crate::FileSource;

/// The one reserved region of the process, in slots of [`WINDOW`] bytes.
pub(super) struct Windows {
    region: &'static [u8],
    slots: Mutex<Slots>,
}

struct Slots {
    free: Vec<usize>,
    taken: Vec<Weak<Window>>,
}

/// Up to [`WINDOW`] bytes of a file, which have addresses as long as this lives.
pub(super) struct Window {
    pub(super) source: FileSource,
    /// Where in the file it begins.
    pub(super) start: u64,
    pub(super) len: usize,
    /// When all of it was in memory.
    seen_at: Instant,
    slot: usize,
    windows: &'static Windows,
}

impl Windows {
    /// `None` if the system gave no address space.
    pub(super) fn get() -> Option<&'static Self> {
        static WINDOWS: OnceLock<Option<Windows>> = OnceLock::new();
        let reserve = || Some(Windows::new(region::reserve(SLOTS * WINDOW)?));
        WINDOWS.get_or_init(reserve).as_ref()
    }

    fn new(region: &'static [u8]) -> Self {
        let free = (0..SLOTS).rev().collect();
        let slots = Slots { free, taken: (0..SLOTS).map(|_| Weak::new()).collect() };
        Self { region, slots: Mutex::new(slots) }
    }

    /// Gives addresses to `len` bytes of the file at `start`, cut at [`WINDOW`], which were seen in memory;
    /// `None` if all slots are taken.
    pub(super) fn open(
        &'static self,
        source: &FileSource,
        start: u64,
        len: u64,
        seen_at: Instant,
    ) -> Option<Arc<Window>> {
        let len = usize::try_from(len).unwrap_or(WINDOW).min(WINDOW);
        let mut slots = self.lock();
        let slot = slots.free.pop()?;
        let source = source.clone();
        let window = Arc::new(Window { source, start, len, seen_at, slot, windows: self });
        slots.taken[slot] = Arc::downgrade(&window);
        Some(window)
    }

    /// Whether the address of `slice` is one of ours.
    pub(super) fn covers(&self, slice: &[u8]) -> bool {
        self.place(slice).is_some()
    }

    /// The window that a slice lies in, and which bytes of it the slice stands for; `None` unless it lies in one from
    /// its first byte to its last.
    pub(super) fn find(&self, slice: &[u8]) -> Option<(Arc<Window>, Range<usize>)> {
        let place = self.place(slice)?;
        // Bound outside the lock: a window that goes away frees its slot, which takes the lock.
        let window = self.lock().taken[place / WINDOW].upgrade()?;
        let start = place % WINDOW;
        let range = start..start.checked_add(slice.len())?;
        (range.end <= window.len).then_some((window, range))
    }

    fn place(&self, slice: &[u8]) -> Option<usize> {
        let place = slice.as_ptr().addr().checked_sub(self.region.as_ptr().addr())?;
        (place < self.region.len()).then_some(place)
    }

    fn lock(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// The address of these of its bytes. Nobody can read it.
    pub(super) fn address(&self, range: Range<usize>) -> &[u8] {
        let start = self.slot * WINDOW;
        &self.windows.region[start..start + self.len][range]
    }

    /// How long ago all of it was seen in memory.
    pub(super) fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.seen_at)
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        let mut slots = self.windows.lock();
        slots.taken[self.slot] = Weak::new();
        slots.free.push(self.slot);
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window").field("start", &self.start).field("len", &self.len).finish_non_exhaustive()
    }
}

#[allow(clippy::disallowed_methods, reason = "how old a look is decides only whether to look once more")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// Windows at once in the whole process. A connection holds one or two; where there are none left, bodies copy.
const SLOTS: usize = if cfg!(target_pointer_width = "64") { 4096 } else { 64 };

#[cfg(test)]
mod tests {
    use super::*;

    fn windows() -> &'static Windows {
        Box::leak(Box::new(Windows::new(region::reserve(SLOTS * WINDOW).expect("address space"))))
    }

    fn source() -> FileSource {
        FileSource::new(tempfile::tempfile().expect("a file")).expect("a regular file")
    }

    #[test]
    fn any_part_of_an_address_finds_its_bytes() {
        let (windows, source) = (windows(), source());
        let first = windows.open(&source, 10, 1_000, now()).expect("a slot");
        let second = windows.open(&source, 5 << 40, u64::MAX, now()).expect("a slot");
        for (window, range) in
            [(&first, 0..1_000), (&first, 999..1_000), (&first, 1..2), (&second, 0..WINDOW), (&second, 7..9)]
        {
            let (found, part) = windows.find(window.address(range.clone())).expect("a window");
            assert!(Arc::ptr_eq(&found, window));
            assert_eq!(part, range);
        }
        assert_eq!((second.start, second.len), (5 << 40, WINDOW));
    }

    #[test]
    fn an_address_that_is_not_wholly_in_a_window_finds_nothing() {
        let windows = windows();
        let (first, other) = (windows.open(&source(), 0, 1_000, now()).expect("a slot"), [0; 9]);
        let base = first.slot * WINDOW;
        for stray in [base + 1_000..base + 1_001, base..base + 1_001, base + WINDOW..base + WINDOW + 1] {
            let slice = &windows.region[stray];
            assert!(windows.covers(slice) && windows.find(slice).is_none());
        }
        assert!(!windows.covers(&other) && windows.find(&other).is_none());
    }

    #[test]
    fn a_window_that_is_gone_leaves_its_slot_to_the_next() {
        let windows = windows();
        let source = source();
        let held: Vec<_> = std::iter::from_fn(|| windows.open(&source, 0, 1, now())).collect();
        assert_eq!(held.len(), SLOTS);
        let slot = held[7].slot;
        drop(held);
        assert!(windows.find(&windows.region[slot * WINDOW..][..1]).is_none());
        assert!(windows.open(&source, 0, 1, now()).is_some());
    }
}
