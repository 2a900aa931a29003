//! What tells that the writer ended without being asked to, and why.

use tokio::sync::watch;

use crate::StorageError;

/// Tells why the task ended, unless it is switched off before.
pub(crate) struct Alarm {
    failure: watch::Sender<Option<StorageError>>,
    reason: Option<StorageError>,
    /// The reason was found, not guessed.
    known: bool,
}

impl Alarm {
    /// Makes an alarm, and what shows whether it went off.
    pub(crate) fn new() -> (Self, watch::Receiver<Option<StorageError>>) {
        let (failure, watcher) = watch::channel(None);
        let reason = StorageError::failed("the writer of the registry ended in the middle of its work");
        (Self { failure, reason: Some(reason), known: false }, watcher)
    }

    /// Says what the reason is, should it go off.
    pub(crate) fn because(&mut self, reason: StorageError) {
        (self.reason, self.known) = (Some(reason), true);
    }

    /// The task was asked to end, and did.
    pub(crate) fn switch_off(&mut self) {
        self.reason = None;
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        let Some(reason) = self.reason.take() else { return };
        // A runtime that shuts down drops its tasks; that is an end, though not a failure worth waking anyone for.
        if std::thread::panicking() || self.known {
            tracing::error!(error = %reason, "the registry cannot be written any more");
        }
        self.failure.send_replace(Some(reason));
    }
}
