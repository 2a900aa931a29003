//! After a failure that left nobody at work: again, later, or never.

use retry_kit::Next;

use super::Engine;
use super::outcome::Failed;
use crate::error::{AttemptError, FailedAttempt, FetchErrorKind, describe};
use crate::event::Event;

impl Engine {
    /// Takes a rest from the peer, or gives the wait to the caller, or gives up.
    pub(super) fn rest_after(&mut self, failed: Failed) -> Result<(), FetchErrorKind> {
        let Failed { error, hint, redirected } = failed;
        self.rate.stop(self.shared.clock.now());
        if redirected && !self.redirect_retried && error.may_be_an_expired_redirect() {
            // The address we were sent to may have been good for a while only; the one we were given still is.
            self.redirect_retried = true;
            self.remember(&error);
            return Ok(());
        }
        if self.is_final(&error) {
            return Err(FetchErrorKind::Permanent(error));
        }
        let policy = &self.shared.request.retry;
        let (attempt, delay, source, deferred) =
            match policy.after_failure(&mut self.attempts, hint, &mut self.rng) {
                Next::Retry { attempt, delay, source } => (attempt, delay, source, false),
                Next::Deferred { attempt, delay, source } => (attempt, delay, source, true),
                Next::GiveUp { attempts } => return Err(FetchErrorKind::Exhausted { attempts, last: error }),
            };
        let max = policy.max_attempts.get();
        if deferred || delay > self.shared.request.hold {
            return Err(FetchErrorKind::Deferred { delay, source_of_delay: source, last: error });
        }
        self.tell(Event::Retrying { attempt, max, delay, source, reason: describe(&error) });
        self.resting = Some(self.shared.clock.sleep(delay));
        Ok(())
    }

    /// Remembers a failure, and decides whether another try is out of the question.
    pub(super) fn is_final(&mut self, error: &AttemptError) -> bool {
        self.remember(error);
        let tolerance = error.fault_tolerance();
        self.protocol_faults += u32::from(tolerance.is_some());
        !error.is_transient() || tolerance.is_some_and(|tolerance| self.protocol_faults > tolerance)
    }

    pub(super) fn remember(&mut self, error: &AttemptError) {
        if self.history.len() == MAX_HISTORY {
            self.history.remove(0);
        }
        let (at, held) = (self.shared.clock.wall(), self.state.written.len());
        self.history.push(FailedAttempt { at, held, reason: describe(error) });
    }
}

/// Failed attempts remembered for the error, the newest ones.
const MAX_HISTORY: usize = 32;
