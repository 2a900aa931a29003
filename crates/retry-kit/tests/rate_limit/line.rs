//! Those who wait: what a change or a cancellation does, and who is woken.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use retry_kit::{AcquireBytes, Clock, Layers, ManualClock, Rate};

use crate::{KIB, MIB, SECOND, drained, limiter, poll, rate, waiting};

#[test]
fn a_new_rate_reaches_those_who_already_wait() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let start = clock.now();
    let speed_up = async {
        clock.sleep(SECOND).await;
        limiter.set_rate(rate(MIB));
    };
    clock.run(async { tokio::join!(limiter.acquire(1280 * KIB), speed_up) });
    assert_eq!(clock.now() - start, 2 * SECOND, "256 KiB in the first second, 1024 KiB in the next");

    let limiter = drained(&clock);
    let start = clock.now();
    let lift = async {
        clock.sleep(SECOND).await;
        limiter.set_rate(Rate::unlimited());
    };
    clock.run(async { tokio::join!(limiter.acquire(u64::MAX), limiter.acquire(u64::MAX), lift) });
    assert_eq!(clock.now() - start, SECOND, "the whole line moves");

    let limiter = drained(&clock);
    let start = clock.now();
    let slow_down = async {
        clock.sleep(SECOND).await;
        limiter.set_rate(rate(128 * KIB));
    };
    clock.run(async { tokio::join!(limiter.acquire(512 * KIB), slow_down) });
    assert_eq!(clock.now() - start, 3 * SECOND, "256 KiB in the first second, 128 KiB in each of two more");
}

#[test]
fn whoever_leaves_the_line_returns_what_was_saved() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let first = waiting(&limiter, MIB);
    let mut second = waiting(&limiter, 32 * KIB);
    assert_eq!(limiter.waiting(), 2);
    clock.advance(SECOND / 8);
    assert!(poll(&mut second).is_pending(), "it is not its turn");
    drop(first);
    assert!(poll(&mut second).is_ready(), "an eighth of a second is worth 32 KiB");
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
}

#[test]
fn a_saved_share_comes_back_when_its_owner_leaves() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let mut first = waiting(&limiter, MIB);
    clock.advance(SECOND / 8);
    assert!(poll(&mut first).is_pending(), "it now holds 32 KiB");
    assert!(poll(&mut limiter.acquire(32 * KIB)).is_pending());
    drop(first);
    assert!(poll(&mut limiter.acquire(32 * KIB)).is_ready());
    assert!(poll(&mut limiter.acquire(1)).is_pending());
}

#[test]
fn a_read_larger_than_a_burst_looks_again_every_half_burst() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let _acquire = waiting(&limiter, 10 * MIB);
    assert_eq!(clock.next_deadline(), Some(clock.now() + SECOND / 8), "32 of 64 KiB at 256 KiB/s");
}

#[test]
fn exactly_the_first_in_line_is_woken_when_its_prospects_change() {
    let clock = ManualClock::new();
    let limiter = drained(&clock);
    let bells = [(); 3].map(|()| Arc::new(Bell::default()));
    let [mut first, mut second, mut third] =
        bells.each_ref().map(|bell| (limiter.acquire(64 * KIB), Waker::from(Arc::clone(bell))));
    let look = |(acquire, waker): &mut (AcquireBytes, Waker)| {
        Pin::new(acquire).poll(&mut Context::from_waker(waker)).is_ready()
    };
    let rings = || bells.each_ref().map(|bell| bell.0.load(Ordering::Relaxed));
    assert!(!look(&mut first) && !look(&mut second) && !look(&mut third));

    limiter.set_rate(rate(128 * KIB));
    assert_eq!(rings(), [1, 0, 0], "a new rate");
    assert!(!look(&mut first));
    assert_eq!((clock.waiters(), clock.next_deadline()), (1, Some(clock.now() + SECOND / 4)), "a new plan");
    clock.advance(SECOND / 2);
    assert_eq!(rings(), [2, 0, 0], "its own timer");
    assert!(look(&mut first));
    assert_eq!(rings(), [2, 1, 0], "served, so the next is first");
    assert!(!look(&mut second));
    drop(second);
    assert_eq!(rings(), [2, 1, 1], "gone, so the next is first");
}

#[test]
fn a_refund_wakes_the_first_in_line() {
    let clock = ManualClock::new();
    let (everything, peer) = (drained(&clock), limiter(&clock, 256 * KIB));
    let layers = Layers::new([everything, peer.clone()]);
    let bell = Arc::new(Bell::default());
    let mut next = peer.acquire(64 * KIB);
    {
        let mut blocked = pin!(layers.acquire(64 * KIB));
        assert!(blocked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let waker = Waker::from(Arc::clone(&bell));
        assert!(Pin::new(&mut next).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert_eq!(bell.0.load(Ordering::Relaxed), 1);
    assert!(poll(&mut next).is_ready());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_threads() {
    let clock = ManualClock::new();
    let limiter = limiter(&clock, MIB);
    let tasks: Vec<_> = (0..8_u64)
        .map(|seed| {
            let limiter = limiter.clone();
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..200 {
                    let mut acquire = limiter.acquire(rng.u64(1..=64 * KIB));
                    if rng.u8(..3) == 0 {
                        // Gives up after one look.
                        poll_fn(|context| Poll::Ready(Pin::new(&mut acquire).poll(context).is_ready())).await;
                    } else {
                        acquire.await;
                    }
                }
            })
        })
        .collect();
    let mut rates = [rate(MIB), Rate::unlimited(), rate(64 * KIB)].into_iter().cycle();
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        clock.advance(SECOND / 8);
        limiter.set_rate(rates.next().expect("endless"));
        tokio::task::yield_now().await;
    }
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}
