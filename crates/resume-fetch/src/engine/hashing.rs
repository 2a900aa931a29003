//! The digest of the whole, while it is still coming in: a check follows the first missing byte through the part file,
//! beside the transfer, so that little is left to read when the last byte is there.
//!
//! What it has seen counts only as long as none of it changed: a new generation and bytes that were lost send it back to
//! the start. In the end it says no more than a digest of the finished file would.

use tokio::task::{JoinHandle, spawn_blocking};

use super::Engine;
use crate::digest::{Check, Digest};
use crate::request::Wanted;

/// A check that keeps up with the download.
#[derive(Default)]
pub(super) struct Hashing {
    /// What it has seen so far, while it is not at work.
    check: Option<Check>,
    work: Option<JoinHandle<Option<Check>>>,
    /// What it has seen is not what is held any more.
    stale: bool,
}

impl Hashing {
    /// Resolves when the check has caught up with what it was sent for; never while it is not at work. Cancel safe.
    pub(super) async fn caught_up(&mut self) {
        match self.work.as_mut() {
            Some(work) => {
                let check = work.await.ok().flatten();
                self.work = None;
                self.check = check.filter(|_| !std::mem::take(&mut self.stale));
            }
            None => std::future::pending().await,
        }
    }

    /// Bytes it may have seen have changed.
    pub(super) fn forget(&mut self) {
        self.check = None;
        self.stale = self.work.is_some();
    }

    /// Waits for it, and takes what it has seen, if that is of use for `expected`.
    pub(super) async fn take(&mut self, expected: Digest) -> Option<Check> {
        self.rest().await;
        self.check.take().filter(|check| check.expected() == expected)
    }

    /// Waits until it is not at work.
    pub(super) async fn rest(&mut self) {
        if self.work.is_some() {
            self.caught_up().await;
        }
    }
}

impl Engine {
    /// Sends the check after what was written meanwhile, when that is worth the way.
    pub(super) fn keep_hashing(&mut self) {
        let Some(expected) = self.expected_digest().filter(|_| self.is_worth_hashing()) else { return };
        let held = self.state.written.available_from(0);
        let at = self.hashing.check.as_ref().map_or(0, Check::at);
        if held < at.saturating_add(STRIDE) {
            return;
        }
        let until = held.min(at + LONGEST);
        let check = self.hashing.check.take().filter(|check| check.expected() == expected);
        let mut check = check.unwrap_or_else(|| Check::new(expected));
        let (part, stop) = (self.shared.part.clone(), self.shared.stop.clone());
        self.hashing.work = Some(spawn_blocking(move || {
            // What cannot be read is looked at again in the end, and dealt with there.
            let fed = check.feed(until, &stop, |buffer, at| part.read_at(buffer, at));
            fed.is_ok().then_some(check)
        }));
    }

    /// Whether what is held now may become the file, and nobody is at it already.
    fn is_worth_hashing(&self) -> bool {
        let whole = matches!(self.shared.request.wanted, Wanted::Whole);
        whole && self.restart_due.is_none() && self.hashing.work.is_none()
    }

    /// The digest the whole must have: the caller's, else the one the peer named.
    pub(super) fn expected_digest(&self) -> Option<Digest> {
        self.shared.request.digest.or(self.repr_digest)
    }
}

/// Fewer new bytes are not worth a thread.
const STRIDE: u64 = 1 << 20;
/// Read in one go, so that it is soon known when they are not wanted any more.
const LONGEST: u64 = 8 << 20;
