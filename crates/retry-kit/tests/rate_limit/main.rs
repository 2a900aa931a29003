//! The limiter: how many bytes by when, in which order, and what a change or a cancellation does.

mod amount;
mod layers;
mod line;
mod urgency;

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use retry_kit::{AcquireBytes, ManualClock, Rate, RateLimiter};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const SECOND: Duration = Duration::from_secs(1);

fn rate(bytes: u64) -> Rate {
    Rate::from(NonZeroU64::new(bytes))
}

fn limiter(clock: &ManualClock, bytes: u64) -> RateLimiter {
    RateLimiter::new(Arc::new(clock.clone()), rate(bytes))
}

/// At 256 KiB/s, its burst of 64 KiB already spent.
fn drained(clock: &ManualClock) -> RateLimiter {
    let limiter = limiter(clock, 256 * KIB);
    assert!(poll(&mut limiter.acquire(64 * KIB)).is_ready());
    limiter
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn waiting(limiter: &RateLimiter, bytes: u64) -> AcquireBytes {
    let mut acquire = limiter.acquire(bytes);
    assert!(poll(&mut acquire).is_pending());
    acquire
}

/// Each is polled when it is woken, and only then: a wake-up that is lost shows.
async fn all(futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    futures.into_iter().collect::<FuturesUnordered<_>>().collect::<()>().await;
}
