//! The one way this crate locks.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

/// Locks, even after a panic elsewhere: no code of a caller runs under our locks, so no state is ever half changed.
///
/// That is a rule to keep. Wakers are cloned before and woken or dropped after the lock: the last handle to a task may
/// hang on one, and dropping the task drops what it holds, such as a permit of the very same queue.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Wakes in the order given.
pub(crate) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}
