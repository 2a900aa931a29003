//! How leases end, and what becomes of their bytes.

use std::time::Duration;

use http::StatusCode;

use super::Engine;
use super::crew::{Member, News};
use super::finish::MAX_REREADS;
use crate::error::{AnswerError, AttemptError, FetchErrorKind};
use crate::identity::TotalSource;
use crate::lease::{LeaseEnd, Report};
use crate::request::Wanted;
use crate::restart_reason::RestartReason;
use crate::schedule::LeaseId;
use crate::transport::NetworkFailure;

/// A failed attempt.
pub(super) struct Failed {
    pub(super) error: AttemptError,
    /// The peer's Retry-After.
    pub(super) hint: Option<Duration>,
    /// Whether it failed at an address the peer had sent us on to.
    pub(super) redirected: bool,
}

impl Engine {
    pub(super) async fn ended(&mut self, member: Member, end: LeaseEnd) -> Result<(), FetchErrorKind> {
        match end {
            LeaseEnd::Filled => self.filled(&member)?,
            LeaseEnd::Complete(total) => self.learn_total(total, TotalSource::ContentRange).await?,
            LeaseEnd::EndOfBody(total) => self.learn_total(total, TotalSource::EndOfBody).await?,
            // Nothing was held in front of these bytes that they could have been compared with. One after the other
            // each has something in front of it.
            LeaseEnd::Restart(RestartReason::OverlapMismatch) if member.apart => {
                self.in_order = true;
                self.governor.one_only();
                self.give_back(&member);
            }
            LeaseEnd::Restart(reason) => self.begin_again(reason).await?,
            LeaseEnd::Unreadable(range, _) if self.rereads < MAX_REREADS => {
                self.rereads += 1;
                self.give_back(&member);
                self.lose(range).await?;
            }
            LeaseEnd::Unreadable(_, error) => return Err(error.into()),
            LeaseEnd::Failed { error: AttemptError::Local(error), .. } => return Err(error.into()),
            LeaseEnd::Failed { error, hint, redirected } => {
                self.failed(&member, Failed { error, hint, redirected }).await?;
            }
            // A crumb does not buy the next request: a peer that sends one and falls silent would be asked for ever.
            LeaseEnd::Quiet(silence) if member.brought() < CRUMB => {
                let error = AttemptError::Idle(silence);
                self.failed(&member, Failed { error, hint: None, redirected: false }).await?;
            }
            LeaseEnd::Stopped | LeaseEnd::Quiet(_) => {
                self.give_back(&member);
            }
        }
        self.show();
        Ok(())
    }

    /// Whether the peer hands out crumbs: legal, and not to be put up with for ever.
    fn filled(&mut self, member: &Member) -> Result<(), FetchErrorKind> {
        let cut = member.promised.is_none_or(|promised| member.written_to < promised);
        let is_last = self.state.total() == Some(member.written_to);
        if !cut && !is_last && !member.bounds.is_full() && member.brought() < CRUMB {
            self.crumbs += 1;
        }
        match self.crumbs >= MAX_CRUMBS {
            true => Err(FetchErrorKind::Permanent(AnswerError::Trickle { requests: self.crumbs }.into())),
            false => Ok(()),
        }
    }

    async fn failed(&mut self, member: &Member, failed: Failed) -> Result<(), FetchErrorKind> {
        if member.leaving && failed.error.is_transient() {
            // It was told to end, and did.
            self.heed(failed.hint, Some(failed.error));
            self.give_back(member);
            return Ok(());
        }
        let refused_range = failed.error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
        if refused_range && self.state.generation == 0 && !std::mem::replace(&mut self.past_the_end, true) {
            // Nobody knew where the file ends, and somebody asked for bytes behind it: ask for its first.
            return Ok(());
        }
        self.reconnect = true;
        if self.has_second_chance(member, &failed) {
            self.remember(&failed.error);
            return Ok(());
        }
        if self.crew.is_empty() {
            self.settle().await?;
            // What these bytes have cost while others were at work counts on.
            let mut before = member.attempts;
            before.progress(member.brought(), self.shared.request.retry.attempts_reset_bytes);
            if before.failures() > self.attempts.failures() {
                self.attempts = before;
            }
            return self.rest_after(member, failed);
        }
        // The others go on: only these bytes have to wait.
        if is_push_back(&failed.error) {
            self.governor.refused(self.shared.clock.now(), self.crew.flowing(), failed.hint);
            // What runs may run on; nothing new is asked for before the peer said so.
            if member.brought() == 0 && self.give_back(member) {
                self.remember(&failed.error);
                self.heed(failed.hint, Some(failed.error));
                return Ok(());
            }
            self.heed(failed.hint, None);
            // One too many beside others that are served: that is no failure of these bytes.
            let served = self.crew.flowing() > 0;
            return self.park(member, failed, !served);
        }
        self.park(member, failed, true)
    }

