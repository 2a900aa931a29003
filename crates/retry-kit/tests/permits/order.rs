//! Who is next.

use std::task::Poll;

use retry_kit::{Acquire, Permits};

use crate::{permits, poll, taken, waiting};

#[test]
fn no_more_than_the_limit_run_at_once() {
    let permits = permits(2);
    let (one, two) = (taken(&mut permits.acquire(0)), taken(&mut permits.acquire(0)));
    assert_eq!((permits.in_use(), permits.limit(), permits.waiting()), (2, 2, 0));
    assert!(permits.try_acquire().is_none());
    let mut third = waiting(&permits, 0);
    assert_eq!(permits.waiting(), 1);
    drop(one);
    drop(taken(&mut third));
    drop(two);
    assert_eq!((permits.in_use(), permits.waiting()), (0, 0));
}

#[test]
fn the_default_is_three() {
    assert_eq!(Permits::default().limit(), 3);
}

#[test]
fn equals_are_served_in_the_order_they_came() {
    let permits = permits(1);
    let mut running = taken(&mut permits.acquire(0));
    let mut line: Vec<Acquire> = (0..20).map(|_| waiting(&permits, 0)).collect();
    for next in 0..line.len() {
        drop(running);
        assert!(line[next + 1..].iter_mut().all(|later| poll(later).is_pending()));
        running = taken(&mut line[next]);
    }
    drop(running);
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn higher_priorities_go_first_and_first_come_first_served_inside_one() {
    let permits = permits(1);
    let mut running = taken(&mut permits.acquire(i32::MIN));
    let priorities = [("b", 0), ("c", 5), ("d", i32::MAX), ("e", -5), ("f", 0), ("g", i32::MIN), ("h", 5)];
    let mut line = priorities.map(|(name, priority)| (name, waiting(&permits, priority)));
    let mut order = String::new();
    while order.len() < line.len() {
        drop(running);
        let (name, permit) = line
            .iter_mut()
            .filter(|(name, _)| !order.contains(name))
            .find_map(|(name, acquire)| match poll(acquire) {
                Poll::Ready(permit) => Some((*name, permit)),
                Poll::Pending => None,
            })
            .expect("one of them is next");
        order.push_str(name);
        running = permit;
    }
    assert_eq!(order, "dchbfeg");
}

#[test]
fn a_change_of_priority_keeps_the_time_of_arrival() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let (mut early, mut late) = (waiting(&permits, -5), waiting(&permits, 3));
    early.set_priority(3);
    drop(running);
    assert!(poll(&mut late).is_pending(), "same class now, and later");
    let running = taken(&mut early);

    late.set_priority(-1);
    let mut third = waiting(&permits, 0);
    drop(running);
    assert!(poll(&mut late).is_pending());
    late.set_priority(9);
    assert!(poll(&mut late).is_pending(), "a permit already given stays given");
    drop(taken(&mut third));
    drop(taken(&mut late));
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn a_priority_set_before_the_first_poll_counts() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let _equal = waiting(&permits, 0);
    let mut urgent = permits.acquire(-1);
    urgent.set_priority(1);
    assert!(poll(&mut urgent).is_pending());
    drop(running);
    drop(taken(&mut urgent));
}

#[test]
fn a_late_comer_never_overtakes() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let mut first = waiting(&permits, 0);
    drop(running);
    // The permit already belongs to the one in line, though nobody has polled it yet.
    assert_eq!((permits.in_use(), permits.waiting()), (1, 0));
    assert!(permits.try_acquire().is_none());
    assert!(poll(&mut permits.acquire(i32::MAX)).is_pending());
    drop(taken(&mut first));
    assert!(permits.try_acquire().is_some());
}
