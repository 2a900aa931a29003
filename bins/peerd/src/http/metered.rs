//! File bodies on their way out: held to the upload rate, and counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use range_http::sendfile::{Piece, Taken};
use retry_kit::{AcquireBytes, RateLimiter};

use super::body::size_with_held;
use super::events::ServeEvents;
use super::transfers::Transfer;

/// A body that lets its bytes go at the rate of a limiter, and reports them as the connection takes them.
pub(super) struct Metered<B> {
    inner: B,
    limiter: RateLimiter,
    tally: Arc<Tally>,
    /// Read and not let go yet.
    held: Piece,
    /// How many of the held bytes are asked for, and the wait for them.
    asked: Option<(usize, AcquireBytes)>,
}

/// One body on its way out, until its last piece was taken or thrown away.
struct Tally {
    sending: Transfer,
    events: Arc<dyn ServeEvents>,
}

impl<B> Metered<B> {
    pub(super) fn new(
        inner: B,
        sending: Transfer,
        limiter: RateLimiter,
        events: Arc<dyn ServeEvents>,
    ) -> Self {
        events.body_began();
        let tally = Arc::new(Tally { sending, events });
        Self { inner, limiter, tally, held: Piece::default(), asked: None }
    }

    /// Waits for the right to let the next piece of what is held go.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        let (bytes, wait) = self.asked.get_or_insert_with(|| {
            // Under a limit, small pieces keep the stream even; a large one would be a long silence and a
            // burst.
            let limited = self.limiter.rate().bytes_per_second().is_some();
            let held = self.held.remaining();
            let bytes = if limited { held.min(PIECE) } else { held };
            (bytes, self.limiter.acquire(bytes as u64))
        });
        ready!(Pin::new(wait).poll(cx));
        let bytes = *bytes;
        self.asked = None;
        Poll::Ready(self.held.split_to(bytes))
    }
}

impl<B: Body<Data = Piece> + Unpin> Body for Metered<B> {
    type Data = Piece;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, Self::Error>>> {
        loop {
            if self.held.has_remaining() {
                let piece = ready!(self.poll_piece(cx));
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(piece) => self.held = piece.telling(self.tally.clone()),
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                ended => return Poll::Ready(ended),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.held.has_remaining() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        size_with_held(&self.inner.size_hint(), self.held.remaining())
    }
}

impl Taken for Tally {
    fn taken(&self, bytes: usize) {
        self.events.sent(self.sending.share(), bytes as u64);
        self.sending.sent(bytes as u64);
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        self.events.body_ended();
    }
}

/// Bytes let go at once under a limit.
const PIECE: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};
    use retry_kit::TokioClock;
    use tokio::time::Instant;

    use super::super::transfers::Transfers;
    use super::super::transfers::tests::sending;
    use super::*;

    #[derive(Default)]
    struct Sent(AtomicU64);

    impl ServeEvents for Sent {
        fn sent(&self, _share: &str, bytes: u64) {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn metered(content: &[u8], rate: u64) -> (Metered<Full<Piece>>, Arc<Sent>) {
        let sent = Arc::new(Sent::default());
        let limiter = RateLimiter::new(Arc::new(TokioClock), NonZeroU64::new(rate).into());
        let body = Full::new(Bytes::copy_from_slice(content).into());
        let transfers = Transfers::new(Arc::new(TokioClock));
        let sending = transfers.begin(sending("s:1", 0..content.len() as u64));
        (Metered::new(body, sending, limiter, sent.clone()), sent)
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_go_at_the_rate_and_all_of_them_go() {
        let content: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let (body, sent) = metered(&content, 100_000);
        let start = Instant::now();
        let received = body.collect().await.expect("the body cannot fail").to_bytes();
        assert_eq!(received, content);
        assert_eq!(sent.0.load(Ordering::Relaxed), 1_000_000);
        let took = start.elapsed();
        assert!(
            (Duration::from_secs(8)..=Duration::from_secs(11)).contains(&took),
            "{took:?} of the test's clock"
        );
    }

    #[tokio::test]
    async fn without_a_limit_frames_pass_as_they_are() {
        let (mut body, sent) = metered(&[7; 100_000], 0);
        assert_eq!(body.size_hint().exact(), Some(100_000));
        let mut piece = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
        assert_eq!(piece.remaining(), 100_000);
        assert_eq!(sent.0.load(Ordering::Relaxed), 0, "nobody took a byte");
        piece.advance(60_000);
        assert_eq!(sent.0.load(Ordering::Relaxed), 60_000);
        drop(piece);
        assert_eq!(sent.0.load(Ordering::Relaxed), 60_000, "the rest was thrown away");
        assert!(body.is_end_stream());
    }

    #[tokio::test]
    async fn what_is_held_back_still_counts_as_to_come() {
        let (mut body, _) = metered(&[7; 100_000], 1 << 40);
        let first = body.frame().await.expect("a frame").expect("bytes").into_data().expect("data");
        assert_eq!(body.size_hint().exact(), Some(100_000 - first.remaining() as u64));
        assert!(!body.is_end_stream());
    }
}
