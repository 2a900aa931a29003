//! What the engine and everybody who reads or waits know together: who wants what, and which bytes are there.
//!
//! The engine alone changes what is held; handles alone change what is wanted. Whoever waits looks and takes a place
//! under one lock, and each change is made under the same lock, so nothing happens unseen between the look and the
//! wait. A change wakes those it has something to say to, and nobody else.

use std::collections::BTreeMap;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use thiserror::Error;
use tokio::sync::Notify;

use crate::error::{FetchErrorKind, describe};
use crate::lease::Bounds;
use crate::range_set::RangeSet;
use crate::schedule::{Demand, LeaseId};

/// Shared by the engine of one call and its handles.
#[derive(Debug)]
pub(crate) struct Board {
    notes: Mutex<Notes>,
    /// What is wanted has changed, or bytes turned out to be unreadable.
    pub(crate) asked: Notify,
}

/// What is written on the board.
#[derive(Debug)]
pub(crate) struct Notes {
    pub(crate) demand: Demand,
    /// 0 until a representation is known.
    pub(crate) generation: u64,
    pub(crate) total: Option<u64>,
    pub(crate) written: RangeSet,
    /// The file the bytes are in; it stays readable when it gets its final name.
    pub(crate) file: Option<Arc<File>>,
    /// Written bytes that a reader could not get back, with the generation they belong to. They count as missing until
    /// the engine takes them off this list, and off `written` with it.
    pub(crate) unreadable: Vec<(u64, Range<u64>)>,
    /// Every request under way, and what it has still to bring.
    pub(crate) leases: BTreeMap<LeaseId, Bounds>,
    /// How the download ended.
    pub(crate) end: Option<End>,
    waiting: BTreeMap<u64, (Need, Waker)>,
    next_place: u64,
}

/// How a download ended, for those who wait.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// Everything that was wanted is there.
    Done,
    Failed(WaitError),
}

/// Why bytes that somebody waits for do not come.
///
/// A reader wraps it into an [`io::Error`], out of which [`io::Error::downcast`] gets it back.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The file has no such bytes.
    #[error("the file ends at byte {total}")]
    PastTheEnd {
        /// Its complete-length in bytes.
        total: u64,
    },
    /// What was held was given up, usually because the file is another one by now. What a reader returned so far
    /// cannot be joined to what comes; a new reader begins with the new file.
    #[error("the download started over")]
    Changed,
    /// The download was stopped, or its handle dropped. Starting it again continues it.
    #[error("the download was stopped")]
    Stopped,
    /// The download brought all it was asked for and is over; these bytes were not among it.
    #[error("the download is over, and these bytes were not wanted of it")]
    Finished,
    /// The download failed.
    #[error("the download failed: {reason}")]
    Failed {
        /// What happened, in words.
        reason: String,
        /// Whether the same download may succeed later without anybody changing anything.
        retryable: bool,
        /// How long to wait before the next try, when that is known.
        retry_in: Option<Duration>,
    },
    /// The bytes are on the disk and could not be read, not even after they were fetched again.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
}

impl From<&FetchErrorKind> for WaitError {
    fn from(kind: &FetchErrorKind) -> Self {
        let retry_in = match kind {
            FetchErrorKind::Stopped => return WaitError::Stopped,
            FetchErrorKind::Deferred { delay, .. } => Some(*delay),
            _ => None,
        };
        WaitError::Failed { reason: describe(kind), retryable: kind.is_retryable(), retry_in }
    }
}

impl From<WaitError> for io::Error {
    fn from(error: WaitError) -> Self {
        io::Error::other(error)
    }
}

/// What somebody waits for.
#[derive(Clone, Debug)]
pub(crate) enum Need {
    /// The complete-length.
    Total,
    /// These bytes, as far as the file has them: of this generation, or of whichever there is.
    Bytes(Range<u64>, Option<u64>),
}

impl Board {
    pub(crate) fn new(demand: Demand) -> Self {
        let notes = Notes {
            demand,
            generation: 0,
            total: None,
            written: RangeSet::new(),
            file: None,
            unreadable: Vec::new(),
            leases: BTreeMap::new(),
            end: None,
            waiting: BTreeMap::new(),
            next_place: 0,
        };
        Self { notes: Mutex::new(notes), asked: Notify::new() }
    }

