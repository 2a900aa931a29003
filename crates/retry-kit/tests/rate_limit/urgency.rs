//! Who goes ahead of whom, and what is left for the others.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

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
    let [now, _, in_turn] = shares(&[Urgency::Now, Urgency::Now, Urgency::InTurn, Urgency::InTurn]);
    assert!((0.08..0.12).contains(&in_turn), "{in_turn} beside {now}");
}

#[test]
fn nine_tenths_are_left_for_what_is_needed_now_however_many_are_in_line_behind() {
    for soon in [1, 3, 6, 9] {
        for in_turn in [0, 1, 2] {
            let mut line = vec![Urgency::Now];
            line.extend([Urgency::Soon].repeat(soon));
            line.extend([Urgency::InTurn].repeat(in_turn));
            let [now, others @ ..] = shares(&line);
            let because = format!("{others:?} for {soon} soon and {in_turn} in turn");
            assert!((0.88..0.92).contains(&now), "{now} beside {because}");
            assert!(in_turn == 0 || others[1] > 0.0, "each has its turn: {because}");
        }
    }
}

/// Whoever has what it asked for asks again after some work of its own, when somebody else may be first in line.
#[test]
fn the_line_moves_on_whoever_comes_and_goes() {
    for pause in [SECOND / 1000, SECOND / 100, SECOND / 20] {
        for (now, soon, in_turn) in [(1, 1, 1), (1, 1, 2), (2, 3, 2), (1, 9, 2), (3, 1, 1)] {
            let line =
                [[Urgency::Now].repeat(now), [Urgency::Soon].repeat(soon), [Urgency::InTurn].repeat(in_turn)];
            let (shares, moved) = taken(&line.concat(), pause);
            let because = format!("{now}, {soon} and {in_turn} with {pause:?} between: {shares:?}");
            assert!(moved >= 18 * SECOND.as_secs() * 256 * KIB, "{moved} bytes for {because}");
            assert!(shares.iter().all(|share| *share > 0.0), "{because}");
        }
    }
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

fn shares(line: &[Urgency]) -> [f64; 3] {
    taken(line, Duration::ZERO).0
}

/// Has everybody ask for 16 KiB again and again for 20 seconds; the part each class gets, and what all get together.
fn taken(line: &[Urgency], pause: Duration) -> ([f64; 3], u64) {
    let clock = retry_kit::ManualClock::new();
    let limiter = drained(&clock);
    let bytes = RefCell::new([0_u64; 3]);
    let start = clock.now();
    let mut futures: Vec<Pin<Box<dyn Future<Output = ()> + '_>>> = Vec::new();
    for &urgency in line {
        let (limiter, bytes, clock) = (&limiter, &bytes, &clock);
        futures.push(Box::pin(async move {
            loop {
                limiter.acquire_as(16 * KIB, urgency).await;
                if clock.now().duration_since(start) > 20 * SECOND {
                    break;
                }
                bytes.borrow_mut()[urgency as usize] += 16 * KIB;
                clock.sleep(pause).await;
            }
        }));
    }
    clock.run(all(futures));
    assert_eq!((limiter.waiting(), clock.waiters()), (0, 0));
    let bytes = bytes.into_inner();
    let moved = bytes.iter().sum::<u64>();
    (bytes.map(|bytes| bytes as f64 / moved as f64), moved)
}
