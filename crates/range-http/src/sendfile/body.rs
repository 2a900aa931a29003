//! A response body of a file, by address where the connection can take it and copied where it cannot.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderMap, Method, Response};
use http_body::{Body, Frame, SizeHint};

use super::Piece;
use crate::{BodyError, BodyPlan, FileSource, Policy, RangeBody, Representation, plan};

#[cfg(target_os = "linux")]
use {
    super::page_cache::{Look, look, warm},
    super::window::{Windows, now},
    crate::FileSourceError,
    std::future::Future,
    std::task::ready,
    tokio::task::{JoinHandle, spawn_blocking},
};

/// The right to give a connection addresses of files. Its [`FileSocket`](super::FileSocket) gives it out; it is of no
/// use on any other connection, and to use it there ends that connection or the process.
#[derive(Clone, Copy)]
pub struct Lane {
    #[cfg(target_os = "linux")]
    pub(super) windows: &'static Windows,
    /// There are none elsewhere.
    #[cfg(not(target_os = "linux"))]
    _none: std::convert::Infallible,
}

/// As [`respond`](crate::respond()) for a file, over a connection that may have a `lane`.
///
/// The lane is taken if the representation is settled: if the file has been left alone long enough that its validators
/// are strong. A file that may still be written to is copied from.
pub fn respond(
    method: &Method,
    headers: &HeaderMap,
    representation: &Representation,
    policy: &Policy,
    source: FileSource,
    lane: Option<Lane>,
) -> Response<FileBody> {
    let (head, body) = plan(&(method, headers), representation, policy).into_response_parts();
    let lane = lane.filter(|_| representation.is_settled());
    Response::from_parts(head, FileBody::new(body, source, lane))
}

/// Streams a [`BodyPlan`] of a file.
///
/// The size hint is exact, and a short body never ends cleanly: as [`RangeBody`], which it is where there is no lane.
pub struct FileBody {
    /// What is still to be sent, and the body that copies it.
    rest: RangeBody<FileSource>,
    lane: Option<Lane>,
    /// The wait for a part of the file that was not in memory.
    #[cfg(target_os = "linux")]
    warming: Option<JoinHandle<Result<(), FileSourceError>>>,
}

impl FileBody {
    /// A body that sends `plan` of `source`, through the `lane` of its connection if that has one.
    #[must_use]
    pub fn new(plan: BodyPlan, source: FileSource, lane: Option<Lane>) -> Self {
        Self {
            rest: RangeBody::new(plan, source),
            lane,
            #[cfg(target_os = "linux")]
            warming: None,
        }
    }

    /// The next piece by address; `None` if what comes next has to be copied.
    #[cfg(target_os = "linux")]
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, BodyError>>> {
        let Some(lane) = self.lane else { return Poll::Ready(None) };
        let Some((source, range)) = self.rest.next_range() else { return Poll::Ready(None) };
        if range.len() <= COPIED {
            return Poll::Ready(None);
        }
        let (at, length) = (range.start(), range.len().min(super::WINDOW as u64));
        if self.warming.is_none() {
            match look(source, at..at + length) {
                Look::Resident => {}
                Look::Unknown => {
                    self.lane = None;
                    return Poll::Ready(None);
                }
                Look::Missing => {
                    let source = source.clone();
                    self.warming = Some(spawn_blocking(move || warm(&source, at..at + length)));
                }
            }
        }
        if let Some(warming) = &mut self.warming {
            let warmed = ready!(Pin::new(warming).poll(cx));
            self.warming = None;
            let warmed =
                warmed.unwrap_or_else(|error| Err(FileSourceError::Io(std::io::Error::other(error))));
            if let Err(error) = warmed {
                self.rest.abort();
                return Poll::Ready(Some(Err(BodyError::Source { at, source: error.into() })));
            }
        }
        let Some((source, _)) = self.rest.next_range() else { return Poll::Ready(None) };
        let Some(window) = lane.windows.open(source, at, length, now()) else {
            // Every window of the process is in use. Copying always works.
            self.lane = None;
            return Poll::Ready(None);
        };
        self.rest.pass(length);
        Poll::Ready(Some(Ok(Piece::of(window))))
    }
}

impl Body for FileBody {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        let this = self.get_mut();
        #[cfg(target_os = "linux")]
        if let Some(piece) = ready!(this.poll_window(cx)) {
            return Poll::Ready(Some(piece.map(Frame::data)));
        }
        Pin::new(&mut this.rest)
            .poll_frame(cx)
            .map(|frame| frame.map(|frame| frame.map(|frame| frame.map_data(Piece::from))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.rest.size_hint()
    }
}

/// Up to this many bytes are cheaper to copy: they go out with the head, by one call.
#[cfg(target_os = "linux")]
const COPIED: u64 = 8 * 1024;

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

impl fmt::Debug for FileBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileBody").field("rest", &self.rest).field("lane", &self.lane).finish_non_exhaustive()
    }
}
