//! How leases end, and what becomes of their bytes.

use std::time::Duration;

use super::Engine;
use super::crew::{Member, News};
use crate::error::{AnswerError, AttemptError, FetchErrorKind};
use crate::identity::TotalSource;
use crate::lease::{LeaseEnd, Report};
use crate::schedule::LeaseId;

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
        if self.crew.is_empty() {
            self.settle().await?;
            return self.rest_after(failed);
        }
        // The others go on: only these bytes have to wait.
        if is_push_back(&failed.error) {
            self.governor.refused(self.shared.clock.now(), self.crew.flowing(), failed.hint);
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
        AttemptError::Transport(error) => error.is_unreachable(),
        error => error.status().is_some_and(|status| matches!(status.as_u16(), 429 | 503)),
    }
}

/// An answer that brings fewer bytes than this is a crumb, unless it was all that was asked for.
const CRUMB: u64 = 16 << 10;
/// Crumbs taken within one call.
const MAX_CRUMBS: u64 = 100;
