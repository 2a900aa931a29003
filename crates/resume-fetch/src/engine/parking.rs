//! Ranges that failed while others went on: each waits for its own next try and disturbs nobody.

use std::num::NonZeroU32;
use std::ops::Range;
use std::time::Instant;

use retry_kit::{Attempts, DelaySource, Next};

use super::Engine;
use super::crew::Member;
use super::outcome::Failed;
use crate::error::{AttemptError, FetchErrorKind, describe};
use crate::event::Event;
use crate::range_set::RangeSet;

/// Bytes that failed, and what is remembered about them.
#[derive(Debug)]
pub(super) struct Parked {
    range: Range<u64>,
    attempts: Attempts,
    /// How often they were one transfer too many for the peer.
    refusals: u32,
    /// No try before this.
    pub(super) until: Instant,
    /// Longer than the caller wants to sit and wait.
    pub(super) deferred: bool,
    last: AttemptError,
    source: DelaySource,
}

impl Engine {
    /// Sets the rest of a failed lease aside until its next try is due. It is tried for ever, in growing intervals, as
    /// long as that does not count.
    pub(super) fn park(
        &mut self,
        member: &Member,
        failed: Failed,
        counts: bool,
    ) -> Result<(), FetchErrorKind> {
        let Failed { error, hint, .. } = failed;
        if self.is_final(member, &error) {
            return Err(FetchErrorKind::Permanent(error));
        }
        let mut policy = self.shared.request.retry.clone();
        let mut attempts = member.attempts;
        attempts.progress(member.brought(), policy.attempts_reset_bytes);
        let mut refusals = Attempts::from_failures(member.refusals);
        let count = if counts { &mut attempts } else { &mut refusals };
        if !counts {
            policy.max_attempts = NonZeroU32::MAX;
        }
        let (attempt, delay, source, deferred) = match policy.after_failure(count, hint, &mut self.rng) {
            Next::Retry { attempt, delay, source } => (attempt, delay, source, false),
            Next::Deferred { attempt, delay, source } => (attempt, delay, source, true),
            Next::GiveUp { attempts } => {
                self.attempts = Attempts::from_failures(attempts);
                self.asked_for = hint;
                return Err(FetchErrorKind::Exhausted { attempts, last: error });
            }
        };
        let range = member.written_to..member.bounds.until();
        self.tell(Event::Setback { range: range.clone(), attempt, delay, reason: describe(&error) });
        let (until, refusals) = (self.after(delay), refusals.failures());
        self.parked.push(Parked { range, attempts, refusals, until, deferred, last: error, source });
        Ok(())
    }

    /// Ranges whose next try is not due yet.
    pub(super) fn parked_ranges(&self) -> RangeSet {
        let now = self.shared.clock.now();
        self.parked.iter().filter(|parked| parked.until > now).map(|parked| parked.range.clone()).collect()
    }

    /// When the next of them is due.
    pub(super) fn parked_until(&self) -> Option<Instant> {
        self.first_parked().map(|parked| parked.until)
    }

    /// The one whose next try comes first, of those that are not due yet.
    pub(super) fn first_parked(&self) -> Option<&Parked> {
        let now = self.shared.clock.now();
        self.parked.iter().filter(|parked| parked.until > now).min_by_key(|parked| parked.until)
    }

    /// Takes out the failure behind the one whose next try comes first.
    pub(super) fn take_parked(&mut self) -> Option<(AttemptError, DelaySource)> {
        let first = (0..self.parked.len()).min_by_key(|&index| self.parked[index].until)?;
        let Parked { last, source, .. } = self.parked.swap_remove(first);
        Some((last, source))
    }

    /// A lease on `range` is placed: what is remembered about its bytes goes with it.
    pub(super) fn unpark(&mut self, range: Range<u64>) -> (Attempts, u32) {
        let touches = |parked: &mut Parked| parked.range.start < range.end && range.start < parked.range.end;
        let taken: Vec<_> = self.parked.extract_if(.., touches).collect();
        let attempts = taken.iter().map(|parked| parked.attempts).max_by_key(Attempts::failures);
        let refusals = taken.iter().map(|parked| parked.refusals).max();
        (attempts.unwrap_or_default(), refusals.unwrap_or_default())
    }

    /// Forgets those that nobody misses any more.
    pub(super) fn forget_parked(&mut self) {
        let (notes, written) = (self.board.notes(), &self.state.written);
        let end = self.state.total().unwrap_or(u64::MAX);
        self.parked.retain(|Parked { range, .. }| {
            let range = range.start.min(end)..range.end.min(end);
            !written.covers(&range) && notes.demand.wanted_until(range.clone()) > range.start
        });
    }

    /// Failures in a row, those of single ranges included.
    pub(super) fn failures(&self) -> u32 {
        let parked = self.parked.iter().map(|parked| parked.attempts.failures());
        parked.fold(self.attempts.failures(), u32::max)
    }
}
