//! Restarts: record, then destroy.

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
        self.on_part(|part| part.truncate(0)).await?;
        self.restart_due = None;
        self.repr_digest = None;
        self.fits = false;
        self.reserved = 0;
        self.pieces = 0;
        self.resumed_from = 0;
        self.unvouched = false;
        self.by_overlap = false;
        if let Some(Restart { reason, discarded }) = restart {
            self.restarts += 1;
            self.ignores_ranges |= reason == RestartReason::RangeIgnored;
            self.tell(Event::Restarted { reason, discarded });
        }
        Ok(())
    }

    /// Gives up what is held although no body is there to replace it: it must never be resumed into.
    pub(super) async fn give_up_held_bytes(&mut self, reason: RestartReason) -> Result<(), FetchErrorKind> {
        self.new_generation(Identity::default(), Some(reason)).await
    }
}
