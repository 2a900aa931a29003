//! Whether anything goes on on a connection with answers side by side: a stream that is open or has bytes left, or bytes
//! that wait for the socket.
//!
//! What a client merely sends is no activity: whoever only pings is idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// What goes on on a connection. Clones are of the same one.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    now: Arc<watch::Sender<Now>>,
    drain: Arc<AtomicBool>,
    /// Bytes the socket took.
    written: Arc<AtomicU64>,
}

#[derive(Clone, Copy, Debug)]
struct Now {
    /// Streams that are being answered.
    open: usize,
    /// Whether the socket took less than there was for it.
    waits: bool,
    /// The last change of either, or the farewell.
    changed: Instant,
}

impl Activity {
    /// Of a connection that begins now.
    pub(super) fn new() -> Self {
        let now = Now { open: 0, waits: false, changed: Instant::now() };
        Self { now: Arc::new(watch::Sender::new(now)), drain: Arc::default(), written: Arc::default() }
    }

    pub(super) fn stream_opens(&self) {
        self.change(|now| now.open += 1);
    }

    pub(super) fn stream_ends(&self) {
        self.change(|now| now.open -= 1);
    }

    /// Notes whether bytes wait for the socket.
    pub(super) fn socket_waits(&self, waits: bool) {
        self.now.send_if_modified(|now| {
            let changes = now.waits != waits;
            if changes {
                (now.waits, now.changed) = (waits, Instant::now());
            }
            changes
        });
    }

    /// Whether bytes wait for the socket.
    pub(super) fn socket_is_full(&self) -> bool {
        self.now.borrow().waits
    }

    pub(super) fn socket_took(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How many bytes the socket took so far.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Begins the time without activity anew, for a word of farewell. If no stream is open, the socket takes that word
    /// only when the system has sent all it took before.
    pub(super) fn farewell(&self) {
        self.change(|_| {});
        self.drain.store(self.now.borrow().open == 0, Ordering::Relaxed);
    }

    /// Whether the socket is to be drained first; said once.
    pub(super) fn take_drain(&self) -> bool {
        self.drain.load(Ordering::Relaxed) && self.drain.swap(false, Ordering::Relaxed)
    }

    /// Resolves when nothing has gone on for this long, be it before the call or since.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn none_for(&self, long: Duration) {
        let mut seen = self.now.subscribe();
        loop {
            let now = *seen.borrow_and_update();
            let is_idle = now.open == 0 && !now.waits;
            let changed = async { seen.changed().await.unwrap_or_default() };
            if !is_idle {
                changed.await;
            } else if tokio::time::timeout_at(now.changed + long, changed).await.is_err() {
                return;
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        self.now.send_modify(|now| {
            change(now);
            now.changed = Instant::now();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_ever_goes_on_is_idle_from_its_beginning() {
        let (activity, start) = (Activity::new(), Instant::now());
        tokio::time::advance(Duration::from_secs(4)).await;
        activity.none_for(LONG).await;
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_wait_for_the_socket_are_activity_until_it_took_them() {
        let (activity, start) = (Activity::new(), Instant::now());
        activity.socket_waits(true);
        let idle = tokio::spawn({
            let activity = activity.clone();
            async move { activity.none_for(LONG).await }
        });
        tokio::time::sleep(Duration::from_secs(100)).await;
        activity.socket_waits(false);
        idle.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 110);
    }

    #[test]
    fn nothing_is_drained_while_a_stream_is_open() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _runtime = runtime.enter();
        let activity = Activity::new();
        activity.stream_opens();
        activity.farewell();
        assert!(!activity.take_drain());
        activity.stream_ends();
        activity.farewell();
        assert!(activity.take_drain() && !activity.take_drain(), "once");
    }
}
