//! Several limits over the same bytes.

use crate::rate::Rate;
use crate::rate_limiter::RateLimiter;
use crate::urgency::Urgency;

/// Limits that all apply, from the widest to the narrowest: everything → one peer → one download.
///
/// ```
/// use std::num::NonZeroU64;
/// use retry_kit::{Layers, Rate, RateLimiter, SharedClock};
///
/// fn limits(clock: &SharedClock, everything: &RateLimiter, peer: &RateLimiter) -> Layers {
///     let download = Rate::per_second(NonZeroU64::new(500_000).expect("not zero"));
///     Layers::new([everything.clone(), peer.clone()]).with(RateLimiter::new(clock.clone(), download))
/// }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Layers {
    limiters: Vec<RateLimiter>,
}

impl Layers {
    /// Applies all of `limiters`, the widest first. None at all is no limit.
    #[must_use]
    pub fn new(limiters: impl IntoIterator<Item = RateLimiter>) -> Self {
        Self { limiters: limiters.into_iter().collect() }
    }

    /// The same limits and a narrower one.
    #[must_use]
    pub fn with(mut self, limiter: RateLimiter) -> Self {
        self.limiters.push(limiter);
        self
    }

    /// Waits until `bytes` may be moved under every limit.
    ///
    /// # Cancel safety
    /// Safe. Dropping the future returns what some layers had already granted.
    pub async fn acquire(&self, bytes: u64) {
        self.acquire_as(bytes, Urgency::default()).await;
    }

    /// As [`acquire`](Self::acquire), at every limit ahead of everybody less urgent who waits there.
    ///
    /// # Cancel safety
    /// Safe, as `acquire`.
    pub async fn acquire_as(&self, bytes: u64, urgency: Urgency) {
        let mut granted = Granted { layers: &[], bytes };
        // The narrowest first: whoever waits for his own limit must not sit on bytes others could move meanwhile.
        for index in (0..self.limiters.len()).rev() {
            self.limiters[index].acquire_as(bytes, urgency).await;
            granted.layers = &self.limiters[index..];
        }
        granted.layers = &[];
    }

    /// The slowest of the rates in force.
    #[must_use]
    pub fn rate(&self) -> Rate {
        self.limiters.iter().map(RateLimiter::rate).fold(Rate::unlimited(), Rate::min)
    }
}

impl FromIterator<RateLimiter> for Layers {
    fn from_iter<I: IntoIterator<Item = RateLimiter>>(limiters: I) -> Self {
        Self::new(limiters)
    }
}

/// Bytes granted by some layers and not yet by all.
struct Granted<'l> {
    layers: &'l [RateLimiter],
    bytes: u64,
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        self.layers.iter().for_each(|limiter| limiter.refund(self.bytes));
    }
}
