//! How many bytes by when, and in which order.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use retry_kit::{Clock, ManualClock, Rate, RateLimiter};

use crate::{KIB, MIB, SECOND, all, drained, limiter, poll, waiting};

#[test]
fn one_burst_is_free_and_the_rest_comes_at_the_rate() {
    let clock = ManualClock::new();
    let limiter = limiter(&clock, 256 * KIB);
    let start = clock.now();
    clock.run(limiter.acquire(64 * KIB));
    assert_eq!(clock.now(), start);
    clock.run(limiter.acquire(64 * KIB));
    assert_eq!(clock.now() - start, SECOND / 4);
    clock.run(limiter.acquire(1));
    assert_eq!(clock.now() - start, SECOND / 4 + Duration::from_nanos(3815), "1 s / 262144, rounded up");
}

#[test]
fn more_than_a_burst_is_saved_up() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let start = clock.now();
    clock.run(limiter.acquire(10 * MIB));
    assert_eq!(clock.now() - start, 40 * SECOND);
}

#[test]
fn after_idle_time_there_is_one_burst_and_no_more() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    clock.advance(3600 * SECOND);
    let start = clock.now();
    clock.run(limiter.acquire(128 * KIB));
    assert_eq!(clock.now() - start, SECOND / 4);
}

#[test]
fn without_a_limit_nobody_waits_and_nobody_sleeps() {
    let clock = ManualClock::new();
    let limiter = RateLimiter::new(Arc::new(clock.clone()), Rate::unlimited());
    for _ in 0..3 {
        assert!(poll(&mut limiter.acquire(u64::MAX)).is_ready());
    }
    assert_eq!((limiter.rate(), limiter.waiting()), (Rate::unlimited(), 0));
}

#[test]
fn zero_bytes_never_wait() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let _first = waiting(&limiter, MIB);
    assert!(poll(&mut limiter.acquire(0)).is_ready());
}

#[test]
fn bytes_are_granted_in_the_order_they_were_asked_for() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let order = RefCell::new(Vec::new());
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for (name, bytes) in [("large", MIB), ("small", 1), ("medium", 64 * KIB), ("tiny", 1)] {
        let (limiter, order) = (&limiter, &order);
        futures.push(Box::pin(async move {
            limiter.acquire(bytes).await;
            order.borrow_mut().push(name);
        }));
    }
    clock.run(all(futures));
    assert_eq!(order.into_inner(), ["large", "small", "medium", "tiny"]);
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
}

#[test]
fn many_readers_together_never_exceed_rate_times_time_plus_burst() {
    let mut rng = fastrand::Rng::with_seed(31);
    for _ in 0..20 {
        let limit = rng.u64(1000..20 * MIB);
        let clock = ManualClock::new();
        let limiter = limiter(&clock, limit);
        let burst = (limit / 4).max(64 * KIB);
        let start = clock.now();
        let granted: Rc<RefCell<Vec<(Instant, u64)>>> = Rc::default();
        let readers = (0..8).map(|_| {
            let (limiter, clock, granted) = (limiter.clone(), clock.clone(), Rc::clone(&granted));
            let mut rng = rng.fork();
            let read = async move {
                for _ in 0..40 {
                    let bytes = rng.u64(1..=64 * KIB);
                    limiter.acquire(bytes).await;
                    granted.borrow_mut().push((clock.now(), bytes));
                    if rng.u8(..4) == 0 {
                        clock.sleep(Duration::from_micros(rng.u64(..200_000))).await;
                    }
                }
            };
            Box::pin(read) as Pin<Box<dyn Future<Output = ()>>>
        });
        let readers = readers.collect();
        clock.run(all(readers));
        let mut total = 0_u128;
        for (at, bytes) in granted.borrow().iter() {
            total += u128::from(*bytes);
            let allowed = u128::from(limit) * (*at - start).as_nanos() + u128::from(burst) * 1_000_000_000;
            assert!(total * 1_000_000_000 <= allowed, "{limit} B/s: {total} bytes after {:?}", *at - start);
        }
    }
}

#[test]
fn a_coarse_timer_costs_no_throughput() {
    let clock = ManualClock::new();
    let limiter = limiter(&clock, 8 * MIB);
    let mut total = 0;
    let mut acquire = limiter.acquire(64 * KIB);
    // A timer that fires up to 15 ms late, for ten seconds.
    for _ in 0..=666 {
        while poll(&mut acquire).is_ready() {
            total += 64 * KIB;
            acquire = limiter.acquire(64 * KIB);
        }
        clock.advance(Duration::from_millis(15));
    }
    let (burst, earned) = (2 * MIB, 8 * MIB * 666 * 15 / 1000);
    assert!(total <= burst + earned && total + 64 * KIB >= burst + earned, "{total} of {}", burst + earned);
}

#[test]
fn a_coarse_timer_costs_no_throughput_for_reads_larger_than_a_burst_either() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let mut acquire = waiting(&limiter, 10 * MIB);
    // 40 s at 256 KiB/s, looked at every 100 ms: less than the half burst of 125 ms that is left as slack.
    for _ in 0..399 {
        clock.advance(SECOND / 10);
        assert!(poll(&mut acquire).is_pending());
    }
    clock.advance(SECOND / 10);
    assert!(poll(&mut acquire).is_ready());
}
