//! **What happens**, told once: whoever does something to a download calls [`Events::record`], and the listeners hear it.
//!
//! Always there are the [`journal`] (a line in the log), the [`tally`] (the metrics) and the [`ring`] (the last events under
//! their numbers, for whoever follows the daemon); hooks, the hand-off and the watch folder (by the [`endings`]) join them
//! as a [`Listener`]. None of them ever blocks the one who tells: the ring drops its oldest event, and a reader that was
//! too slow for it learns that it fell behind.

mod endings;
mod event;
mod journal;
mod names;
mod numbers;
mod ring;
mod tally;
mod wire;

use std::sync::{Arc, PoisonError, RwLock};

use download_registry::{Registry, StorageError};
use retry_kit::{Clock, SharedClock};
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use self::numbers::Numbers;
use self::ring::Ring;
use crate::metrics::Metrics;

pub use endings::Endings;
pub use event::{Event, ImportStep, Reach, Retry, Room, Step, Subject, Why};
pub use names::NAMES;
pub(crate) use ring::frame;
pub use ring::{Batch, Behind};
pub use wire::{Told, wire};

/// The one place that hears what happens, and tells it on.
pub struct Events {
    metrics: Arc<Metrics>,
    ring: Ring,
    numbers: Numbers,
    closed: CancellationToken,
    listeners: RwLock<Vec<Arc<dyn Listener>>>,
}

/// Somebody who is told what happens, besides the log, the metrics and the ring.
pub trait Listener: Send + Sync {
    /// Hears of an event. Called by whoever caused it, so it must neither block nor wait.
    fn hear(&self, heard: &Heard<'_>);
}

/// What a [`Listener`] hears.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    /// What happened.
    pub event: &'a Event<'a>,
    /// The same under its number, as followers of the daemon are told; `None` for what is nobody's business.
    pub told: Option<(u64, &'a Told)>,
}

impl Events {
    /// Continues the numbers of the process before.
    ///
    /// # Errors
    /// When the registry cannot be read or written.
    pub async fn open(
        registry: &Registry,
        metrics: Arc<Metrics>,
        clock: &SharedClock,
    ) -> Result<Arc<Self>, StorageError> {
        let (numbers, last) = Numbers::open(registry, clock.wall().into()).await?;
        let ring = Ring::after(last);
        let (closed, listeners) = (CancellationToken::new(), RwLock::default());
        Ok(Arc::new(Self { metrics, ring, numbers, closed, listeners }))
    }

    /// Tells every listener, in the order of the calls. Call it once what happened is on record.
    pub fn record(&self, event: &Event<'_>) {
        journal::write(event);
        tally::count(&self.metrics, event);
        let told = wire(event);
        let number = told.as_ref().map(|told| self.ring.push(told));
        if let Some(number) = number {
            self.numbers.spent(number);
        }
        let heard = Heard { event, told: number.zip(told.as_ref()) };
        for listener in self.listeners.read().unwrap_or_else(PoisonError::into_inner).iter() {
            listener.hear(&heard);
        }
    }

    /// The downloads that come to an end from now on.
    pub fn endings(&self) -> Endings {
        let teller = Arc::new(endings::Teller::new());
        let endings = teller.subscribe();
        self.listen(teller);
        endings
    }

    /// Tells `listener` what happens from now on.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.listeners.write().unwrap_or_else(PoisonError::into_inner).push(listener);
    }

    /// The number of the latest event; 0 before the first one ever.
    pub fn last(&self) -> u64 {
        self.ring.last()
    }

    /// The events after number `seen`, as many as fit a batch; an empty batch when there are none yet.
    ///
    /// # Errors
    /// [`Behind`] when some of them are gone, or `seen` is none of our numbers.
    pub fn after(&self, seen: u64) -> Result<Batch, Behind> {
        self.ring.batch(seen)
    }

    /// Resolves when there is an event after number `seen`, at once if there is.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn beyond(&self, seen: u64) {
        self.ring.beyond(seen).await;
    }

    /// Ends whoever follows: nothing more is going to be told to them.
    pub fn close(&self) {
        self.closed.cancel();
    }

    /// Resolves once [`Events::close`] was called.
    ///
    /// # Cancel safety
    /// Safe.
    pub fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.closed.cancelled()
    }

    /// Keeps numbers reserved ahead of their use, for as long as it is polled.
    pub async fn keep_numbers(&self, registry: &Registry, clock: &SharedClock) {
        self.numbers.keep(registry, clock).await;
    }

    /// Gives back what was reserved and not used, so that the next process goes on without a gap. The last thing
    /// to do.
    ///
    /// # Errors
    /// When the registry cannot be written; then the next process skips some numbers.
    pub async fn finish(&self, registry: &Registry, clock: &SharedClock) -> Result<(), StorageError> {
        numbers::write(registry, self.last(), clock.wall().into()).await
    }
}
