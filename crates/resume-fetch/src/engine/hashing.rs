//! The digest of the whole, while it is still coming in: a check follows the first missing byte through the part file,
//! beside the transfer, so that little is left to read when the last byte is there.
//!
//! What it has seen counts only as long as we change none of it: a new generation and bytes that were lost send it back
//! to the start. Each byte is read back once, some time after it was written. So it says less than a digest of the
//! finished file: what another program writes into the part behind it, or what the disk loses then, it does not notice.

use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::digest::{Check, Digest};
use crate::error::{FetchErrorKind, LocalError};
use crate::request::Wanted;

/// A check that keeps up with the download.
#[derive(Default)]
pub(super) struct Hashing {
    /// What it has seen so far, while it is not at work.
    check: Option<Check>,
    work: Option<JoinHandle<Seen>>,
    /// What it has seen is not what is held any more.
    stale: bool,
    /// The next bytes could not be read: that is looked at again in the end, and dealt with there.
    stuck: bool,
}

/// What a check has seen, and what kept it from seeing more.
type Seen = (Check, Result<(), FetchErrorKind>);

impl Hashing {
    /// Sends it after the first `held` bytes, when that is worth the way and it is not at work.
    fn follow(
        &mut self,
        expected: Digest,
        held: u64,
        stop: CancellationToken,
        read: impl Fn(&mut [u8], u64) -> Result<(), LocalError> + Send + 'static,
    ) {
        if self.work.is_some() || self.stuck {
            return;
        }
        let mut check = self.seen(expected).unwrap_or_else(|| Check::new(expected));
        if held < check.at().saturating_add(STRIDE) {
            self.check = Some(check);
            return;
        }
        let until = held.min(check.at().saturating_add(LONGEST));
        self.work = Some(spawn_blocking(move || {
            let fed = check.feed(until, &stop, read);
            (check, fed)
        }));
    }

    /// Resolves when the check has caught up with what it was sent for; never while it is not at work. Cancel safe.
    pub(super) async fn caught_up(&mut self) {
        let Some(work) = self.work.as_mut() else { return std::future::pending().await };
        let seen = work.await;
        self.work = None;
        // Whatever it met among bytes that are not held any more says nothing about those that are.
        if std::mem::take(&mut self.stale) {
            return;
        }
        self.stuck = !matches!(seen, Ok((_, Ok(()))));
        self.check = seen.ok().map(|(check, _)| check);
    }

    /// Bytes it may have seen have changed.
    pub(super) fn forget(&mut self) {
        self.check = None;
        self.stale = self.work.is_some();
        self.stuck = false;
    }

    /// Waits for it, and takes what it has seen, if that is of use for `expected`.
    pub(super) async fn take(&mut self, expected: Digest) -> Option<Check> {
        self.rest().await;
        self.stuck = false;
        self.seen(expected)
    }

    /// Waits until it is not at work.
    pub(super) async fn rest(&mut self) {
        if self.work.is_some() {
            self.caught_up().await;
        }
    }

    fn seen(&mut self, expected: Digest) -> Option<Check> {
        self.check.take().filter(|check| check.expected() == expected)
    }
}

impl Engine {
    /// Sends the check after what was written meanwhile, when that is worth the way.
    pub(super) fn keep_hashing(&mut self) {
        let Some(expected) = self.expected_digest().filter(|_| self.is_worth_hashing()) else { return };
        let held = self.state.written.available_from(0);
        let (part, stop) = (self.shared.part.clone(), self.shared.stop.clone());
        self.hashing.follow(expected, held, stop, move |buffer, at| part.read_at(buffer, at));
    }

