//! Whether the reader of a stream goes on.
//!
//! The socket says nothing about one stream of many: a reader that stops gives it no more window, while other streams
//! go on. So a body notes when it has handed a piece over, and when it is asked for the next. In between lies the time
//! the reader takes; time in which the body itself had nothing, because the disk or a rate limit was slow, does not
//! count.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// Since when the reader of a stream is waited for. Clones are of the same stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace(Arc<Mutex<Option<Instant>>>);

/// A body that keeps the pace of its stream.
pub(super) struct Paced<B> {
    inner: B,
    pace: Pace,
    /// Read and not handed over yet.
    held: Bytes,
}

tokio::task_local! {
    static STREAM: Pace;
}

impl Pace {
    /// Runs a stream with this as its pace.
    pub(super) fn scope<F: Future>(self, stream: F) -> impl Future<Output = F::Output> {
        STREAM.scope(self, stream)
    }

    /// The pace of the stream that runs here; one nobody looks at outside of any.
    pub(super) fn of_this_stream() -> Self {
        STREAM.try_with(Self::clone).unwrap_or_default()
    }

    /// A body that keeps it.
    pub(super) fn kept_by<B>(self, body: B) -> Paced<B> {
        Paced { inner: body, pace: self, held: Bytes::new() }
    }

    /// Resolves when the reader has taken nothing for `limit`; never for a limit of zero.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn stalled(&self, limit: Duration) {
        if limit.is_zero() {
            return std::future::pending().await;
        }
        loop {
            let now = Instant::now();
            let until = self.waiting_since().unwrap_or(now) + limit;
            if until <= now {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    fn waiting_since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, waiting_since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waiting_since;
    }
}

impl<B: Body<Data = Bytes> + Unpin> Paced<B> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.held.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.held = bytes,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        // Small, so that a slow reader is seen to go on.
        let piece = self.held.split_to(self.held.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Paced<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = self.poll_piece(cx);
        self.pace.note(polled.is_ready().then(Instant::now));
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (inner, held) = (self.inner.size_hint(), self.held.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

/// Bytes handed over at once: a frame as most clients take them (RFC 9113 §4.2).
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn big() -> Full<Bytes> {
        Full::new(Bytes::from(vec![7; 3 * PIECE + 1]))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_nobody_asks_any_further_stalls_after_the_limit() {
        let (pace, start) = (Pace::default(), Instant::now());
        let mut body = pace.clone().kept_by(big());
        assert_eq!(body.size_hint().exact(), Some(3 * PIECE as u64 + 1));
        body.frame().await.unwrap().unwrap();
        pace.stalled(LIMIT).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_goes_on_has_the_limit_for_every_piece() {
        let (pace, start) = (Pace::default(), Instant::now());
        let mut body = pace.clone().kept_by(big());
        let reading = async {
            let mut sizes = Vec::new();
            while let Some(frame) = body.frame().await {
                sizes.push(frame.unwrap().into_data().unwrap().len());
                tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
            }
            sizes
        };
        let sizes = tokio::select! {
            sizes = reading => sizes,
            () = pace.stalled(LIMIT) => panic!("a stall after {:?}", start.elapsed()),
        };
        assert_eq!(sizes, [PIECE, PIECE, PIECE, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_body_is_no_stall() {
        let (feed, bytes) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
        let stream = futures_util::stream::unfold(bytes, |mut bytes| async {
            bytes.recv().await.map(|frame| (frame, bytes))
        });
        let pace = Pace::default();
        let mut body = pace.clone().kept_by(StreamBody::new(Box::pin(stream)));
        let slow = async {
            tokio::time::sleep(10 * LIMIT).await;
            feed.send(Ok(Frame::data(Bytes::from_static(b"late")))).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            frame = body.frame() => assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "late"),
            () = slow => {}
            () = pace.stalled(LIMIT) => panic!("nobody waited for the reader"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_for_ever() {
        let pace = Pace::default();
        pace.note(Some(Instant::now()));
        let year = Duration::from_secs(365 * 86_400);
        assert!(tokio::time::timeout(year, pace.stalled(Duration::ZERO)).await.is_err());
    }
}
