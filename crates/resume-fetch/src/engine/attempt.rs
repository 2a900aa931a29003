//! One attempt: a lease for a worker, its reports on record, and how it ended.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::OptionFuture;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Engine;
use crate::decide::Take;
use crate::digest::Digest;
use crate::error::{AnswerError, AttemptError, FetchErrorKind};
use crate::event::{Event, Phase};
use crate::identity::{Identity, TotalSource};
use crate::lease::{Lease, LeaseEnd, Report, work};
use crate::restart_reason::RestartReason;

/// How one lease left the download.
pub(super) enum Outcome {
    Progress,
    Failed { error: AttemptError, hint: Option<Duration>, redirected: bool },
    Stopped,
}

impl Engine {
    /// Runs one worker over the next gap.
    pub(super) async fn lease(&mut self) -> Result<Outcome, FetchErrorKind> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS + self.state.total().unwrap_or_default() / REQUEST_FLOOR {
            return Err(FetchErrorKind::Permanent(
                AnswerError::Trickle { requests: self.requests - 1 }.into(),
            ));
        }
        // A short queue: what waits in it is not yet on its way to the record.
        let (reports, mut inbox) = mpsc::channel(1);
        // A set of one: dropping it ends the worker, whatever way this function is left.
        let mut workers = JoinSet::new();
        workers.spawn(work(Arc::clone(&self.shared), self.next_lease(), reports));
        self.show(Phase::Connecting, 1);
        loop {
            let crowded = self.is_crowded();
            let due = OptionFuture::from(self.checkpoint_due.as_mut());
            let synced = OptionFuture::from(self.checkpoint.as_mut());
            tokio::select! {
                report = inbox.recv(), if !crowded => match report {
                    Some(Report::Answered { take, restart, repr_digest, go }) => {
                        self.answered(&take, restart, repr_digest).await?;
                        // A worker that gave up meanwhile reports its end itself.
                        let _ = go.send(self.state.generation);
                    }
                    Some(Report::Written { generation, range }) => {
                        debug_assert_eq!(generation, self.state.generation, "one worker, one generation");
                        self.received += range.end - range.start;
                        self.rate.add(self.shared.clock.now(), range.end - range.start);
                        self.state.written.insert(range);
                        self.show(Phase::Downloading, 1);
                        self.checkpoint_if_due();
                    }
                    Some(Report::Ended(end)) => return self.ended(end).await,
                    None => return Err(worker_died(&mut workers).await),
                },
                Some((ranges, result)) = synced => {
                    self.checkpoint = None;
                    self.checkpointed(&ranges, result)?;
                    self.checkpoint_if_due();
                }
                Some(()) = due => {
                    self.checkpoint_due = None;
                    self.start_checkpoint();
                }
            }
        }
    }

    fn next_lease(&self) -> Lease {
        let whole = self.restart_due.is_some();
        let (from, until) = if whole { (0, None) } else { self.state.next_gap() };
        Lease {
            identity: self.state.identity.clone(),
            from,
            until,
            held_from: self.state.held_from(from),
            whole,
            compare: self.unvouched,
            ignores_ranges: self.ignores_ranges,
            repr_digest: self.repr_digest,
        }
    }

    /// Puts an accepted answer on record before its first byte is written. Whatever overlaps has been compared, so what
    /// the answer says of the representation is true of the bytes we hold.
    async fn answered(
        &mut self,
        take: &Take,
        restart: Option<RestartReason>,
        repr_digest: Option<Digest>,
    ) -> Result<(), FetchErrorKind> {
        if let Some(reason) = restart {
            self.spend_restart(reason)?;
        }
        let restart = restart.or(self.restart_due);
        let another = self.state.written.is_empty() && !take.identity.extends(&self.state.identity);
        if self.state.generation == 0 || restart.is_some() || another {
            self.new_generation(take.identity.clone(), restart).await?;
        } else if take.identity != self.state.identity {
            self.adopt(take.identity.clone()).await?;
        }
        self.by_overlap |= take.write_from > 0 && (self.unvouched || !self.state.identity.is_proof());
        self.unvouched = false;
        self.repr_digest = self.repr_digest.or(repr_digest);
        self.pieces += 1;
        if let Some(total) = self.state.total().filter(|_| !self.fits) {
            self.on_part(move |part| part.check_room(total)).await?;
            self.fits = true;
        }
        self.tell(Event::Started {
            from: take.write_from,
            total: self.state.total(),
            validator: self.state.identity.validator.as_ref().map(ToString::to_string),
        });
        self.show(Phase::Downloading, 1);
        Ok(())
    }

    async fn adopt(&mut self, identity: Identity) -> Result<(), FetchErrorKind> {
        let (generation, adopted) = (self.state.generation, identity.clone());
        self.on_ledger(move |ledger| async move { ledger.adopt(generation, &adopted).await }).await?;
        self.state.identity = identity;
        Ok(())
    }

    async fn ended(&mut self, end: LeaseEnd) -> Result<Outcome, FetchErrorKind> {
        match end {
            LeaseEnd::Filled => Ok(Outcome::Progress),
            LeaseEnd::Complete(total) => self.learn_total(total, TotalSource::ContentRange).await,
            LeaseEnd::EndOfBody(total) => self.learn_total(total, TotalSource::EndOfBody).await,
            LeaseEnd::Restart(reason) => {
                self.spend_restart(reason)?;
                self.restart_due = Some(reason);
                Ok(Outcome::Progress)
            }
            LeaseEnd::Failed { error: AttemptError::Local(error), .. } => Err(error.into()),
            LeaseEnd::Failed { error, hint, redirected } => Ok(Outcome::Failed { error, hint, redirected }),
            LeaseEnd::Stopped => Ok(Outcome::Stopped),
        }
    }

    async fn learn_total(&mut self, total: u64, source: TotalSource) -> Result<Outcome, FetchErrorKind> {
        let validator = self.state.identity.validator.clone();
        self.adopt(Identity { total: Some(total), total_source: Some(source), validator }).await?;
        Ok(Outcome::Progress)
    }
}

async fn worker_died(workers: &mut JoinSet<()>) -> FetchErrorKind {
    match pin!(workers.join_next()).await {
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        _ => FetchErrorKind::Stopped,
    }
}

/// Requests a call may send, plus one for each [`REQUEST_FLOOR`] bytes: a peer that hands out legal crumbs of a few
/// bytes must not keep us asking for ever.
const MAX_REQUESTS: u64 = 100;
const REQUEST_FLOOR: u64 = 1 << 20;
