//! Who is woken, and what many threads do to it.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use retry_kit::{Acquire, Permit, Permits};

use crate::{permits, poll, taken};

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