    /// The notes, to look at. Never held across an await.
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handles' side: changes what is wanted, and has the engine look.
    pub(crate) fn ask<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        let outcome = change(&mut self.notes());
        self.asked.notify_one();
        outcome
    }

    /// The engine's side: changes what is held, and wakes whoever that says something to.
    pub(crate) fn tell<T>(&self, change: impl FnOnce(&mut Notes) -> T) -> T {
        let mut notes = self.notes();
        let outcome = change(&mut notes);
        let due = notes.take_due();
        // A task that is woken looks at once, and is not to find the door locked.
        drop(notes);
        due.into_iter().for_each(Waker::wake);
        outcome
    }

    /// Says how the download ended; the first word counts.
    ///
    /// Must be said before the engine lets go of the part file. After a failure the bytes in it may be written over by
    /// the next download of the same target: readers return none that they had not read before this.
    pub(crate) fn end(&self, end: End) {
        self.tell(|notes| {
            if matches!(notes.end.get_or_insert(end), End::Failed(_)) {
                // Its lock goes with it.
                notes.file = None;
            }
        });
    }

    /// Waits until `range` is written, as far as the file has it, whichever representation that is.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn written(self: &Arc<Self>, range: &Range<u64>) -> Result<(), WaitError> {
        self.wait(&Need::Bytes(range.clone(), None), |notes| notes.look(range, None)).await
    }

    /// Waits for the complete-length.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn total(self: &Arc<Self>) -> Result<u64, WaitError> {
        self.wait(&Need::Total, Notes::look_total).await
    }

    async fn wait<T>(self: &Arc<Self>, need: &Need, look: impl Fn(&Notes) -> Option<T>) -> T {
        let mut place = Place::new(Arc::clone(self));
        poll_fn(|context| {
            let mut notes = self.notes();
            match look(&notes) {
                Some(outcome) => Poll::Ready(outcome),
                None => {
                    place.take(&mut notes, need.clone(), context);
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Notes {
    /// What there is to say about `range` by now; `None` while it may still come.
    pub(crate) fn look(&self, range: &Range<u64>, generation: Option<u64>) -> Option<Result<(), WaitError>> {
        if generation.is_some_and(|ours| ours != self.generation) {
            return Some(Err(WaitError::Changed));
        }
        if let Some(total) = self.total
            && range.start >= total
            && !range.is_empty()
        {
            return Some(Err(WaitError::PastTheEnd { total }));
        }
        let clipped = range.start..self.total.map_or(range.end, |total| range.end.min(total));
        if self.holds(&clipped) {
            return Some(Ok(()));
        }
        self.over().map(Err)
    }

    /// What there is to say about the complete-length by now.
    pub(crate) fn look_total(&self) -> Option<Result<u64, WaitError>> {
        self.total.map(Ok).or_else(|| self.over().map(Err))
    }

    /// What is written, without what somebody found unreadable.
    pub(crate) fn held(&self) -> RangeSet {
        let mut held = self.written.clone();
        self.lost().for_each(|lost| held.remove(lost));
        held
    }

    /// Whether all of `range` is written, and nobody found it unreadable.
    pub(crate) fn holds(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.held_from(range.start) >= range.end
    }

    /// One past the last byte that can be read in one go from `offset`; `offset` itself when it is missing.
    pub(crate) fn held_from(&self, offset: u64) -> u64 {
        let end = self.written.available_from(offset);
        let cuts = self.lost().filter(|lost| lost.start < end && lost.end > offset);
        cuts.fold(end, |end, lost| end.min(lost.start.max(offset)))
    }

    /// What was found unreadable of this generation, and not dealt with yet.
    fn lost(&self) -> impl Iterator<Item = &Range<u64>> {
        self.unreadable.iter().filter(|(generation, _)| *generation == self.generation).map(|(_, lost)| lost)
    }

    /// What is missing now stays missing, for this reason.
    fn over(&self) -> Option<WaitError> {
        self.end.as_ref().map(|end| match end {
            End::Failed(error) => error.clone(),
            End::Done => WaitError::Finished,
        })
    }

    fn take_due(&mut self) -> Vec<Waker> {
        let due = self.waiting.iter().filter(|(_, (need, _))| self.is_due(need));
        let due: Vec<_> = due.map(|(place, _)| *place).collect();
        due.iter().filter_map(|place| self.waiting.remove(place)).map(|(_, waker)| waker).collect()
    }

    fn is_due(&self, need: &Need) -> bool {
        match need {
            Need::Total => self.look_total().is_some(),
            Need::Bytes(range, generation) => self.look(range, *generation).is_some(),
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

/// A place among those who wait. Dropping it leaves the place.
#[derive(Debug)]
pub(crate) struct Place {
    board: Arc<Board>,
    number: Option<u64>,
}

impl Place {
    pub(crate) fn new(board: Arc<Board>) -> Self {
        Self { board, number: None }
    }

    /// Waits for `need`, in place of what it waited for before. `notes` are those in which it was just looked for in
    /// vain, still locked.
    pub(crate) fn take(&mut self, notes: &mut Notes, need: Need, context: &Context<'_>) {
        let number = *self.number.get_or_insert_with(|| {
            notes.next_place += 1;
            notes.next_place
        });
        notes.waiting.insert(number, (need, context.waker().clone()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.board.notes().waiting.remove(&number);
        }
    }
}
