//! How leases end, and what becomes of their bytes.

use std::time::Duration;

use http::StatusCode;

use super::Engine;
use super::crew::{Member, News};
use crate::error::{AnswerError, AttemptError, FetchErrorKind};
use crate::identity::TotalSource;
use crate::lease::{LeaseEnd, Report};
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
            LeaseEnd::Restart(reason) => {
                self.spend_restart(reason)?;
                self.dismiss(None).await;
                self.restart_due = Some(reason);
            }
            LeaseEnd::Failed { error: AttemptError::Local(error), .. } => return Err(error.into()),
            LeaseEnd::Failed { error, hint, redirected } => {
                self.failed(&member, Failed { error, hint, redirected }).await?;
            }
            LeaseEnd::Stopped => {
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
        let refused_range = failed.error.status() == Some(StatusCode::RANGE_NOT_SATISFIABLE);
        if refused_range && self.state.generation == 0 && !std::mem::replace(&mut self.past_the_end, true) {
            // Nobody knew where the file ends, and somebody asked for bytes behind it: ask for its first.
            return Ok(());
        }
        self.reconnect = true;
        let misdirected = failed.error.status() == Some(StatusCode::MISDIRECTED_REQUEST);
        if misdirected && !std::mem::replace(&mut self.misdirected, true) {
            // Another connection may lead to the right server; if it does not, none will (RFC 9110 §15.5.20).
            self.remember(&failed.error);
            return Ok(());
        }
        if self.crew.is_empty() {
            self.settle().await?;
            return self.rest_after(failed);
        }
        // The others go on: only these bytes have to wait.
        if is_push_back(&failed.error) {
            self.governor.refused(self.shared.clock.now(), self.crew.flowing(), failed.hint);
            if let Some(hint) = failed.hint {
                // What runs may run on; nothing new is asked for before.
                self.resting = Some(self.shared.clock.sleep(hint.min(LONGEST_REST)));
            }
            if member.brought() == 0 && self.give_back(member) {
                return Ok(());
            }
        }
        self.park(member, failed)
    }

    /// Has the neighbour that gave these bytes up go on and bring them after all, when its answer reaches that far.
    fn give_back(&self, member: &Member) -> bool {
        let until = member.bounds.until();
        let (from, mut members) = (member.written_to, self.crew.members());
        members.any(|(_, neighbour)| {
            let reaches = neighbour.promised.is_some_and(|promised| promised >= until);
            reaches && !neighbour.leaving && neighbour.bounds.extend(from, until)
        })
    }

    /// Ends every lease but `kept` in good order: what they have received is brought to disk.
    pub(super) async fn dismiss(&mut self, kept: Option<LeaseId>) {
        self.crew.end_all_but(kept);
        while self.crew.members().any(|(id, _)| Some(id) != kept) {
            match self.crew.news(true).await {
                News::Report(Report::Written { lease, generation, range }) => {
                    self.written(lease, generation, range);
                }
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

/// However long a peer wants to be left alone, it is not for ever.
const LONGEST_REST: Duration = Duration::from_secs(24 * 3600);
/// An answer that brings fewer bytes than this is a crumb, unless it was all that was asked for.
const CRUMB: u64 = 16 << 10;
/// Crumbs taken within one call.
const MAX_CRUMBS: u64 = 100;
