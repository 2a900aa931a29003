//! The right to run now: a queue that nobody jumps.

use std::fmt;
use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use thiserror::Error;

use crate::queue::{Queue, Turn};
use crate::sync::{lock, wake_all};

/// A semaphore with priorities: higher first, first come first served among equals.
///
/// A permit that comes back goes straight to the next in line, so somebody who asks at that moment cannot take it.
/// Clones share the same permits. No runtime is needed.
///
/// ```
/// use std::num::NonZeroUsize;
/// use retry_kit::Permits;
///
/// let permits = Permits::new(NonZeroUsize::MIN);
/// let running = permits.try_acquire().expect("nobody is here yet");
/// assert!(permits.try_acquire().is_none());
/// drop(running);
/// assert_eq!(permits.in_use(), 0);
/// ```
#[derive(Clone)]
pub struct Permits {
    queue: Arc<Mutex<Queue>>,
}

impl Permits {
    /// Lets `limit` holders run at once. Zero permits cannot be written down: they would be a queue that never moves.
    #[must_use]
    pub fn new(limit: NonZeroUsize) -> Self {
        Self { queue: Arc::new(Mutex::new(Queue::new(limit.get()))) }
    }

    /// Waits for a permit. The place in line is taken by the first poll.
    ///
    /// After [`close`](Permits::close) it never becomes ready; see [`Acquire::or_closed`]. A future that is kept and not
    /// polled keeps what it was given.
    ///
    /// # Cancel safety
    /// Safe. Dropping the future gives up its place; a permit it was given without knowing yet goes to the next.
    pub fn acquire(&self, priority: i32) -> Acquire {
        Acquire { permits: self.clone(), priority, turn: None }
    }

    /// Takes a permit if one is free, which also means that nobody waits. `None` when all are in use, or closed.
    #[must_use]
    pub fn try_acquire(&self) -> Option<Permit> {
        let taken = lock(&self.queue).take();
        taken.then(|| Permit { permits: self.clone() })
    }

    /// Changes how many may run at once. More are handed out immediately; fewer take effect as permits come back,
    /// nobody is interrupted.
    pub fn resize(&self, limit: NonZeroUsize) {
        let woken = lock(&self.queue).resize(limit.get());
        wake_all(woken);
    }

    /// Gives out no further permit, ever. What waits stays waiting and what runs keeps running.
    pub fn close(&self) {
        let woken = lock(&self.queue).close();
        wake_all(woken);
    }

    /// How many may run at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        lock(&self.queue).limit()
    }

    /// How many hold a permit, or have been given one they have not looked at yet. Above the limit only after a
    /// [`resize`](Permits::resize) to fewer.
    #[must_use]
    pub fn in_use(&self) -> usize {
        lock(&self.queue).in_use()
    }

    /// How many stand in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        lock(&self.queue).waiting()
    }

    /// Whether [`close`](Permits::close) has been called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        lock(&self.queue).is_closed()
    }
}

/// Three permits.
impl Default for Permits {
    fn default() -> Self {
        Self::new(const { NonZeroUsize::new(3).expect("three is not zero") })
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let queue = lock(&self.queue);
        f.debug_struct("Permits")
            .field("limit", &queue.limit())
            .field("in_use", &queue.in_use())
            .field("waiting", &queue.waiting())
            .field("closed", &queue.is_closed())
            .finish()
    }
}

/// The right to run now. Dropping it returns it, also while panicking.
#[must_use = "dropping the permit returns it"]
pub struct Permit {
    permits: Permits,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let woken = lock(&self.permits.queue).give_back();
        wake_all(woken);
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// The future of [`Permits::acquire`].
#[must_use = "a place in line is taken by the first poll"]
pub struct Acquire {
    permits: Permits,
    priority: i32,
    /// The place in line, from the first poll that found no permit free to the one that takes it.
    turn: Option<Turn>,
}

impl Acquire {
    /// Moves to another class, keeping the time of arrival. A permit already given stays given.
    pub fn set_priority(&mut self, priority: i32) {
        self.priority = priority;
        if let Some(turn) = &mut self.turn {
            *turn = lock(&self.permits.queue).change_class(*turn, priority);
        }
    }

    /// Ends with [`Closed`], rather than never, once the permits are closed.
    pub fn or_closed(self) -> AcquireOrClosed {
        AcquireOrClosed(self)
    }

    fn poll_permit(&mut self, context: &Context<'_>) -> Poll<Result<Permit, Closed>> {
        let waker = context.waker().clone();
        // Declared before the lock, so dropped after it.
        let _replaced;
        let mut queue = lock(&self.permits.queue);
        let taken = match self.turn {
            Some(turn) => queue.collect(turn),
            None => queue.take(),
        };
        if taken {
            self.turn = None;
            return Poll::Ready(Ok(Permit { permits: self.permits.clone() }));
        }
        if queue.is_closed() {
            self.turn = None;
            return Poll::Ready(Err(Closed));
        }
        match self.turn {
            Some(turn) => _replaced = queue.keep_waiting(turn, waker),
            None => self.turn = Some(queue.line_up(self.priority, waker)),
        }
        Poll::Pending
    }
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        match ready!(self.poll_permit(context)) {
            Ok(permit) => Poll::Ready(permit),
            // Queued work never runs after the end.
            Err(Closed) => Poll::Pending,
        }
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(turn) = self.turn else { return };
        let (_own, woken) = lock(&self.permits.queue).leave(turn);
        wake_all(woken);
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire").field("priority", &self.priority).finish_non_exhaustive()
    }
}

/// The future of [`Acquire::or_closed`].
#[derive(Debug)]
#[must_use = "a place in line is taken by the first poll"]
pub struct AcquireOrClosed(Acquire);

impl Future for AcquireOrClosed {
    type Output = Result<Permit, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll_permit(context)
    }
}

/// The permits were closed: nothing further may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no further permits are given out")]
pub struct Closed;
