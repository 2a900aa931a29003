//! Whether the reader of a stream goes on.
//!
//! The socket says nothing about one stream of many: a reader that stops gives it no more window, while other streams
//! go on. So a piece of a body is followed from the moment it is handed over until the socket has taken it. In between
//! lies the time the reader takes; time in which no piece is there, because the disk or a rate limit was slow, does
//! not count.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http_body::{Body, Frame, SizeHint};
use range_http::sendfile::Piece;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::http::activity::Activity;
use crate::http::body::size_with_held;

/// What of a stream waits for its reader, and since when. Clones are of the same stream.
#[derive(Clone, Debug)]
pub(super) struct Pace(Arc<watch::Sender<Waiting>>);

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Pieces that were handed over and not taken to their end.
    pieces: usize,
    /// When the first of them came, or a byte was taken last.
    since: Instant,
}

/// A body that keeps the pace of its stream.
pub(super) struct Paced<B> {
    inner: B,
    pace: Pace,
    /// Read and not handed over yet.
    held: Piece,
    /// The right to be there at the same time as others.
    _room: Option<OwnedSemaphorePermit>,
}

/// Bytes on their way to the socket.
#[derive(Debug)]
pub(super) struct Handed {
    bytes: Piece,
    pace: Pace,
}

tokio::task_local! {
    static STREAM: Pace;
}

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Waiting { pieces: 0, since: Instant::now() })))
    }
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
        Paced { inner: body, pace: self, held: Piece::default(), _room: None }
    }

    /// Resolves when nothing of the stream waits.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn taken(&self) {
        // The sender lives as long as this does.
        self.0.subscribe().wait_for(|waiting| waiting.pieces == 0).await.ok();
    }

    /// Resolves when the reader has taken nothing for `limit`; never for a limit of zero. While the socket of the
    /// `connection` is full, a stream is not blamed before the others have had their turn.
    ///
    /// # Cancel safety
    /// Safe.
    pub(super) async fn stalled(&self, limit: Duration, connection: &Activity) {
        if limit.is_zero() {
            return std::future::pending().await;
        }
        let mut seen = self.0.subscribe();
        // A wait that is over the limit, and what the socket had taken by then.
        let mut late = None;
        loop {
            let waiting = *seen.borrow_and_update();
            if waiting.pieces == 0 {
                seen.changed().await.ok();
                continue;
            }
            let until = waiting.since + limit;
            if until > Instant::now() {
                tokio::time::sleep_until(until).await;
                continue;
            }
            let (since, written) = *late.get_or_insert((waiting.since, connection.written()));
            if since != waiting.since {
                late = None;
            } else if !connection.socket_is_full() || connection.written() - written >= TURNS {
                return;
            } else {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        }
    }

    fn hand_over(&self, bytes: Piece) -> Handed {
        self.0.send_if_modified(|waiting| {
            let is_first = waiting.pieces == 0;
            waiting.pieces += 1;
            if is_first {
                waiting.since = Instant::now();
            }
            is_first
        });
        Handed { bytes, pace: self.clone() }
    }
}

impl Buf for Handed {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        self.bytes.chunks_vectored(slices)
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        // Nobody need be woken: who waits for the limit looks again when it is over.
        self.pace.0.send_if_modified(|waiting| {
            waiting.since = Instant::now();
            false
        });
    }
}

impl Drop for Handed {
    fn drop(&mut self) {
        self.pace.0.send_if_modified(|waiting| {
            waiting.pieces -= 1;
            waiting.pieces == 0
        });
    }
}

impl<B> Paced<B> {
    /// Takes up `room` until it is dropped.
    pub(super) fn within(self, room: Option<OwnedSemaphorePermit>) -> Self {
        Self { _room: room, ..self }
    }
}

impl<B: Body<Data = Piece> + Unpin> Paced<B> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Handed>, B::Error>>> {
        if !self.held.has_remaining() {
            match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => self.held = bytes,
                    Err(other) => {
                        return Poll::Ready(Some(Ok(other.map_data(|bytes| self.pace.hand_over(bytes)))));
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        // Small, so that streams take turns.
        let bytes = self.held.split_to(self.held.remaining().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(self.pace.hand_over(bytes)))))
    }
}

