//! The connection that makes bytes of addresses.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};

use super::page_cache::{Look, look, warm};
use super::window::{Window, Windows};
use super::{Lane, WINDOW};
use crate::FileSourceError;

/// A TCP stream that sends parts of files when it is given their addresses to write.
///
/// Everything else passes as it is. After an error on the way of a file nothing is written any more, and closing the
/// stream resets the connection.
///
/// Wrappers around it have to pass `poll_write_vectored` and `is_write_vectored` on, and must not look into what is
/// written.
pub struct FileSocket {
    stream: TcpStream,
    /// `None` if the system gave no address space; then nobody can be given a lane.
    windows: Option<&'static Windows>,
    /// How much of a window the next call is made for.
    ahead: usize,
    /// Bytes of files sent since the socket or the pause last made us wait.
    burst: usize,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The wait for pages that the kernel forgot after the body had seen them.
    warming: Option<JoinHandle<Result<(), FileSourceError>>>,
    failed: bool,
}

/// Why a part of a file could not be sent. It ends the connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The file is no longer the one that was opened, or could not be read.
    File(FileSourceError),
    /// The file ended before the part that was to be sent.
    Truncated {
        /// Where it was to go on.
        at: u64,
    },
    /// The kernel did not send from this file.
    Send(io::Error),
    /// An address stands for nothing.
    Stray,
}

impl FileSocket {
    /// Wraps an accepted connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let windows = Windows::get();
        Self { stream, windows, ahead: WINDOW, burst: 0, pause: None, warming: None, failed: false }
    }

    /// The right to give this connection addresses; `None` if the system cannot.
    #[must_use]
    pub fn lane(&self) -> Option<Lane> {
        self.windows.map(|windows| Lane { windows })
    }

    /// The connection.
    #[must_use]
    pub fn get_ref(&self) -> &TcpStream {
        &self.stream
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.failed {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let empty = slices.iter().take_while(|slice| slice.is_empty()).count();
        let slices = &slices[empty..];
        let Some(windows) = self.windows else { return self.poll_send_plain(cx, slices, false) };
        match slices.iter().position(|slice| windows.covers(slice)) {
            Some(0) => match windows.find(&slices[0]) {
                Some((window, range)) => self.poll_send_file(cx, &window, range),
                None => self.fail(SendError::Stray),
            },
            Some(plain) => self.poll_send_plain(cx, &slices[..plain], true),
            None => self.poll_send_plain(cx, slices, false),
        }
    }

    /// Writes what is at hand, in one packet with what follows.
    fn poll_send_plain(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        more: bool,
    ) -> Poll<io::Result<usize>> {
        let flags = if more { SendFlags::NOSIGNAL | SendFlags::MORE } else { SendFlags::NOSIGNAL };
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            let send = || Ok(sendmsg(&self.stream, slices, &mut SendAncillaryBuffer::default(), flags)?);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Err(error) if is_passing(&error) => {}
                sent => return Poll::Ready(sent),
            }
        }
    }

    fn poll_send_file(
        &mut self,
        cx: &mut Context<'_>,
        window: &Arc<Window>,
        range: Range<usize>,
    ) -> Poll<io::Result<usize>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        let count = range.len().min(self.ahead);
        let mut warmed = false;
        loop {
            if let Some(warming) = &mut self.warming {
                let read = ready!(Pin::new(warming).poll(cx));
                self.warming = None;
                warmed = true;
                match read {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => return self.fail(SendError::File(error)),
                    Err(error) => {
                        return self.fail(SendError::File(FileSourceError::Io(io::Error::other(error))));
                    }
                }
            }
            let writable = self.stream.poll_write_ready(cx);
            if writable.is_pending() {
                self.burst = 0;
            }
            ready!(writable)?;
            let at = window.start + range.start as u64;
            if !warmed && look(&window.source, at..at + count as u64) != Look::Resident {
                let source = window.source.clone();
                self.warming = Some(spawn_blocking(move || warm(&source, at..at + count as u64)));
                continue;
            }
            // Nothing leaves once a change was seen.
            if let Err(error) = window.source.check() {
                return self.fail(SendError::File(error));
            }
            let mut position = at;
            let send =
                || Ok(rustix::fs::sendfile(&self.stream, window.source.file(), Some(&mut position), count)?);
            match self.stream.try_io(Interest::WRITABLE, send) {
                Ok(0) => return self.fail(SendError::Truncated { at }),
                Ok(sent) => {
                    // What just went into the socket may be of a change: the reset takes back what has not left.
                    if let Err(error) = window.source.check() {
                        return self.fail(SendError::File(error));
                    }
                    self.sent(sent);
                    return Poll::Ready(Ok(sent));
                }
                Err(error) if is_passing(&error) => {}
                // The other end is gone; or the file is of a kind that cannot be sent.
                Err(error) => return self.fail(SendError::Send(error)),
            }
        }
    }

    fn sent(&mut self, count: usize) {
        // A slow reader takes little at once. To look at more pages than it can take is wasted work.
        self.ahead = (2 * count).clamp(AHEAD, WINDOW);
        self.burst += count;
        if self.burst >= WINDOW {
            self.burst = 0;
            // A reader that keeps up never makes us wait, so others would: this waits for their turn, and for the
            // driver, which a mere wake-up would not.
            self.pause = Some(Box::pin(yield_now()));
        }
    }

    fn fail<T>(&mut self, error: SendError) -> Poll<io::Result<T>> {
        self.failed = true;
        // Fails only where the connection is gone already.
        self.stream.set_zero_linger().ok();
        let kind = match &error {
            SendError::Send(error) => error.kind(),
            _ => io::ErrorKind::InvalidData,
        };
        Poll::Ready(Err(io::Error::new(kind, error)))
    }
}

impl AsyncWrite for FileSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_send(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_send(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.failed {
            // A polite end would tell a reader without a length that this was all.
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncRead for FileSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl fmt::Debug for FileSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileSocket")
            .field("stream", &self.stream)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => f.write_str("cannot send a part of a file"),
            Self::Truncated { at } => write!(f, "file ended before byte {at}, which was to be sent"),
            Self::Send(_) => f.write_str("cannot send from the file"),
            Self::Stray => f.write_str("the address of a part of a file outlived it"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Truncated { .. } | Self::Stray => None,
        }
    }
}

/// Whether the same call may succeed later.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// The least of a window that is looked at and sent by one call.
const AHEAD: usize = 256 * 1024;
