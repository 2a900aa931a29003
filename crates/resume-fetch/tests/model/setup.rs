//! What differs from seed to seed: the file, the request, and how rough it gets.

use std::num::NonZeroU64;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use resume_fetch::{Connections, FetchRequest, LowSpeed, RangeSet, Wanted};
use retry_kit::{Layers, Rate, RateLimiter, RetryPolicy};

use crate::source::LARGEST;

/// One run's plan.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) size: u64,
    pub(crate) connections: Connections,
    pub(crate) wanted: Wanted,
    checkpoint: u64,
    attempts: u32,
    hold: Duration,
    low_speed: bool,
    /// Events before the peer comes to its senses.
    pub(crate) events: usize,
    /// Of a hundred calls to the ledger so many fail, and so many take their time.
    pub(crate) ledger: (u32, u32),
    /// Downloads are stopped, killed and cut off from power.
    pub(crate) rough: bool,
    /// The file changes.
    pub(crate) changes: bool,
}

impl Setup {
    pub(crate) fn any(rng: &mut fastrand::Rng) -> Self {
        let size = any_size(rng);
        let limit = rng.usize(1..=8);
        let wanted = match rng.u8(0..6) {
            0 | 1 => Wanted::OnDemand,
            2 => Wanted::Ranges((0..rng.u8(1..4)).map(|_| any_range(size, rng)).collect::<RangeSet>()),
            _ => Wanted::Whole,
        };
        Self {
            size,
            connections: if rng.bool() { Connections::adaptive(limit) } else { Connections::fixed(limit) },
            wanted,
            checkpoint: [64 << 10, 1 << 20, 16 << 20, 0][rng.usize(0..4)],
            attempts: rng.u32(2..7),
            hold: [Duration::MAX, Duration::from_secs(5)][rng.usize(0..2)],
            low_speed: rng.bool(),
            events: rng.usize(10..120),
            ledger: ([0, 0, 0, 5][rng.usize(0..4)], [0, 0, 30][rng.usize(0..3)]),
            rough: rng.bool(),
            changes: rng.u8(0..3) == 0,
        }
    }

    pub(crate) fn request(&self, target: &Path, limiter: &RateLimiter) -> FetchRequest {
        let policy = RetryPolicy::builder().max_attempts(self.attempts).build().expect("a policy");
        let slow = LowSpeed { floor: 1024, window: Duration::from_secs(30) };
        FetchRequest::new("http://peer.example/file", target)
            .expect("a URL")
            .connections(self.connections)
            .want(self.wanted.clone())
            .checkpoint(self.checkpoint, Duration::from_secs(2))
            .retry(policy)
            .hold_at_most(self.hold)
            .low_speed(self.low_speed.then_some(slow))
            .limits(Layers::new([limiter.clone()]))
    }
}

/// Sizes at which something changes in the engine, and all between them.
pub(crate) fn any_size(rng: &mut fastrand::Rng) -> u64 {
    match rng.u8(0..10) {
        0 => rng.u64(0..3),
        1 => rng.u64(0..64 << 10),
        2 => rng.u64(0..1 << 20),
        3 => [1 << 20, (1 << 20) - 1, 4 << 20, (4 << 20) + 1][rng.usize(0..4)],
        4..=6 => rng.u64(1 << 20..4 << 20),
        _ => rng.u64(4 << 20..LARGEST),
    }
}

/// Some bytes of a file of `size` bytes, or past its end, or all of them.
pub(crate) fn any_range(size: u64, rng: &mut fastrand::Rng) -> Range<u64> {
    let start = match rng.u8(0..4) {
        0 => 0,
        1 => size.saturating_sub(rng.u64(0..100_000)),
        _ => rng.u64(0..=size + size / 16),
    };
    match rng.u8(0..5) {
        0 => start..u64::MAX,
        1 => start..start + rng.u64(0..100),
        _ => start..start + rng.u64(0..=size / 2),
    }
}

/// Some rate, or none.
pub(crate) fn any_rate(rng: &mut fastrand::Rng) -> Rate {
    match rng.u8(0..3) {
        0 => Rate::unlimited(),
        _ => Rate::from(NonZeroU64::new(64 << rng.u32(10..19))),
    }
}
