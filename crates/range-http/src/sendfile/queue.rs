//! How much may wait unsent in the kernel.
//!
//! A long queue hides a reader that has stopped, takes memory for each slow one, and holds pages of the file that
//! somebody may still change; a short one wakes the server for every few packets of a fast one. So the queue is as long
//! as a short while of what the reader takes.

use std::time::{Duration, Instant};

/// The queue of one connection. It is measured from one wait for the reader to the next, because only then as much left
/// as went in.
#[derive(Debug)]
pub(super) struct Queue {
    length: u32,
    /// When the last wait ended; `None` before the first.
    since: Option<Instant>,
    /// Bytes that went in since then.
    taken: usize,
    waiting: bool,
}

impl Queue {
    pub(super) const fn new() -> Self {
        Self { length: SHORTEST, since: None, taken: 0, waiting: false }
    }

    /// How many bytes it may hold.
    pub(super) const fn length(&self) -> u32 {
        self.length
    }

    /// Notes that it is full.
    pub(super) const fn note_full(&mut self) {
        self.waiting = true;
    }

    /// Notes that `count` bytes went in; its new length if that changes.
    pub(super) fn took(&mut self, count: usize, now: Instant) -> Option<u32> {
        let mut changed = None;
        if std::mem::take(&mut self.waiting) {
            if let Some(since) = self.since {
                changed = next_length(self.length, self.taken, now.saturating_duration_since(since));
            }
            self.length = changed.unwrap_or(self.length);
            self.since = Some(now);
            self.taken = 0;
        }
        self.taken = self.taken.saturating_add(count);
        changed
    }
}

/// The length of a queue of `length` bytes from which `left` were taken within `took`; `None` if it stays as it is.
///
/// It changes by half at least, so that a steady reader costs no further calls.
fn next_length(length: u32, left: usize, took: Duration) -> Option<u32> {
    let per_second = left as u128 * 1_000_000_000 / took.as_nanos().max(1);
    let worth = per_second * WORTH.as_millis() / 1_000;
    let wanted = u32::try_from(worth).unwrap_or(LONGEST).clamp(SHORTEST, LONGEST);
    let changes = wanted / 2 >= length || wanted <= length / 4 || (wanted == LONGEST && length < LONGEST);
    (changes && wanted != length).then_some(wanted)
}

/// Bytes of the queue to begin with, and of a slow reader.
const SHORTEST: u32 = 256 * 1024;

/// Bytes for whoever takes hundreds of megabytes a second.
const LONGEST: u32 = 4 * 1024 * 1024;

/// How much time of a reader the queue holds.
const WORTH: Duration = Duration::from_millis(20);

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "any moment serves as the first one")]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn of(length: u32, left: usize, milliseconds: u64) -> Option<u32> {
        next_length(length, left, Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_slow_reader_keeps_the_shortest_queue() {
        assert_eq!(of(SHORTEST, 64 * 1024, 400), None);
        assert_eq!(of(SHORTEST, 0, 1), None);
        assert_eq!(of(SHORTEST, MIB, 1_000), None);
    }

    #[test]
    fn a_fast_reader_gets_what_it_takes_in_twenty_milliseconds_up_to_the_longest() {
        assert_eq!(of(SHORTEST, MIB, 20), Some(MIB as u32));
        assert_eq!(of(SHORTEST, 2 * MIB, 1), Some(LONGEST));
        assert_eq!(of(SHORTEST, usize::MAX, 0), Some(LONGEST));
    }

    #[test]
    fn the_queue_of_a_reader_that_becomes_slow_becomes_short_again() {
        assert_eq!(of(LONGEST, MIB, 2_000), Some(SHORTEST));
        assert_eq!(of(LONGEST, MIB, 20), Some(MIB as u32));
    }

    #[test]
    fn a_steady_reader_changes_nothing() {
        for milliseconds in [11, 20, 39, 60] {
            assert_eq!(of(MIB as u32, MIB, milliseconds), None, "{milliseconds} ms");
        }
    }

    #[test]
    fn what_fills_an_empty_queue_says_nothing_about_the_reader() {
        let (mut queue, start) = (Queue::new(), Instant::now());
        for _ in 0..100 {
            assert_eq!(queue.took(2 * MIB, start), None);
        }
        queue.note_full();
        assert_eq!(
            queue.took(MIB, start + Duration::from_secs(9)),
            None,
            "the first wait is only the beginning"
        );
        queue.note_full();
        assert_eq!(queue.took(MIB, start + Duration::from_secs(10)), None, "1 MiB/s");
        queue.note_full();
        assert_eq!(queue.took(MIB, start + Duration::from_millis(10_010)), Some(2 * MIB as u32), "100 MiB/s");
        assert_eq!(queue.length(), 2 * MIB as u32);
    }
}
