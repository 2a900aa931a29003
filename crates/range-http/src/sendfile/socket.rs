//! The connection that makes bytes of addresses.

use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};

use super::page_cache::{Look, look, warm};
use super::queue::Queue;
use super::window::{Window, Windows, now};
use super::{Lane, SendError, WINDOW};
use crate::{FileSource, FileSourceError};

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
    /// How much may wait unsent in the kernel, where that is for us to say.
    queue: Option<Queue>,
    /// Whether the kernel refused to send from a file of this connection.
    refused: bool,
    failed: bool,
}

impl FileSocket {
    /// Wraps an accepted connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        let windows = Windows::get();
        Self {
            stream,
            windows,
            ahead: WINDOW,
            burst: 0,
            pause: None,
            warming: None,
            queue: None,
            refused: false,
            failed: false,
        }
    }

    /// Keeps the queue in the kernel short (`TCP_NOTSENT_LOWAT`): about what the reader takes in 20 ms, from 256 KiB to
    /// 4 MiB. So a reader that stops is noticed when it does, and one that is fast is not waited for. What is in flight
    /// does not count.
    #[must_use]
    pub fn with_short_queue(mut self) -> Self {
        let queue = Queue::new();
        self.queue = set_unsent(&self.stream, queue.length()).then_some(queue);
        self
    }

    /// The right to give this connection addresses; `None` if the system cannot.
    #[must_use]
    pub fn lane(&self) -> Option<Lane> {
        self.windows.map(|windows| Lane { windows })
    }

    /// Whether the last write that had to wait waits for the reader, and not for a disk or for its turn.
    #[must_use]
    pub fn waits_for_reader(&self) -> bool {
        self.warming.is_none() && self.pause.is_none()
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
                if let Some(queue) = &mut self.queue {
                    queue.note_full();
                }
            }
            ready!(writable)?;
            let at = window.start + range.start as u64;
            if !warmed
                && window.age(now()) >= REMEMBERED
                && look(&window.source, at..at + count as u64) != Look::Resident
            {
                let source = window.source.clone();
                self.warming = Some(spawn_blocking(move || warm(&source, at..at + count as u64)));
                continue;
            }
            // Nothing leaves once a change was seen.
            if let Err(error) = window.source.check() {
                return self.fail(SendError::File(error));
            }
            let sent = if self.refused {
                self.try_copy(&window.source, at, count)
            } else {
                self.try_sendfile(&window.source, at, count)
            };
            match sent {
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
                Err(error) if is_refusal(&error) && !self.refused => self.refused = true,
                Err(error) => return self.fail(SendError::Send(error)),
            }
        }
    }

    fn try_sendfile(&self, source: &FileSource, at: u64, count: usize) -> io::Result<usize> {
        let mut position = at;
        let send = || Ok(sendfile(&self.stream, source.file(), Some(&mut position), count)?);
        self.stream.try_io(Interest::WRITABLE, send)
    }

    /// The same by way of a buffer, for file systems and sandboxes that do not let the kernel do it.
    fn try_copy(&self, source: &FileSource, at: u64, count: usize) -> io::Result<usize> {
        let mut buffer = vec![0; count.min(COPIED)];
        let count = source.file().read_at(&mut buffer, at)?;
        if count == 0 {
            return Ok(0);
        }
        let bytes = [IoSlice::new(&buffer[..count])];
        let send =
            || Ok(sendmsg(&self.stream, &bytes, &mut SendAncillaryBuffer::default(), SendFlags::NOSIGNAL)?);
        self.stream.try_io(Interest::WRITABLE, send)
    }

    fn sent(&mut self, count: usize) {
        // A slow reader takes little at once. To look at more pages than it can take is wasted work.
        self.ahead = (2 * count).clamp(AHEAD, WINDOW);
        self.burst += count;
        if let Some(length) = self.queue.as_mut().and_then(|queue| queue.took(count, now())) {
            // Where it cannot be said any more, the connection is gone.
            set_unsent(&self.stream, length);
        }
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

/// Says how much may wait unsent in the kernel; whether that could be said.
fn set_unsent(stream: &TcpStream, bytes: u32) -> bool {
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(bytes).is_ok()
}

/// Whether the same call may succeed later.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Whether it is sending from this file that cannot be, rather than sending.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

/// How long the kernel surely keeps what was just asked for.
const REMEMBERED: Duration = Duration::from_secs(1);

/// The least of a window that is looked at and sent by one call.
const AHEAD: usize = 256 * 1024;

/// The most that is copied at once where the kernel refuses.
const COPIED: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use bytes::Buf;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::Piece;
    use std::time::Instant;

    use super::*;

    const LEN: u64 = 300_000;

    fn content() -> Vec<u8> {
        (0..LEN).map(|place| (place * 31 + place / 251) as u8).collect()
    }

    fn source() -> FileSource {
        let mut file = tempfile::tempfile().expect("a file");
        io::Write::write_all(&mut file, &content()).expect("written");
        file.sync_all().expect("on disk");
        FileSource::new(file).expect("a regular file")
    }

    async fn pair() -> (FileSocket, TcpStream) {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let far = TcpStream::connect(address).await.expect("a connection");
        (FileSocket::new(listener.accept().await.expect("a connection").0), far)
    }

    /// Sends all but five bytes at either end, and says what came.
    async fn sent(
        mut socket: FileSocket,
        mut far: TcpStream,
        source: FileSource,
        seen_at: Instant,
    ) -> Vec<u8> {
        let windows = socket.windows.expect("address space");
        let sending = tokio::spawn(async move {
            let mut piece = Piece::of(windows.open(&source, 5, LEN - 10, seen_at).expect("a window"));
            while piece.has_remaining() {
                let sent = socket.write(piece.chunk()).await.expect("sent");
                piece.advance(sent);
            }
        });
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.expect("everything");
        sending.await.expect("sent");
        received
    }

    #[tokio::test]
    async fn where_the_kernel_refuses_the_bytes_are_copied() {
        let (mut socket, far) = pair().await;
        socket.refused = true;
        let received = sent(socket, far, source(), now()).await;
        assert!(received == content()[5..content().len() - 5]);
    }

    #[tokio::test]
    async fn what_was_forgotten_while_it_waited_is_read_again_before_it_is_sent() {
        let (socket, far) = pair().await;
        let source = source();
        rustix::fs::fadvise(source.file(), 0, None, rustix::fs::Advice::DontNeed).expect("advice");
        let long_ago = now().checked_sub(Duration::from_secs(60)).expect("the machine is older");
        let received = sent(socket, far, source, long_ago).await;
        assert!(received == content()[5..content().len() - 5]);
    }

    #[test]
    fn refusals_are_of_the_file_and_nothing_else() {
        assert!(is_refusal(&Errno::INVAL.into()) && is_refusal(&Errno::PERM.into()));
        assert!(!is_refusal(&Errno::CONNRESET.into()) && !is_refusal(&Errno::IO.into()));
        assert!(!is_refusal(&io::Error::other("anything")));
    }
}
