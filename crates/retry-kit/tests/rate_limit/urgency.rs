//! Who goes ahead of whom, and what is left for the others.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;

use retry_kit::{Clock, Layers, Urgency};

use crate::{KIB, MIB, SECOND, all, drained, limiter, poll, waiting};

#[test]
fn the_more_urgent_goes_first_and_among_equals_whoever_came_first() {
    let clock = retry_kit::ManualClock::new();
    let limiter = drained(&clock);
    let order = RefCell::new(Vec::new());
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for (name, urgency) in [
        ("a", Urgency::InTurn),
        ("b", Urgency::Soon),
        ("c", Urgency::Now),
        ("d", Urgency::InTurn),
        ("e", Urgency::Now),
        ("f", Urgency::Soon),
    ] {
        let (limiter, order) = (&limiter, &order);
        futures.push(Box::pin(async move {
            limiter.acquire_as(16 * KIB, urgency).await;
            order.borrow_mut().push(name);
        }));
    }
    clock.run(all(futures));
    assert_eq!(order.into_inner(), ["c", "e", "b", "f", "a", "d"]);
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
}

#[test]
fn whoever_is_urgent_does_not_wait_for_what_somebody_else_saves_up() {
    let clock = retry_kit::ManualClock::new();
    let limiter = drained(&clock);
    let mut long = waiting(&limiter, 10 * MIB);
    clock.advance(SECOND / 8);
    assert!(poll(&mut long).is_pending(), "it holds 32 KiB by now");
    let mut urgent = limiter.acquire_as(16 * KIB, Urgency::Now);
    assert!(poll(&mut urgent).is_pending());
    clock.advance(SECOND / 16);
    assert!(poll(&mut long).is_pending(), "it is not its turn");
    assert!(poll(&mut urgent).is_ready(), "a sixteenth of a second is worth 16 KiB");
    clock.run(long);
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
}

#[test]
fn a_tenth_is_left_for_the_others_however_much_is_urgent() {
    let clock = retry_kit::ManualClock::new();
    let limiter = drained(&clock);
    let bytes = RefCell::new([0_u64; 2]);
    let start = clock.now();
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for (n, urgency) in [Urgency::Now, Urgency::Now, Urgency::InTurn, Urgency::InTurn].into_iter().enumerate()
    {
        let (limiter, bytes, clock) = (&limiter, &bytes, &clock);
        futures.push(Box::pin(async move {
            while clock.now().duration_since(start) < 10 * SECOND {
                limiter.acquire_as(16 * KIB, urgency).await;
                bytes.borrow_mut()[n / 2] += 16 * KIB;
            }
        }));
    }
    clock.run(all(futures));
    let [urgent, others] = bytes.into_inner();
    let share = others as f64 / (urgent + others) as f64;
    assert!((0.08..0.12).contains(&share), "{others} of {}", urgent + others);
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
}

#[test]
fn urgency_counts_at_every_limit_above_one_another() {
    let clock = retry_kit::ManualClock::new();
    let (everything, one, other) = (drained(&clock), limiter(&clock, MIB), limiter(&clock, MIB));
    let (first, second) = (Layers::new([everything.clone(), one]), Layers::new([everything, other]));
    let start = clock.now();
    let finished = RefCell::new(Vec::new());
    let ordinary = async {
        first.acquire(256 * KIB).await;
        finished.borrow_mut().push("ordinary");
    };
    let urgent = async {
        clock.sleep(SECOND / 4).await;
        second.acquire_as(32 * KIB, Urgency::Now).await;
        finished.borrow_mut().push("urgent");
        clock.now() - start
    };
    let ((), took) = clock.run(async { tokio::join!(ordinary, urgent) });
    assert_eq!(finished.into_inner(), ["urgent", "ordinary"]);
    assert!(took <= SECOND / 2, "{took:?}");
}
