//! A transport that counts what it carries.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use resume_fetch::{BodyStream, BoxFuture, ReqwestTransport, Transport, TransportError};

/// Carries requests over another transport, and counts. Clones count together.
#[derive(Clone)]
pub(crate) struct Meter {
    inner: Arc<ReqwestTransport>,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Requests sent, with bodies that are still being read.
    pub(crate) open: usize,
    /// The most there were.
    pub(crate) most: usize,
    /// Body bytes handed over and asked on behind: everything that had to wait for a rate limit has.
    pub(crate) passed: u64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        let inner = ReqwestTransport::new(std::time::Duration::from_secs(10)).unwrap();
        Self { inner: Arc::new(inner), counts: Arc::default() }
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.lock().unwrap()
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap());
    }
}

impl Transport for Meter {
    fn get(
        &self,
        request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        self.count(|counts| {
            counts.open += 1;
            counts.most = counts.most.max(counts.open);
        });
        let transfer = Transfer { meter: self.clone(), in_hand: 0 };
        Box::pin(async move {
            let answer = self.inner.get(request).await?;
            Ok(answer.map(|body| -> BodyStream { Box::pin(Metered { body, transfer }) }))
        })
    }
}

/// One request until its body is let go of.
struct Transfer {
    meter: Meter,
    in_hand: u64,
}

impl Transfer {
    fn pass(&mut self) {
        let passed = std::mem::take(&mut self.in_hand);
        self.meter.count(|counts| counts.passed += passed);
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        self.pass();
        self.meter.count(|counts| counts.open -= 1);
    }
}

struct Metered {
    body: BodyStream,
    transfer: Transfer,
}

impl Stream for Metered {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.transfer.pass();
        let frame = ready!(self.body.as_mut().poll_next(context));
        if let Some(Ok(bytes)) = &frame {
            self.transfer.in_hand = bytes.len() as u64;
        }
        Poll::Ready(frame)
    }
}
