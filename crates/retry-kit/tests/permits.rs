//! Permits: who runs, who waits, and that none is ever lost.

use std::future::{Future, poll_fn};
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use retry_kit::{Acquire, Closed, Permit, Permits};

fn permits(limit: usize) -> Permits {
    Permits::new(NonZeroUsize::new(limit).expect("not zero"))
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn taken<F: Future + Unpin>(future: &mut F) -> F::Output {
    match poll(future) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("still waiting"),
    }
}

/// Somebody who stands in line.
fn waiting(permits: &Permits, priority: i32) -> Acquire {
    let mut acquire = permits.acquire(priority);
    assert!(poll(&mut acquire).is_pending());
    acquire
}

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

#[test]
fn the_end_wakes_whoever_asked_to_be_told() {
    let permits = permits(1);
    let _running = taken(&mut permits.acquire(0));
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut told = permits.acquire(0).or_closed();
    assert!(Pin::new(&mut told).poll(&mut Context::from_waker(&waker)).is_pending());
    permits.close();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[test]
fn the_one_who_is_next_is_woken_and_nobody_else() {
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let counts = [(); 3].map(|()| Arc::new(Count::default()));
    let mut line: Vec<Acquire> = counts.iter().map(|_| permits.acquire(0)).collect();
    for (acquire, count) in line.iter_mut().zip(&counts) {
        let waker = Waker::from(Arc::clone(count));
        assert!(Pin::new(acquire).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(running);
    assert_eq!(counts.map(|count| count.0.load(Ordering::Relaxed)), [1, 0, 0]);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_waker_may_own_a_permit_of_the_same_queue() {
    struct Owner {
        _permit: Permit,
    }
    impl Wake for Owner {
        fn wake(self: Arc<Self>) {}
    }
    let permits = permits(1);
    let running = taken(&mut permits.acquire(0));
    let mut acquire = permits.acquire(0);
    let owner = Waker::from(Arc::new(Owner { _permit: running }));
    assert!(Pin::new(&mut acquire).poll(&mut Context::from_waker(&owner)).is_pending());
    drop(owner);
    // Replacing the waker drops its last handle, and with it the permit: with the queue locked this would never end.
    assert!(poll(&mut acquire).is_pending());
    drop(taken(&mut acquire));
    assert_eq!(permits.in_use(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_many_threads_lose_no_permit() {
    const LIMIT: usize = 3;
    let permits = permits(LIMIT);
    let running = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..16_u64)
        .map(|seed| {
            let (permits, running) = (permits.clone(), Arc::clone(&running));
            tokio::spawn(async move {
                let mut rng = fastrand::Rng::with_seed(seed);
                for _ in 0..300 {
                    let mut acquire = permits.acquire(rng.i32(-2..=2));
                    if rng.u8(..3) == 0 {
                        // Gives up after one look, or a little later.
                        let _ = poll_fn(|context| Poll::Ready(Pin::new(&mut acquire).poll(context))).await;
                        tokio::task::yield_now().await;
                        continue;
                    }
                    let _permit = acquire.await;
                    assert!(running.fetch_add(1, Ordering::SeqCst) < LIMIT, "more than {LIMIT} at once");
                    tokio::task::yield_now().await;
                    running.fetch_sub(1, Ordering::SeqCst);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no task panics");
    }
    assert_eq!((permits.in_use(), permits.waiting()), (0, 0));
    let all: Vec<Permit> = (0..LIMIT).filter_map(|_| permits.try_acquire()).collect();
    assert_eq!(all.len(), LIMIT);
}

#[test]
fn everything_can_be_sent_and_shared() {
    fn check<T: Send + Sync + Unpin + 'static>() {}
    check::<Permits>();
    check::<Permit>();
    check::<Acquire>();
}
