//! The stretch one worker may fetch, shared between it and the engine that may cut it short.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use retry_kit::Urgency;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// `[at, until)`: what a lease has still to bring. The worker moves `at` as bytes come in, the engine moves `until`;
/// each byte belongs to exactly one lease at any moment because both do it under the same lock.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    stretch: Arc<Mutex<Stretch>>,
    ended: CancellationToken,
    /// How soon what it is about to bring is needed. It changes with those who read.
    urgency: Arc<watch::Sender<Urgency>>,
}

#[derive(Debug)]
struct Stretch {
    /// What is left to bring.
    left: Range<u64>,
    /// Where it would end if the lease were not told to end before.
    until: u64,
}

impl Bounds {
    /// A lease on `[from, until)`; `None` while nobody knows where the file ends. It ends with `stop` as well.
    pub(crate) fn new(from: u64, until: Option<u64>, stop: &CancellationToken) -> Self {
        let until = until.unwrap_or(u64::MAX);
        let stretch = Arc::new(Mutex::new(Stretch { left: from..until, until }));
        Self { stretch, ended: stop.child_token(), urgency: Arc::default() }
    }

    fn stretch(&self) -> MutexGuard<'_, Stretch> {
        self.stretch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left to bring.
    pub(crate) fn left(&self) -> Range<u64> {
        self.stretch().left.clone()
    }

    /// Where the lease ends, or would have ended had it not been told to.
    pub(crate) fn until(&self) -> u64 {
        self.stretch().until
    }

    /// The worker's side: takes up to `length` bytes from the front; fewer when the lease ends before.
    pub(crate) fn claim(&self, length: u64) -> u64 {
        let mut stretch = self.stretch();
        let taken = length.min(stretch.left.end.saturating_sub(stretch.left.start));
        stretch.left.start += taken;
        taken
    }

    /// Whether everything has been brought.
    pub(crate) fn is_full(&self) -> bool {
        self.stretch().left.is_empty()
    }

    /// Makes the lease end at `offset`; `None` when the worker has come that far already.
    pub(crate) fn cut(&self, offset: u64) -> Option<()> {
        let mut stretch = self.stretch();
        if offset <= stretch.left.start || offset >= stretch.left.end {
            return None;
        }
        (stretch.left.end, stretch.until) = (offset, offset);
        Some(())
    }

    /// The file ends at `until`, as it turned out.
    pub(crate) fn limit(&self, until: u64) {
        let mut stretch = self.stretch();
        stretch.left.end = stretch.left.end.min(until);
        stretch.until = stretch.until.min(until);
    }

    /// Makes a lease that ends at `from` go on up to `until`, when it is still under way.
    pub(crate) fn extend(&self, from: u64, until: u64) -> bool {
        let mut stretch = self.stretch();
        let goes_on = !stretch.left.is_empty() && stretch.left.end == from && !self.ended.is_cancelled();
        if goes_on {
            (stretch.left.end, stretch.until) = (until, until);
        }
        goes_on
    }

    /// Ends the lease at the byte it has come to.
    pub(crate) fn end(&self) {
        let mut stretch = self.stretch();
        stretch.left.end = stretch.left.start.min(stretch.left.end);
        drop(stretch);
        self.ended.cancel();
    }

    /// The lease becomes one on the whole of a new representation.
    pub(crate) fn rebase(&self, until: Option<u64>) {
        let until = until.unwrap_or(u64::MAX);
        *self.stretch() = Stretch { left: 0..until, until };
    }

    /// The engine's side: says how soon what the lease is about to bring is needed.
    pub(crate) fn hurry(&self, urgency: Urgency) {
        self.urgency.send_if_modified(|now| std::mem::replace(now, urgency) != urgency);
    }

    /// The worker's side: how soon that is, and every change of it.
    pub(crate) fn urgency(&self) -> watch::Receiver<Urgency> {
        self.urgency.subscribe()
    }

    /// Resolves when the lease was ended. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(range: Range<u64>) -> Bounds {
        Bounds::new(range.start, Some(range.end), &CancellationToken::new())
    }

    #[test]
    fn a_byte_belongs_to_the_worker_or_to_the_engine_and_never_to_both() {
        let lease = bounds(100..200);
        assert_eq!(lease.claim(30), 30);
        assert_eq!(lease.cut(130), None, "already on its way");
        assert_eq!(lease.cut(150), Some(()));
        assert_eq!(lease.claim(30), 20, "what lies behind the cut is somebody else's");
        assert!(lease.is_full());
        assert_eq!(lease.claim(1), 0);
    }

    #[test]
    fn a_lease_takes_back_what_it_gave_up_only_while_it_is_under_way() {
        let lease = bounds(0..100);
        lease.cut(50).unwrap();
        assert!(!lease.extend(60, 100), "not its neighbour");
        assert!(lease.extend(50, 100));
        assert_eq!(lease.claim(100), 100);
        assert!(!lease.extend(100, 200), "it has ended");
        let ended = bounds(0..100);
        ended.end();
        assert!(ended.is_full() && !ended.extend(0, 100));
    }

    #[test]
    fn a_lease_ends_with_the_download() {
        let stop = CancellationToken::new();
        let lease = Bounds::new(0, None, &stop);
        assert_eq!(lease.left(), 0..u64::MAX);
        stop.cancel();
        assert!(lease.ended.is_cancelled());
    }
}
