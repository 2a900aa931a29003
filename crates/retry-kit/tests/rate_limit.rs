//! The limiter: how many bytes by when, in which order, and what a change or a cancellation does.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use retry_kit::{AcquireBytes, Clock, Layers, ManualClock, Permits, Rate, RateLimiter};

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

async fn all(mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>>) {
    poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

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

#[test]
fn layers_together_are_as_slow_as_the_slowest() {
    let clock = ManualClock::new();
    let (everything, peer, download) =
        (limiter(&clock, 8 * MIB), limiter(&clock, 256 * KIB), limiter(&clock, MIB));
    let layers = Layers::new([everything, peer]).with(download);
    assert_eq!(layers.rate(), rate(256 * KIB));
    let start = clock.now();
    clock.run(async {
        for _ in 0..17 {
            layers.acquire(64 * KIB).await;
        }
    });
    assert_eq!(clock.now() - start, 4 * SECOND, "one burst and 16 times 64 KiB");
}

#[test]
fn two_peers_share_what_is_above_them_both() {
    let clock = ManualClock::new();
    let everything = limiter(&clock, 256 * KIB);
    let peers = [(); 2].map(|()| Layers::new([everything.clone(), limiter(&clock, MIB)]));
    let start = clock.now();
    let read = async |layers: &Layers| {
        for _ in 0..16 {
            layers.acquire(16 * KIB).await;
        }
    };
    clock.run(async { tokio::join!(read(&peers[0]), read(&peers[1])) });
    assert_eq!(clock.now() - start, SECOND * 7 / 4, "512 KiB less a burst of 64 KiB at 256 KiB/s");
}

#[test]
fn a_download_that_waits_for_its_own_limit_sits_on_nobody_elses_bytes() {
    let clock = ManualClock::new();
    let everything = limiter(&clock, 256 * KIB);
    let slow = Layers::new([everything.clone(), limiter(&clock, 1)]);
    let mut context = Context::from_waker(Waker::noop());
    let mut blocked = pin!(slow.acquire(65 * KIB));
    assert!(blocked.as_mut().poll(&mut context).is_pending());
    assert!(poll(&mut everything.acquire(64 * KIB)).is_ready());
}

#[test]
fn cancelled_half_way_every_layer_gets_its_bytes_back() {
    let clock = ManualClock::new();
    let (everything, peer, download) = (drained(&clock), limiter(&clock, MIB), limiter(&clock, MIB));
    let layers: Layers = [everything.clone(), peer.clone(), download.clone()].into_iter().collect();
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut blocked = pin!(layers.acquire(256 * KIB));
        assert!(blocked.as_mut().poll(&mut context).is_pending());
        assert!(poll(&mut peer.acquire(1)).is_pending(), "granted here, waiting above");
    }
    assert_eq!(everything.waiting(), 0);
    for layer in [peer, download] {
        assert!(poll(&mut layer.acquire(256 * KIB)).is_ready());
    }
}

#[test]
fn no_layers_are_no_limit() {
    let clock = ManualClock::new();
    clock.run(Layers::default().acquire(u64::MAX));
    assert_eq!(Layers::default().rate(), Rate::unlimited());
    assert_eq!(clock.waiters(), 0);
}

#[test]
fn everything_can_be_sent_and_shared() {
    fn check<T: Send + Sync + 'static>() {}
    fn sent<T: Send + 'static>(_: &T) {}
    check::<RateLimiter>();
    check::<Layers>();
    check::<Permits>();
    let clock = ManualClock::new();
    sent(&limiter(&clock, 1).acquire(1));
    let layers = Layers::default();
    sent(&async move { layers.acquire(1).await });
}
