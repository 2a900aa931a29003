//! Restarts: record, then destroy.

use std::ops::Range;

use super::Engine;
use crate::error::FetchErrorKind;
use crate::event::Event;
use crate::identity::Identity;
use crate::ledger::Restart;
use crate::restart_reason::RestartReason;

use super::state::State;

impl Engine {
    /// Takes one off the restarts that the peer may cause.
    pub(super) fn spend_restart(&mut self, reason: RestartReason) -> Result<(), FetchErrorKind> {
        match self.restarts_left.checked_sub(1) {
            Some(left) => {
                self.restarts_left = left;
                Ok(())
            }
            None => Err(FetchErrorKind::RestartLoop { restarts: self.restarts, reason }),
        }
    }

    /// What is held is of no use, and there is no body to replace it: everybody ends, and the whole is asked for.
    pub(super) async fn begin_again(&mut self, reason: RestartReason) -> Result<(), FetchErrorKind> {
        self.spend_restart(reason)?;
        self.dismiss(None).await;
        self.restart_due = Some(reason);
        Ok(())
    }

    /// Begins a generation: what is held is given up for `reason`, or nothing was held.
    pub(super) async fn new_generation(
        &mut self,
        identity: Identity,
        reason: Option<RestartReason>,
    ) -> Result<(), FetchErrorKind> {
        // A checkpoint of the old generation must not end after the file was cut.
        if let Some(checkpoint) = self.checkpoint.take() {
            let _ = checkpoint.await;
        }
        self.checkpoint_due = None;
        let generation = self.state.generation + 1;
        let discarded = self.state.written.len().max(std::mem::take(&mut self.unrecorded));
        let restart = reason.map(|reason| Restart { reason, discarded });
        let recorded = identity.clone();
        self.on_ledger(move |ledger| async move { ledger.begin(generation, &recorded, restart).await })
            .await?;
        self.state = State { generation, identity, ..State::default() };
        self.hashing.forget();
        // Readers look at the board after they have read: what they find in the file from here on is not theirs.
        self.post();
        self.on_part(|part| part.truncate(0)).await?;
        self.restart_due = None;
        self.repr_digest = None;
        self.fits = false;
        self.reserved = 0;
        self.pieces = 0;
        self.resumed_from = 0;
        self.unvouched = false;
        self.by_overlap = false;
        self.parallel = false;
        self.parked.clear();
        if let Some(Restart { reason, discarded }) = restart {
            self.restarts += 1;
            self.ignores_ranges |= reason == RestartReason::RangeIgnored;
            self.tell(Event::Restarted { reason, discarded });
        }
        Ok(())
    }

    /// Takes bytes that readers could not get back off the record, and off what counts as held.
    pub(super) async fn take_unreadable(&mut self) -> Result<(), FetchErrorKind> {
        loop {
            let first = self.board.notes().unreadable.first().cloned();
            let Some((generation, range)) = first else { return Ok(()) };
            if generation == self.state.generation {
                self.lose(range).await?;
            }
            // Only now: until then it is this list that tells readers that the bytes are missing.
            self.board.notes().unreadable.remove(0);
        }
    }

    /// Recorded bytes turned out to be unreadable: the record first, then they are missing.
    pub(super) async fn lose(&mut self, range: Range<u64>) -> Result<(), FetchErrorKind> {
        // A checkpoint under way would put them on record again.
        self.settle().await?;
        // What is left of a prefix may have a hole now.
        self.scatter().await?;
        let (generation, lost) = (self.state.generation, range.clone());
        self.on_ledger(move |ledger| async move { ledger.subtract(generation, &[lost]).await }).await?;
        self.state.durable.remove(&range);
        self.state.written.remove(&range);
        self.hashing.forget();
        self.post();
        self.tell(Event::Unreadable { range });
        Ok(())
    }

    /// Gives up what is held although no body is there to replace it: it must never be resumed into.
    pub(super) async fn give_up_held_bytes(&mut self, reason: RestartReason) -> Result<(), FetchErrorKind> {
        self.new_generation(Identity::default(), Some(reason)).await
    }
}
