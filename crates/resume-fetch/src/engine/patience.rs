//! After a failure: again, later, or never.

use std::time::{Duration, Instant};

use retry_kit::{DelaySource, Next};

use super::Engine;
use super::crew::Member;
use super::outcome::Failed;
use crate::error::{AttemptError, FailedAttempt, FetchErrorKind, describe};
use crate::event::Event;

/// A time for which nothing new is asked of the peer. What is under way goes on.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) until: Instant,
    /// Longer than the caller wants to sit and wait.
    deferred: bool,
    source: DelaySource,
    /// Why, unless a parked range remembers it.
    cause: Option<AttemptError>,
}

impl Engine {
    /// Takes a rest from the peer after a failure that left nobody at work, or gives the wait to the caller, or gives
    /// up.
    pub(super) fn rest_after(&mut self, member: &Member, failed: Failed) -> Result<(), FetchErrorKind> {
        let Failed { error, hint, .. } = failed;
        self.rate.stop(self.shared.clock.now());
        if self.is_final(member, &error) {
            return Err(FetchErrorKind::Permanent(error));
        }
        let policy = &self.shared.request.retry;
        let (attempt, delay, source, deferred) =
            match policy.after_failure(&mut self.attempts, hint, &mut self.rng) {
                Next::Retry { attempt, delay, source } => (attempt, delay, source, false),
                Next::Deferred { attempt, delay, source } => (attempt, delay, source, true),
                Next::GiveUp { attempts } => {
                    self.asked_for = hint;
                    return Err(FetchErrorKind::Exhausted { attempts, last: error });
                }
            };
        let max = policy.max_attempts.get();
        // What the peer has asked for before still holds.
        let (delay, source, deferred) = match &self.resting {
            Some(rest) if rest.until > self.after(delay) => {
                let delay = rest.until.saturating_duration_since(self.shared.clock.now());
                (delay, rest.source, deferred || rest.deferred)
            }
            _ => (delay, source, deferred),
        };
        if deferred || delay > self.shared.request.hold {
            return Err(FetchErrorKind::Deferred { delay, source_of_delay: source, last: error });
        }
        self.tell(Event::Retrying { attempt, max, delay, source, reason: describe(&error) });
        self.rest(Rest { until: self.after(delay), deferred, source, cause: Some(error) });
        Ok(())
    }

    /// The peer has named a time before which it wants to be left alone.
    pub(super) fn heed(&mut self, hint: Option<Duration>, cause: Option<AttemptError>) {
        let Some(hint) = hint.filter(|hint| !hint.is_zero()) else { return };
        let deferred = hint > self.shared.request.retry.max_retry_after;
        self.rest(Rest { until: self.after(hint), deferred, source: DelaySource::RetryAfter, cause });
    }

    /// The longest of several rests counts.
    fn rest(&mut self, rest: Rest) {
        match &mut self.resting {
            Some(longer) if longer.until >= rest.until => {
                longer.cause = longer.cause.take().or(rest.cause);
            }
            resting => *resting = Some(rest),
        }
    }

    /// Nobody is at work, and what is left has to wait: the caller's patience decides about long waits.
    pub(super) fn patience_left(&mut self) -> Result<(), FetchErrorKind> {
        self.forget_parked();
        let now = self.shared.clock.now();
        let (until, deferred) = match (&self.resting, self.first_parked()) {
            (Some(rest), _) => (rest.until, rest.deferred),
            (None, Some(parked)) => (parked.until, parked.deferred),
            (None, None) => return Ok(()),
        };
        let delay = until.saturating_duration_since(now);
        if !deferred && delay <= self.shared.request.hold {
            return Ok(());
        }
        // The rest itself goes on: without a failure to hand over, it is sat out here.
        let known = self.resting.as_mut().and_then(|rest| Some((rest.cause.take()?, rest.source)));
        match known.or_else(|| self.take_parked()) {
            Some((last, source)) => Err(FetchErrorKind::Deferred { delay, source_of_delay: source, last }),
            None => Ok(()),
        }
    }

    /// Remembers a failure, and decides whether another try is out of the question.
    pub(super) fn is_final(&mut self, member: &Member, error: &AttemptError) -> bool {
        self.remember(error);
        let tolerance = error.fault_tolerance();
        // What several meet at the same moment is one fault.
        if tolerance.is_some() && self.faulted.is_none_or(|upcoming| member.id >= upcoming) {
            self.faulted = Some(self.crew.upcoming());
            self.protocol_faults += 1;
        }
        !error.is_transient() || tolerance.is_some_and(|tolerance| self.protocol_faults > tolerance)
    }

    pub(super) fn remember(&mut self, error: &AttemptError) {
        if matches!(error, AttemptError::Transport(error) if error.is_unreachable()) {
            self.tell(Event::Unreachable { reason: describe(error) });
        }
        if self.history.len() == MAX_HISTORY {
            self.history.remove(0);
        }
        let (at, held) = (self.shared.clock.wall(), self.state.written.len());
        self.history.push(FailedAttempt { at, held, reason: describe(error) });
    }

    /// The moment `delay` from now.
    pub(super) fn after(&self, delay: Duration) -> Instant {
        self.shared.clock.now() + delay.min(FAR)
    }
}

/// Failed attempts remembered for the error, the newest ones.
const MAX_HISTORY: usize = 32;
/// As good as never.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
