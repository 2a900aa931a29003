//! A permit or a place is given up, the limit changes, the queue ends.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use retry_kit::{Acquire, Closed, Permit};

use crate::{permits, poll, taken, waiting};

#[test]
fn a_place_given_up_is_no_place() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let (first, mut second) = (waiting(&permits, 0), waiting(&permits, 0));
    drop(first);
    assert_eq!(permits.waiting(), 1);
    drop(running);
    drop(taken(&mut second));
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn a_permit_given_to_somebody_who_left_goes_to_the_next() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let (first, mut second) = (waiting(&permits, 0), waiting(&permits, 0));
    drop(running);
    drop(first);
    drop(taken(&mut second));
    assert_eq!(permits.in_use(), 0);

    let running = taken(&mut permits.acquire(0));
    let only = waiting(&permits, 0);
    drop(running);
    drop(only);
    assert_eq!(permits.in_use(), 0, "with nobody next it is free");
}

#[test]
fn an_acquire_that_was_never_polled_costs_nothing() {
    let permits = permits(1);
    let unpolled = permits.acquire(0);
    assert_eq!((permits.in_use(), permits.waiting()), (0, 0));
    drop(unpolled);
    assert!(permits.try_acquire().is_some());
}

#[test]
fn a_panic_returns_the_permit() {
    let permits = permits(1);
    let mut next = None;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _running = taken(&mut permits.acquire(0));
        next = Some(waiting(&permits, 0));
        resume_unwind(Box::new("the work failed"));
    }));
    assert!(outcome.is_err());
    drop(taken(&mut next.expect("somebody waits")));
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn growing_serves_those_who_wait_at_once() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let mut line: Vec<Acquire> = (0..4).map(|_| waiting(&permits, 0)).collect();
    permits.resize(NonZeroUsize::new(3).expect("not zero"));
    assert_eq!((permits.in_use(), permits.waiting()), (3, 2));
    let served: Vec<Permit> = line[..2].iter_mut().map(taken).collect();
    assert!(line[2..].iter_mut().all(|later| poll(later).is_pending()));
    drop((running, served, line));
    assert_eq!((permits.in_use(), permits.waiting()), (0, 0));
}

#[test]
fn shrinking_interrupts_nobody_and_takes_effect_as_permits_come_back() {
    let permits = permits(3);
    let mut running: Vec<Permit> = (0..3).map(|_| taken(&mut permits.acquire(0))).collect();
    let mut next = waiting(&permits, 0);
    permits.resize(NonZeroUsize::MIN);
    assert_eq!(permits.in_use(), 3);
    for left in [2, 1] {
        running.pop();
        assert_eq!(permits.in_use(), left);
        assert!(poll(&mut next).is_pending());
    }
    running.pop();
    let last = taken(&mut next);
    assert_eq!(permits.in_use(), 1);
    assert!(permits.try_acquire().is_none());
    drop(last);
    assert_eq!(permits.in_use(), 0);
}

#[test]
fn after_the_end_queued_work_never_runs() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let mut queued = waiting(&permits, 0);
    let mut told = waiting(&permits, 0).or_closed();
    permits.close();
    assert!(permits.is_closed());
    drop(running);
    assert!(poll(&mut queued).is_pending());
    assert!(poll(&mut permits.acquire(0)).is_pending());
    assert!(permits.try_acquire().is_none());
    assert_eq!(taken(&mut told).expect_err("closed"), Closed);
    assert_eq!(taken(&mut permits.acquire(0).or_closed()).expect_err("closed"), Closed);
    permits.resize(NonZeroUsize::new(9).expect("not zero"));
    assert!(poll(&mut queued).is_pending());
    assert_eq!((permits.in_use(), permits.waiting()), (0, 0));
}

#[test]
fn a_permit_given_before_the_end_is_kept() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let mut granted = waiting(&permits, 0).or_closed();
    drop(running);
    permits.close();
    let permit = taken(&mut granted).expect("it was given in time");
    assert_eq!(permits.in_use(), 1);
    drop(permit);
    assert_eq!(permits.in_use(), 0);
}