    /// Some failures are tried again at once: by everybody who had set out before the first of them was known.
    fn has_second_chance(&mut self, member: &Member, failed: &Failed) -> bool {
        let upcoming = self.crew.upcoming();
        let first = if failed.error.status() == Some(StatusCode::MISDIRECTED_REQUEST) {
            // Another connection may lead to the right server; if it does not, none will (RFC 9110 §15.5.20).
            self.misdirected.get_or_insert(upcoming)
        } else if failed.redirected && failed.error.may_be_an_expired_redirect() {
            // The address we were sent to may have been good for a while only; the one we were given still is.
            self.redirect_expired.get_or_insert(upcoming)
        } else {
            return false;
        };
        member.id < *first
    }

    /// Has the neighbour that gave these bytes up go on and bring them after all, when its answer reaches that far; and
    /// with them what lies behind, as far as nobody else is about to bring it.
    fn give_back(&mut self, member: &Member) -> bool {
        let (from, until) = (member.written_to, member.bounds.until());
        if until > from && self.unserved_until(from, until) < until {
            // Somebody else is at it by now.
            return false;
        }
        let given = self.crew.members().find_map(|(_, neighbour)| {
            let promised = neighbour.promised.filter(|promised| *promised >= until && !neighbour.leaving)?;
            let whole = matches!(self.shared.request.wanted, Wanted::Whole);
            let reach = if whole { self.unserved_until(until, promised) } else { until };
            neighbour.bounds.extend(from, reach).then_some(reach)
        });
        if let Some(reach) = given {
            self.unpark(until..reach);
        }
        given.is_some()
    }

    /// Up to where, `limit` at most, the bytes from `at` on are missing and nobody is at work on them.
    fn unserved_until(&self, at: u64, limit: u64) -> u64 {
        let gap = self.state.written.gaps(at..limit).next().filter(|gap| gap.start == at);
        let leased = self.crew.members().map(|(_, member)| member.written_to).filter(|start| *start >= at);
        leased.fold(gap.map_or(at, |gap| gap.end), u64::min)
    }

    /// Ends every lease but `kept` in good order: what they have received is brought to disk.
    pub(super) async fn dismiss(&mut self, kept: Option<LeaseId>) {
        self.crew.end_all_but(kept);
        while self.crew.members().any(|(id, _)| Some(id) != kept) {
            match self.crew.news().await {
                News::Report(Report::Written { lease, generation, range }) => {
                    self.written(lease, generation, range);
                }
                News::Ended(_, LeaseEnd::Failed { error, hint, .. }) => self.heed(hint, Some(error)),
                // Nobody tells it to go on: it ends.
                News::Report(Report::Answered { .. }) | News::Ended(..) => {}
            }
        }
    }
}

/// Whether the peer says that this is too much for it.
fn is_push_back(error: &AttemptError) -> bool {
    match error {
        AttemptError::Transport(error) => {
            matches!(error.failure, NetworkFailure::Connect | NetworkFailure::ConnectTimeout(_))
        }
        error => error.status().is_some_and(|status| matches!(status.as_u16(), 429 | 503)),
    }
}

/// An answer that brings fewer bytes than this is a crumb, unless it was all that was asked for.
const CRUMB: u64 = 16 << 10;
/// Crumbs taken within one call.
const MAX_CRUMBS: u64 = 100;