    /// Whether what is held now may become the file in this call: a peer that does not answer costs no reading.
    fn is_worth_hashing(&self) -> bool {
        let whole = matches!(self.shared.request.wanted, Wanted::Whole);
        whole && self.restart_due.is_none() && self.pieces > 0
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    const EXPECTED: Digest = Digest::Sha256([7; 32]);
    const OTHER: Digest = Digest::Blake3([7; 32]);

    /// Sends it after `held` bytes of zeroes, as often as it goes, and counts how often it went.
    async fn follow(hashing: &mut Hashing, expected: Digest, held: u64) -> usize {
        for times in 0.. {
            hashing.follow(expected, held, CancellationToken::new(), |_, _| Ok(()));
            if hashing.work.is_none() {
                return times;
            }
            hashing.caught_up().await;
        }
        unreachable!("it catches up")
    }

    fn unreadable() -> LocalError {
        LocalError::io("read", "disk")(io::Error::other("bad sector"))
    }

    #[tokio::test]
    async fn it_follows_in_strides_and_goes_on_where_it_was() {
        let mut hashing = Hashing::default();
        assert_eq!(follow(&mut hashing, EXPECTED, STRIDE - 1).await, 0);
        assert_eq!(follow(&mut hashing, EXPECTED, STRIDE).await, 1);
        assert_eq!(follow(&mut hashing, EXPECTED, 2 * STRIDE - 1).await, 0);
        assert_eq!(follow(&mut hashing, EXPECTED, STRIDE + 2 * LONGEST).await, 2);
        assert_eq!(hashing.take(EXPECTED).await.map(|check| check.at()), Some(STRIDE + 2 * LONGEST));
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_tried_once_and_what_came_before_it_is_kept() {
        let mut hashing = Hashing::default();
        let tries = Arc::new(AtomicU64::new(0));
        for _ in 0..3 {
            let tries = Arc::clone(&tries);
            hashing.follow(EXPECTED, LONGEST, CancellationToken::new(), move |_, at| {
                let good = at < STRIDE || tries.fetch_add(1, Ordering::Relaxed) > 0;
                if good { Ok(()) } else { Err(unreadable()) }
            });
            hashing.rest().await;
        }
        assert_eq!(tries.load(Ordering::Relaxed), 1);
        assert_eq!(hashing.take(EXPECTED).await.map(|check| check.at()), Some(STRIDE));
        assert_eq!(follow(&mut hashing, EXPECTED, LONGEST).await, 1, "the end has looked at it since");
    }

    #[tokio::test]
    async fn bytes_that_come_instead_of_unreadable_ones_are_followed_again() {
        let mut hashing = Hashing::default();
        let fail = |_: &mut [u8], _| Err(unreadable());
        hashing.follow(EXPECTED, LONGEST, CancellationToken::new(), fail);
        hashing.rest().await;
        hashing.forget();
        assert_eq!(follow(&mut hashing, EXPECTED, LONGEST).await, 1);

        hashing.forget();
        hashing.follow(EXPECTED, LONGEST, CancellationToken::new(), fail);
        hashing.forget();
        hashing.rest().await;
        assert_eq!(follow(&mut hashing, EXPECTED, LONGEST).await, 1, "given up while it was at work");
    }

    #[tokio::test]
    async fn only_what_was_seen_before_the_bytes_changed_is_forgotten() {
        let mut hashing = Hashing::default();
        hashing.follow(EXPECTED, LONGEST, CancellationToken::new(), |_, _| Ok(()));
        hashing.forget();
        hashing.caught_up().await;
        assert!(hashing.check.is_none(), "it has seen what is not held any more");

        hashing.follow(EXPECTED, LONGEST, CancellationToken::new(), |_, _| panic!("it comes to nothing"));
        hashing.forget();
        hashing.caught_up().await;
        assert_eq!(follow(&mut hashing, EXPECTED, LONGEST).await, 1);
        assert_eq!(hashing.take(EXPECTED).await.map(|check| check.at()), Some(LONGEST));
    }

    #[tokio::test]
    async fn a_check_for_another_digest_begins_at_the_first_byte() {
        let mut hashing = Hashing::default();
        assert_eq!(follow(&mut hashing, OTHER, LONGEST).await, 1);
        assert_eq!(
            follow(&mut hashing, EXPECTED, LONGEST + STRIDE).await,
            2,
            "no more than the longest at once"
        );
        assert_eq!(hashing.take(EXPECTED).await.map(|check| check.at()), Some(LONGEST + STRIDE));
    }
}

#[cfg(all(test, feature = "reqwest"))]
mod on_the_way {
    use std::num::NonZeroU32;
    use std::sync::Arc;
    use std::time::Duration;

    use retry_kit::{Clock, RetryPolicy, TokioClock};
    use scripted_peer::{Answer, Gate, Representation, ScriptedPeer, assert_same_bytes, seeded_bytes};
    use sha2::Digest as _;

    use super::*;
    use crate::completed::Verified;
    use crate::engine::lab::engine;
    use crate::ledger::{Ledger, MemoryLedger};
    use crate::part_file::PartFile;
    use crate::request::{Connections, FetchRequest};

    const MIB: u64 = 1 << 20;
    const SIZE: u64 = 12 * MIB;

    fn digest(seed: u64) -> Digest {
        Digest::Sha256(sha2::Sha256::digest(seeded_bytes(seed, 0..SIZE)).into())
    }

    #[tokio::test]
    async fn bytes_hashed_on_the_way_and_given_up_since_are_no_part_of_the_digest() {
        let of = |seed: u64| Representation::seeded(seed, SIZE).etag(format!("\"{seed}\""));
        let (peer, gate) = (ScriptedPeer::start().await, Gate::closed());
        peer.serve("/file", of(8));
        let cut = Answer::hold_at(9 * MIB, &gate).and(Answer::truncate_at(10 * MIB));
        peer.script("/file", [cut.and(Answer::then_serve(of(7)))]);
        let dir = tempfile::tempdir().unwrap();
        let (target, path) = (dir.path().join("x"), dir.path().join("x.part"));
        let part = PartFile::open(path, None).unwrap();
        let request = FetchRequest::new(&peer.url("/file"), &target).unwrap();
        let request = request.connections(Connections::SEQUENTIAL).expect_digest(Some(digest(7)));
        let run = tokio::spawn(engine(request, part.clone(), &Arc::default()).run(None));
        gate.parked(1).await;
        while part.reads() == 0 {
            TokioClock.sleep(Duration::from_millis(1)).await;
        }
        gate.release();
        let done = run.await.unwrap().unwrap();
        assert_eq!((done.restarts, done.verified), (1, Verified::Digest));
        assert_same_bytes(target, 7, SIZE);
    }

    #[tokio::test]
    async fn a_call_to_an_absent_peer_reads_nothing_of_what_is_held() {
        let peer = ScriptedPeer::start().await;
        let file = Representation::seeded(7, SIZE).etag("\"a\"");
        peer.serve("/file", file);
        peer.script("/file", [Answer::truncate_at(10 * MIB)]);
        let dir = tempfile::tempdir().unwrap();
        let part = PartFile::open(dir.path().join("x.part"), None).unwrap();
        let ledger = Arc::new(MemoryLedger::new());
        let mut once = RetryPolicy::default();
        once.max_attempts = NonZeroU32::MIN;
        let request = |digest| {
            let request = FetchRequest::new(&peer.url("/file"), dir.path().join("x")).unwrap();
            let request = request.connections(Connections::SEQUENTIAL).retry(once.clone());
            request.expect_digest(digest)
        };
        engine(request(None), part.clone(), &ledger).run(None).await.unwrap_err();
        assert_eq!(part.reads(), 0, "no digest, nothing to hash");
        peer.script("/file", [Answer::close_before_head()]);
        let record = ledger.load().await.unwrap();
        assert!(record.as_ref().is_some_and(|record| record.durable.len() == 10 * MIB), "{record:?}");
        let error = engine(request(Some(digest(7))), part.clone(), &ledger).run(record).await.unwrap_err();
        assert_eq!((error.bytes_kept, part.reads()), (10 * MIB, 0));
        let record = ledger.load().await.unwrap();
        let done = engine(request(Some(digest(7))), part.clone(), &ledger).run(record).await.unwrap();
        assert_eq!((done.resumed_from, done.verified), (10 * MIB, Verified::Digest));
        assert!(part.reads() > 0);
    }
}
