//! What deciding costs: `cargo bench -p retry-kit --bench decisions --features test-util`.
//!
//! A decision is taken once for each failure, a rate is asked once for each read: at 64 KiB a read and 10 Gbit/s that is
//! every 50 µs, in which everything else has to happen too.

use std::future::Future;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use divan::Bencher;
use retry_kit::{Attempts, ManualClock, Rate, RateLimiter, RetryPolicy, retry_after};

fn main() {
    divan::main();
}

/// What to do about a failure, with and without a wish of the peer.
#[divan::bench(args = [None, Some(120)])]
fn decide(bencher: Bencher<'_, '_>, hint: Option<u64>) {
    let policy = RetryPolicy::builder().max_attempts(u32::MAX).build().expect("the defaults are valid");
    let mut rng = fastrand::Rng::with_seed(1);
    let hint = hint.map(Duration::from_secs);
    bencher
        .with_inputs(Attempts::default)
        .bench_local_refs(|attempts| policy.after_failure(attempts, black_box(hint), &mut rng));
}

/// The forms of Retry-After (RFC 9110 §10.2.3), and a value that is none.
#[divan::bench(args = [
    "120",
    "Fri, 31 Dec 2066 23:59:59 GMT",
    "Friday, 31-Dec-66 23:59:59 GMT",
    "Fri Dec 31 23:59:59 2066",
    "as soon as you can",
])]
fn read_retry_after(bencher: Bencher<'_, '_>, value: &str) {
    let date: Option<&[u8]> = Some(b"Fri, 31 Dec 2066 23:00:00 GMT");
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    bencher.bench(|| retry_after([black_box(value)], black_box(date), now));
}

/// A turn of 64 KiB that is there at once.
#[divan::bench(args = ["unlimited", "limited"])]
fn take_from_a_rate(bencher: Bencher<'_, '_>, what: &str) {
    let rate = match what {
        "unlimited" => Rate::unlimited(),
        _ => Rate::per_second(NonZeroU64::MAX),
    };
    let limiter = RateLimiter::new(Arc::new(ManualClock::new()), rate);
    bencher.bench_local(|| {
        let turn = pin!(limiter.acquire(black_box(64 * 1024)));
        matches!(turn.poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(_))
    });
}

/// Coming and going while others wait: what a place in a long line costs.
#[divan::bench(args = [0, 100, 10_000])]
fn join_and_leave_a_line_of(bencher: Bencher<'_, '_>, others: usize) {
    let slow = Rate::per_second(NonZeroU64::MIN);
    let limiter = RateLimiter::new(Arc::new(ManualClock::new()), slow);
    let mut waiting: Vec<_> = (0..=others).map(|_| Box::pin(limiter.acquire(64 * 1024))).collect();
    let mut context = Context::from_waker(Waker::noop());
    for turn in &mut waiting {
        let _ = turn.as_mut().poll(&mut context);
    }
    bencher.bench_local(|| {
        let turn = pin!(limiter.acquire(black_box(64 * 1024)));
        turn.poll(&mut Context::from_waker(Waker::noop())).is_pending()
    });
}
