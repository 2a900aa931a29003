//! Permits: who runs, who waits, and that none is ever lost.

mod changes;
mod order;
mod waking;

use std::future::Future;
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use retry_kit::{Acquire, Permits};

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
