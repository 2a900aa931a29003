//! The end: verify the whole, seal it, give it its name.

use std::cell::Cell;

use super::Engine;
use crate::completed::{Completed, Verified};
use crate::digest::Check;
use crate::error::FetchErrorKind;
use crate::event::{Event, Phase};
use crate::restart_reason::RestartReason;

/// What the bytes turned out to be.
pub(super) enum Verdict {
    Right,
    /// Not what was asked for, and given up; one clean run may tell which of several answers was at fault.
    TryAgain,
}

impl Engine {
    /// Compares the whole with the digest the caller or the peer named.
    pub(super) async fn verify(&mut self, total: u64) -> Result<Verdict, FetchErrorKind> {
        self.rate.stop(self.shared.clock.now());
        let Some(digest) = self.expected_digest() else { return Ok(Verdict::Right) };
        let ours = self.shared.request.digest.is_some();
        let verified = if ours { Verified::Digest } else { Verified::PeerDigest };
        self.tell(Event::Verifying);
        self.show_phase(Phase::Verifying);
        let stop = self.shared.stop.clone();
        let mut check = self.hashing.take(digest).await.unwrap_or_else(|| Check::new(digest));
        let (outcome, unreadable) = self
            .on_part(move |part| {
                let unreadable = Cell::new(None);
                let outcome = check.feed(total, &stop, |buffer, at| {
                    let range = at..at + buffer.len() as u64;
                    part.read_at(buffer, at).inspect_err(|_| unreadable.set(Some(range)))
                });
                Ok((outcome.and_then(|()| check.finish()), unreadable.take()))
            })
            .await?;
        let wrong = match outcome {
            Ok(()) => {
                self.verified = Some(verified);
                return Ok(Verdict::Right);
            }
            Err(wrong @ FetchErrorKind::DigestMismatch { .. }) => wrong,
            Err(other) => match unreadable {
                Some(range) if self.rereads < MAX_REREADS => {
                    self.rereads += 1;
                    self.lose(range).await?;
                    return Ok(Verdict::TryAgain);
                }
                _ => return Err(other),
            },
        };
        // Never resumed into, whatever comes next.
        let joined = self.resumed_from > 0 || self.pieces > 1;
        let first_time = !std::mem::replace(&mut self.corrupted, true);
        self.give_up_held_bytes(RestartReason::Corruption).await?;
        // A file that came whole in one answer would only come the same way again.
        if joined && first_time { Ok(Verdict::TryAgain) } else { Err(wrong) }
    }

    /// Seals the part and gives it its name.
    pub(super) async fn publish(&mut self, total: u64) -> Result<Completed, FetchErrorKind> {
        self.show_phase(Phase::Finalizing);
        debug_assert!(self.state.durable.covers(&(0..total)), "only what is on record gets a name");
        let sealed = self.on_part(move |part| part.clone().seal(total)).await?;
        let generation = self.state.generation;
        self.on_ledger(move |ledger| async move { ledger.seal(generation, total).await }).await?;
        let (target, replace) = (self.shared.request.target.clone(), self.shared.request.replace);
        self.on_part(move |_| Ok(sealed.publish(&target, replace))).await??;
        self.on_ledger(|ledger| async move { ledger.finish().await }).await?;
        self.show_phase(Phase::Finalizing);
        Ok(self.completed(total, true))
    }

    pub(super) fn completed(&self, total: u64, published: bool) -> Completed {
        let unproven = self.by_overlap || (self.resumed_from > 0 && !self.state.identity.is_proof());
        let joined_by = if unproven { Verified::Overlap } else { Verified::Validator };
        Completed {
            total,
            published,
            received: self.received,
            resumed_from: self.resumed_from,
            restarts: self.restarts,
            verified: self.verified.unwrap_or(joined_by),
        }
    }
}

/// How often within one call bytes that cannot be read back are fetched again.
pub(super) const MAX_REREADS: u32 = 8;
