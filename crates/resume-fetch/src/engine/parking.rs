//! Ranges that failed while others went on: each waits for its own next try and disturbs nobody.

use std::ops::Range;
use std::time::{Duration, Instant};

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
    /// No try before this.
    until: Instant,
    deferred: bool,
    last: Option<AttemptError>,
    source: DelaySource,
}

impl Engine {
    /// Sets the rest of a failed lease aside until its next try is due.
    pub(super) fn park(&mut self, member: &Member, failed: Failed) -> Result<(), FetchErrorKind> {
        let Failed { error, hint, .. } = failed;
        if self.is_final(&error) {
            return Err(FetchErrorKind::Permanent(error));
        }
        let policy = &self.shared.request.retry;
        let mut attempts = member.attempts;
        attempts.progress(member.brought(), policy.attempts_reset_bytes);
        let (attempt, delay, source, deferred) =
            match policy.after_failure(&mut attempts, hint, &mut self.rng) {
                Next::Retry { attempt, delay, source } => (attempt, delay, source, false),
                Next::Deferred { attempt, delay, source } => (attempt, delay, source, true),
                Next::GiveUp { attempts } => return Err(FetchErrorKind::Exhausted { attempts, last: error }),
            };
        let now = self.shared.clock.now();
        let range = member.written_to..member.bounds.until();
        self.tell(Event::Setback { range: range.clone(), attempt, delay, reason: describe(&error) });
        let until = now.checked_add(delay).unwrap_or(now + FAR);
        self.parked.push(Parked { range, attempts, until, deferred, last: Some(error), source });
        Ok(())
    }

    /// Ranges whose next try is not due yet.
    pub(super) fn parked_ranges(&self) -> RangeSet {
        let now = self.shared.clock.now();
        self.parked.iter().filter(|parked| parked.until > now).map(|parked| parked.range.clone()).collect()
    }

    /// When the next of them is due.
    pub(super) fn parked_until(&self) -> Option<Instant> {
        let now = self.shared.clock.now();
        self.parked.iter().map(|parked| parked.until).filter(|until| *until > now).min()
    }

    /// A lease on `range` is placed: what is remembered about its bytes goes with it.
    pub(super) fn unpark(&mut self, range: Range<u64>) -> Attempts {
        let touches = |parked: &mut Parked| parked.range.start < range.end && range.start < parked.range.end;
        let taken = self.parked.extract_if(.., touches);
        taken.map(|parked| parked.attempts).max_by_key(Attempts::failures).unwrap_or_default()
    }

    /// Nobody is at work, and what is left has to wait: the caller's patience decides about long waits.
    pub(super) fn wait_for_parked(&mut self) -> Result<(), FetchErrorKind> {
        let now = self.shared.clock.now();
        let Some(first) = (0..self.parked.len()).min_by_key(|&index| self.parked[index].until) else {
            return Ok(());
        };
        let delay = self.parked[first].until.saturating_duration_since(now);
        if !self.parked[first].deferred && delay <= self.shared.request.hold {
            return Ok(());
        }
        let Parked { last, source, .. } = self.parked.swap_remove(first);
        match last {
            Some(last) => Err(FetchErrorKind::Deferred { delay, source_of_delay: source, last }),
            None => Ok(()),
        }
    }
}

/// As good as never.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
