//! What workers report on the way: an answer that can be written, bytes that are on disk.

use std::ops::Range;

use tokio::sync::oneshot;

use super::Engine;
use crate::decide::Take;
use crate::digest::Digest;
use crate::error::FetchErrorKind;
use crate::event::Event;
use crate::identity::{Identity, TotalSource};
use crate::lease::Report;
use crate::ledger::Layout;
use crate::request::Wanted;
use crate::restart_reason::RestartReason;
use crate::schedule::LeaseId;

/// An accepted answer, as its worker reports it.
struct Answer {
    take: Take,
    restart: Option<RestartReason>,
    repr_digest: Option<Digest>,
}

impl Engine {
    pub(super) async fn reported(&mut self, report: Report) -> Result<(), FetchErrorKind> {
        match report {
            Report::Answered { lease, take, restart, repr_digest, go } => {
                self.answered(lease, Answer { take, restart, repr_digest }, go).await
            }
            Report::Written { lease, generation, range } => {
                self.written(lease, generation, range);
                self.checkpoint_if_due();
                Ok(())
            }
        }
    }

    pub(super) fn written(&mut self, lease: LeaseId, generation: u64, range: Range<u64>) {
        let (now, length) = (self.shared.clock.now(), range.end - range.start);
        self.received += length;
        self.rate.add(now, length);
        if let Some(member) = self.crew.get_mut(lease) {
            member.meter.add(now, length);
            member.pace.add(now, length);
            member.written_to = range.end;
        }
        // Bytes of a generation that is gone were brought for nothing, and so was what a failed sync may have dropped.
        if generation == self.state.generation && !self.poisoned {
            self.state.written.insert(range.clone());
            self.board.tell(|notes| notes.written.insert(range));
        }
        self.show();
    }

    /// Puts an accepted answer on record before its first byte is written. Whatever overlaps has been compared, so what
    /// the answer says of the representation is true of the bytes we hold.
    async fn answered(
        &mut self,
        lease: LeaseId,
        answer: Answer,
        go: oneshot::Sender<u64>,
    ) -> Result<(), FetchErrorKind> {
        if self.crew.get(lease).is_none_or(|member| member.leaving) {
            return Ok(());
        }
        self.reconnect = false;
        if answer.restart == Some(RestartReason::RangeIgnored) && !self.crew.is_alone(lease) {
            // Another transfer is under way: it brings everything, and this answer would only begin again.
            self.ignores_ranges = true;
            self.governor.one_only();
            self.crew.end(lease);
            return Ok(());
        }
        let Answer { take, mut restart, repr_digest } = answer;
        let another = !take.identity.extends(&self.state.identity);
        if another && !self.state.written.is_empty() && restart.or(self.restart_due).is_none() {
            // It set out when less was known, and came back with something else than what is held by now.
            if take.write_from > 0 {
                drop(go);
                return self.begin_again(RestartReason::ValidatorChanged).await;
            }
            restart = Some(RestartReason::ValidatorChanged);
        }
        if let Some(reason) = restart {
            self.spend_restart(reason)?;
        }
        let restart = restart.or(self.restart_due);
        if self.state.generation == 0 || restart.is_some() || another {
            self.dismiss(Some(lease)).await;
            self.new_generation(take.identity.clone(), restart).await?;
        } else if take.identity != self.state.identity {
            self.adopt(take.identity.clone()).await?;
        }
        self.by_overlap |= take.write_from > 0
            && (self.unvouched || !self.state.identity.is_proof())
            && self.state.held_from(take.write_from) < take.write_from;
        self.unvouched = false;
        self.repr_digest = self.repr_digest.or(repr_digest);
        self.pieces += 1;
        let all = matches!(self.shared.request.wanted, Wanted::Whole);
        if let Some(total) = self.state.total().filter(|_| all && !self.fits) {
            self.on_part(move |part| part.check_room(total)).await?;
            self.fits = true;
        }
        self.scatter_before(take.write_from).await?;
        if self.pieces == 1 || self.crew.len() == 1 {
            self.tell(Event::Started {
                from: take.write_from,
                total: self.state.total(),
                validator: self.state.identity.validator.as_ref().map(ToString::to_string),
            });
        }
        if let Some(member) = self.crew.get_mut(lease) {
            member.answered = true;
            let lag = self.shared.clock.now().saturating_duration_since(member.since).as_secs_f64();
            self.lag = if self.lag > 0.0 { (self.lag + lag) / 2.0 } else { lag };
            member.promised = take.until;
            if restart.is_some() || take.write_from != member.from {
                // The whole came, whatever was asked for.
                member.bounds.rebase(take.until);
                (member.from, member.written_to) = (take.write_from, take.write_from);
            } else if let Some(until) = self.state.total() {
                member.bounds.limit(until);
            }
        }
        self.show();
        // A worker that gave up meanwhile says so itself.
        let _ = go.send(self.state.generation);
        Ok(())
    }

    /// Before the first byte beyond a hole, the record says that there are holes: from then on the file's length means
    /// nothing.
    async fn scatter_before(&mut self, offset: u64) -> Result<(), FetchErrorKind> {
        match self.state.written.available_from(0) < offset {
            true => self.scatter().await,
            false => Ok(()),
        }
    }

    pub(super) async fn scatter(&mut self) -> Result<(), FetchErrorKind> {
        if self.state.layout == Layout::Prefix {
            self.end_checkpoint().await?;
            let generation = self.state.generation;
            self.on_ledger(move |ledger| async move { ledger.scatter(generation).await }).await?;
            self.state.layout = Layout::Map;
        }
        Ok(())
    }

    pub(super) async fn adopt(&mut self, identity: Identity) -> Result<(), FetchErrorKind> {
        self.end_checkpoint().await?;
        let (generation, adopted) = (self.state.generation, identity.clone());
        self.on_ledger(move |ledger| async move { ledger.adopt(generation, &adopted).await }).await?;
        self.state.identity = identity;
        let total = self.state.total();
        self.board.tell(|notes| notes.total = total);
        Ok(())
    }

    pub(super) async fn learn_total(
        &mut self,
        total: u64,
        source: TotalSource,
    ) -> Result<(), FetchErrorKind> {
        let validator = self.state.identity.validator.clone();
        self.adopt(Identity { total: Some(total), total_source: Some(source), validator }).await
    }
}
