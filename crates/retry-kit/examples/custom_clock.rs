//! No runtime at all: a clock of threads, an executor of one function, and two workers that share a limit.
//!
//! `cargo run -p retry-kit --example custom_clock`

use std::future::Future;
use std::num::{NonZeroU64, NonZeroUsize};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Instant, SystemTime};

use retry_kit::{Clock, Permits, Rate, RateLimiter, Sleep};

fn main() {
    let permits = Permits::new(NonZeroUsize::MIN);
    let limit = Rate::per_second(NonZeroU64::new(1 << 20).expect("not zero"));
    let limiter = RateLimiter::new(Arc::new(ThreadClock), limit);
    let start = ThreadClock.now();
    thread::scope(|scope| {
        for (worker, priority) in [("one", 0), ("two", 5)] {
            let (permits, limiter) = (&permits, &limiter);
            scope.spawn(move || {
                block_on(async {
                    let _permit = permits.acquire(priority).await;
                    for _ in 0..3 {
                        limiter.acquire(128 << 10).await;
                        println!(
                            "{:>4} ms  worker {worker}: 128 KiB",
                            (ThreadClock.now() - start).as_millis()
                        );
                    }
                });
            });
        }
    });
}

/// Every sleep is a thread. Simple, and good enough for a handful of them.
struct ThreadClock;

impl Clock for ThreadClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    fn wall(&self) -> SystemTime {
        SystemTime::now()
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        Box::pin(ThreadSleep { deadline, waker: None })
    }
}

struct ThreadSleep {
    deadline: Instant,
    /// Shared with the sleeping thread, which wakes whoever polled last.
    waker: Option<Arc<Mutex<Waker>>>,
}

impl Future for ThreadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // Under the lock of the waker: the thread takes it after its sleep, so it cannot wake a waker of yesterday.
        if let Some(waker) = &self.waker {
            waker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(context.waker());
        }
        let left = self.deadline.saturating_duration_since(ThreadClock.now());
        if left.is_zero() {
            return Poll::Ready(());
        }
        if self.waker.is_none() {
            let waker = Arc::new(Mutex::new(context.waker().clone()));
            self.waker = Some(Arc::clone(&waker));
            thread::spawn(move || {
                thread::sleep(left);
                waker.lock().unwrap_or_else(PoisonError::into_inner).wake_by_ref();
            });
        }
        Poll::Pending
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}