impl<B: Body<Data = Piece> + Unpin> Body for Paced<B> {
    type Data = Handed;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Handed>, Self::Error>>> {
        self.poll_piece(cx)
    }

    fn is_end_stream(&self) -> bool {
        !self.held.has_remaining() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        size_with_held(&self.inner.size_hint(), self.held.remaining())
    }
}

/// Bytes handed over at once: a frame as most clients take them (RFC 9113 §4.2).
const PIECE: usize = 16 * 1024;

/// What the socket takes while every stream that has window gets its turn, twice.
const TURNS: u64 = 2 * super::MAX_STREAMS as u64 * PIECE as u64;

const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn big() -> Full<Piece> {
        Full::new(Bytes::from(vec![7; 3 * PIECE + 1]).into())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_nobody_takes_any_further_stalls_after_the_limit() {
        let (pace, start) = (Pace::default(), Instant::now());
        let mut body = pace.clone().kept_by(big());
        assert_eq!(body.size_hint().exact(), Some(3 * PIECE as u64 + 1));
        let _nobody_takes = body.frame().await.unwrap().unwrap();
        pace.stalled(LIMIT, &Activity::new()).await;
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_goes_on_has_the_limit_for_every_piece() {
        let (pace, start) = (Pace::default(), Instant::now());
        let mut body = pace.clone().kept_by(big());
        let reading = async {
            let mut sizes = Vec::new();
            while let Some(frame) = body.frame().await {
                let mut piece = frame.unwrap().into_data().unwrap();
                sizes.push(piece.remaining());
                while piece.has_remaining() {
                    tokio::time::sleep(LIMIT - Duration::from_secs(1)).await;
                    piece.advance(piece.remaining().div_ceil(2));
                }
            }
            sizes
        };
        let socket = Activity::new();
        let sizes = tokio::select! {
            sizes = reading => sizes,
            () = pace.stalled(LIMIT, &socket) => panic!("a stall after {:?}", start.elapsed()),
        };
        assert_eq!(sizes, [PIECE, PIECE, PIECE, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_the_body_is_no_stall() {
        let (feed, bytes) = mpsc::channel::<Result<Frame<Piece>, std::io::Error>>(1);
        let stream = futures_util::stream::unfold(bytes, |mut bytes| async {
            bytes.recv().await.map(|frame| (frame, bytes))
        });
        let pace = Pace::default();
        let mut body = pace.clone().kept_by(StreamBody::new(Box::pin(stream)));
        let socket = Activity::new();
        let slow = async {
            tokio::time::sleep(10 * LIMIT).await;
            feed.send(Ok(Frame::data(Bytes::from_static(b"late").into()))).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            frame = body.frame() => assert_eq!(frame.unwrap().unwrap().into_data().unwrap().chunk(), b"late"),
            () = slow => {}
            () = pace.stalled(LIMIT, &socket) => panic!("nobody waited for the reader"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_is_for_ever() {
        let pace = Pace::default();
        let _piece = pace.hand_over(Bytes::from_static(b"for nobody").into());
        let year = Duration::from_secs(365 * 86_400);
        assert!(tokio::time::timeout(year, pace.stalled(Duration::ZERO, &Activity::new())).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_its_turn_on_a_full_socket_is_ended_only_after_others_had_theirs() {
        let (pace, start, socket) = (Pace::default(), Instant::now(), Activity::new());
        let _piece = pace.hand_over(Bytes::from_static(b"later").into());
        socket.socket_waits(true);
        let stalled = tokio::spawn({
            let (pace, socket) = (pace.clone(), socket.clone());
            async move { pace.stalled(LIMIT, &socket).await }
        });
        tokio::time::sleep(3 * LIMIT).await;
        assert!(!stalled.is_finished(), "the socket is full");
        socket.socket_took(TURNS as usize);
        stalled.await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 180);
    }
}
