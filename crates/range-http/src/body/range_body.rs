//! A response body that is exactly what was planned, or an error.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Source;
use crate::{BodyPlan, ByteRange, Segment};

/// Streams a [`BodyPlan`] from a [`Source`].
///
/// The size hint is exact. If the source ends early or fails, so does the body: the server then closes an HTTP/1
/// connection and resets an HTTP/2 stream, and the client knows that bytes are missing. A short body never ends
/// cleanly.
///
/// At most one piece has been read ahead while another is being sent, so memory is bounded by two reads of the source.
/// Dropping the body drops the read under way.
pub struct RangeBody<S: Source> {
    plan: BodyPlan,
    /// `None` where the plan has no bytes to ask for.
    source: Option<Arc<S>>,
    /// Which segment of the plan comes next.
    place: usize,
    /// What is still to be read of the segment under way.
    left: Option<ByteRange>,
    read: Read<S::Error>,
    /// Bytes not yet handed out.
    remaining: u64,
}

type ReadFuture<E> = Pin<Box<dyn Future<Output = Result<Bytes, E>> + Send>>;

enum Read<E> {
    Idle,
    Pending(ReadFuture<E>),
    Ready(Result<Bytes, E>),
}

impl<S: Source> RangeBody<S> {
    /// A body that reads `plan` from `source`.
    pub fn new(plan: BodyPlan, source: S) -> Self {
        let remaining = plan.len();
        // A body that never reads, of a HEAD or a 304, lets go of its file at once.
        let source = (remaining > 0).then(|| Arc::new(source));
        Self { plan, source, place: 0, left: None, read: Read::Idle, remaining }
    }

    /// A body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self { plan: BodyPlan::empty(), source: None, place: 0, left: None, read: Read::Idle, remaining: 0 }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, BodyError>> {
        loop {
            let Some(left) = self.left else {
                match self.plan.segment(self.place) {
                    Some(Segment::Bytes(text)) => {
                        let text = Bytes::copy_from_slice(text);
                        self.place += 1;
                        return Poll::Ready(Ok(text));
                    }
                    Some(Segment::Source(range)) => self.left = Some(range),
                    // Unreachable while bytes remain; an error is the honest answer even so.
                    None => {
                        return Poll::Ready(Err(BodyError::UnexpectedEnd { at: 0, missing: self.remaining }));
                    }
                }
                self.place += 1;
                continue;
            };
            self.start_read(left, cx);
            let bytes = match std::mem::replace(&mut self.read, Read::Idle) {
                Read::Ready(result) => {
                    result.map_err(|error| BodyError::Source { at: left.start(), source: error.into() })?
                }
                pending => {
                    self.read = pending;
                    return Poll::Pending;
                }
            };
            let length = bytes.len() as u64;
            if length == 0 {
                return Poll::Ready(Err(BodyError::UnexpectedEnd { at: left.start(), missing: left.len() }));
            }
            if length > left.len() {
                return Poll::Ready(Err(BodyError::TooMuch { at: left.start(), asked: left.len() }));
            }
            self.left = ByteRange::new(left.start() + length, left.end());
            // Read on while these bytes are being sent.
            if let Some(left) = self.left {
                self.start_read(left, cx);
            }
            return Poll::Ready(Ok(bytes));
        }
    }

    /// Starts the next read unless one is under way or done, and drives it as far as it goes.
    fn start_read(&mut self, left: ByteRange, cx: &mut Context<'_>) {
        if let (Read::Idle, Some(source)) = (&self.read, &self.source) {
            let source = Arc::clone(source);
            self.read =
                Read::Pending(Box::pin(async move { source.read_at(left.start(), left.len()).await }));
        }
        if let Read::Pending(future) = &mut self.read {
            if let Poll::Ready(result) = future.as_mut().poll(cx) {
                self.read = Read::Ready(result);
            }
        }
    }
}

/// For a body that hands out ranges of the source without reading them.
#[cfg(all(feature = "sendfile", target_os = "linux"))]
impl<S: Source> RangeBody<S> {
    /// The source and which range of it comes next; `None` if that is text, the end, or a range being read.
    pub(crate) fn next_range(&mut self) -> Option<(&S, ByteRange)> {
        if !matches!(self.read, Read::Idle) || self.remaining == 0 {
            return None;
        }
        if self.left.is_none() {
            let Some(Segment::Source(range)) = self.plan.segment(self.place) else { return None };
            self.left = Some(range);
            self.place += 1;
        }
        self.source.as_deref().zip(self.left)
    }

    /// Notes that the first `length` bytes of the next range went out another way.
    pub(crate) fn pass(&mut self, length: u64) {
        self.left = self.left.and_then(|left| ByteRange::new(left.start() + length, left.end()));
        self.remaining = self.remaining.saturating_sub(length);
    }

    /// Ends the body before its end.
    pub(crate) fn abort(&mut self) {
        self.remaining = 0;
    }
}

impl<S: Source> Body for RangeBody<S> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        this.poll_data(cx).map(|data| match data {
            Ok(bytes) => {
                this.remaining = this.remaining.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            Err(error) => {
                // An error is the end; asked again the body must not repeat it or go on.
                this.remaining = 0;
                this.read = Read::Idle;
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// Nothing in it is pinned: the future is boxed.
impl<S: Source> Unpin for RangeBody<S> {}

impl<S: Source> fmt::Debug for RangeBody<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeBody").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

/// Why a body ended before its length. Positions count bytes of the representation.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The source failed, or noticed that the representation changed.
    Source {
        /// Where it was to read.
        at: u64,
        /// What it said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The source ended inside a range: the representation shrank.
    UnexpectedEnd {
        /// Where it ended.
        at: u64,
        /// How many bytes of the range are missing.
        missing: u64,
    },
    /// The source returned more than it was asked for.
    TooMuch {
        /// Where it read.
        at: u64,
        /// How many bytes it was asked for.
        asked: u64,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source { at, .. } => write!(f, "cannot read the representation at byte {at}"),
            Self::UnexpectedEnd { at, missing } => {
                write!(f, "representation ended at byte {at}, {missing} bytes before the end of its range")
            }
            Self::TooMuch { at, asked } => {
                write!(f, "source returned more than the {asked} bytes asked for at byte {at}")
            }
        }
    }
}

impl Error for BodyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Source { source, .. } => Some(&**source),
            Self::UnexpectedEnd { .. } | Self::TooMuch { .. } => None,
        }
    }
}
