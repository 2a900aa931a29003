//! The bytes of a download while it runs: what is there, what is wanted first, and a reader that waits for the rest.

mod reader;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use retry_kit::SharedClock;

use crate::board::{Board, WaitError};
use crate::coverage::Coverage;
use crate::priority::Priority;
use crate::range_set::RangeSet;
use crate::schedule::Claimant;

pub use reader::Reader;

/// A view of the bytes of one download, while it runs and after. Clones are views of the same download; none of them
/// keeps it running.
///
/// Offsets count bytes of the file from zero, ranges are half-open, and what reaches past the end of the file means
/// "up to its end": `0..u64::MAX` is all of it. Bytes count as held once they are written, which is before they are
/// durable: they can be read, and a crash may take them back.
///
/// # Waiting
/// Whoever waits here wants what it waits for, as urgently as can be, until it is dropped. No wait has a deadline of
/// its own: put [`tokio::time::timeout`] around it. When that strikes, the download is still at work, and two looks
/// tell at what:
///
/// | it is | [`Content::total`] | [`Progress`](crate::Progress) |
/// |---|---|---|
/// | starting | `None` | phase [`Connecting`](crate::Phase::Connecting) |
/// | on its way | any | phase [`Downloading`](crate::Phase::Downloading), `rate` above 0 |
/// | stalled | any | phase [`Downloading`](crate::Phase::Downloading), `rate` 0 |
/// | waiting to try again | any | phase [`Waiting`](crate::Phase::Waiting); the time is in [`Event::Retrying`](crate::Event::Retrying) |
///
/// A download that has ended fails every wait for what is missing at once:
///
/// | it | [`WaitError`] |
/// |---|---|
/// | failed for good | `Failed { retryable: false, .. }` |
/// | failed, and may succeed later | `Failed { retryable: true, retry_in, .. }` |
/// | was stopped, or its handle dropped | `Stopped` |
/// | has brought all that was wanted of it | `Finished` |
#[derive(Clone)]
pub struct Content {
    board: Arc<Board>,
    clock: SharedClock,
}

impl Content {
    pub(crate) fn new(board: Arc<Board>, clock: SharedClock) -> Self {
        Self { board, clock }
    }

    /// The complete-length in bytes, if known.
    ///
    /// It belongs to the representation of this moment. Who sends it on, with bytes to follow, opens the reader first
    /// and asks [`Reader::total`].
    pub fn total(&self) -> Option<u64> {
        self.board.notes().total
    }

    /// Which representation the bytes are of: the number they are on record under, from 1; `None` while nobody knows.
    ///
    /// It belongs to this moment, as [`Content::total`] does.
    pub fn generation(&self) -> Option<u64> {
        Some(self.board.notes().generation).filter(|generation| *generation > 0)
    }

    /// Which bytes are held.
    pub fn held(&self) -> RangeSet {
        self.board.notes().held()
    }

    /// Where its bytes stand at this moment: what is held, what is on its way, and what is waited for.
    pub fn coverage(&self) -> Coverage {
        Coverage::of(&self.board.notes())
    }

    /// One past the last byte that is held without a gap from `offset` on; `offset` itself when that byte is missing.
    pub fn available_from(&self, offset: u64) -> u64 {
        self.board.notes().held_from(offset)
    }

    /// Waits for the complete-length in bytes. While nobody knows it, this wants the first byte: its answer tells.
    ///
    /// # Errors
    /// [`WaitError`] when the download ends without it.
    ///
    /// # Cancel safety
    /// Safe. Dropping it withdraws what it wants.
    pub async fn known(&self) -> Result<u64, WaitError> {
        if let Some(outcome) = self.board.notes().look_total() {
            return outcome;
        }
        let _wanted = self.request(0..1, Priority::Critical);
        self.board.total().await
    }

    /// Wants `range`, until the handle is dropped.
    ///
    /// What is held already is not asked for again, and what is on its way to somebody else is only moved forward.
    pub fn request(&self, range: Range<u64>, priority: Priority) -> RequestHandle {
        let (board, now) = (Arc::clone(&self.board), self.clock.now());
        let claimant = board.ask(|notes| notes.demand.request(range.clone(), priority, now));
        RequestHandle { board, claimant, range }
    }

    /// Waits until `range` is held, as far as the file has it. A range that is held already costs nothing; any other is
    /// [`Priority::Critical`] for as long as this waits.
    ///
    /// The bytes are of whichever representation there is when it resolves; a [`Reader`] stays with one.
    ///
    /// # Errors
    /// [`WaitError::PastTheEnd`] when the file ends at or before the start of `range`, and the other [`WaitError`]s when
    /// the download ends without it.
    ///
    /// # Cancel safety
    /// Safe. Dropping it withdraws what it wants.
    pub async fn wait_for(&self, range: Range<u64>) -> Result<(), WaitError> {
        if let Some(outcome) = self.board.notes().look(&range, None) {
            return outcome;
        }
        self.request(range, Priority::Critical).done().await
    }

    /// Reads `range`, waiting for what is missing. What it is about to reach is wanted from now on, until it is
    /// dropped.
    pub fn reader(&self, range: Range<u64>) -> Reader {
        Reader::new(Arc::clone(&self.board), range)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("board", &self.board).finish_non_exhaustive()
    }
}

/// A wish for a range. Dropping it withdraws the wish: what nobody else wants is not asked for any more.
#[derive(Debug)]
#[must_use = "a request is withdrawn when its handle is dropped"]
pub struct RequestHandle {
    board: Arc<Board>,
    claimant: Claimant,
    range: Range<u64>,
}

impl RequestHandle {
    /// The range, as it was asked for.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Wants it more or less urgently from now on.
    pub fn set_priority(&self, priority: Priority) {
        self.board.ask(|notes| notes.demand.reprioritise(self.claimant, priority));
    }

    /// Waits until the range is held, as far as the file has it. It may be asked again: the wish stays until the handle
    /// is dropped, and a download that starts over fetches it once more.
    ///
    /// # Errors
    /// As [`Content::wait_for`].
    ///
    /// # Cancel safety
    /// Safe. The wish stays.
    pub async fn done(&mut self) -> Result<(), WaitError> {
        self.board.written(&self.range).await
    }
}

impl Drop for RequestHandle {
    fn drop(&mut self) {
        self.board.ask(|notes| notes.demand.withdraw(self.claimant));
    }
}
