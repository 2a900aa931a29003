//! Ends connections whose reader has stopped.
//!
//! A stall is time in which the socket took nothing although bytes were waiting for it. Time in which nothing
//! waited, because the disk or a rate limit was slow, does not count.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::activity::Activity;

/// A stream that fails a write with `TimedOut` once it has waited for `limit` without any progress.
#[derive(Debug)]
pub(super) struct StallGuard<S> {
    inner: S,
    limit: Duration,
    waiting: bool,
    timer: Pin<Box<Sleep>>,
    /// Who else wants to know.
    activity: Option<Activity>,
}

/// How a stream lets go of a reader that stopped.
pub(super) trait Abandon {
    /// Makes closing drop what was not sent.
    fn abandon(&self);

    /// Whether a write that waits does so for the reader, and not for something of ours.
    fn waits_for_reader(&self) -> bool {
        true
    }

    /// Makes the next write wait until the system has sent all before it, where it can tell.
    fn drain(&self) {}
}

impl Abandon for TcpStream {
    /// A reset instead of a polite end: the bytes waiting in the kernel are for nobody.
    fn abandon(&self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "cannot drop unsent bytes of a stalled reader"
            );
        }
    }

    #[cfg(target_os = "linux")]
    fn drain(&self) {
        if let Err(error) = socket2::SockRef::from(self).set_tcp_notsent_lowat(1) {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot tell when a socket is drained");
        }
    }
}

#[cfg(target_os = "linux")]
impl Abandon for range_http::sendfile::FileSocket {
    fn abandon(&self) {
        self.get_ref().abandon();
    }

    fn waits_for_reader(&self) -> bool {
        Self::waits_for_reader(self)
    }
}

impl<S> StallGuard<S> {
    /// Guards `inner`; a limit of zero never ends it.
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(Instant::now()));
        Self { inner, limit, waiting: false, timer, activity: None }
    }

    /// Tells from now on whether bytes wait for the socket.
    pub(super) fn tells(&mut self, activity: Activity) {
        self.activity = Some(activity);
    }
}

impl<S: Abandon> StallGuard<S> {
    /// Notes the outcome of a write and turns a wait that lasted too long into an error.
    fn judge<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if let Some(activity) = &self.activity {
            activity.socket_waits(written.is_pending());
        }
        if written.is_ready() || self.limit.is_zero() || !self.inner.waits_for_reader() {
            self.waiting = false;
            return written;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.timer.as_mut().poll(cx));
        self.inner.abandon();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reader has stopped")))
    }

    fn took(&self, written: &Poll<io::Result<usize>>) {
        if let (Some(activity), Poll::Ready(Ok(bytes))) = (&self.activity, written) {
            activity.socket_took(*bytes);
        }
    }

    fn drain_if_asked(&self) {
        if self.activity.as_ref().is_some_and(Activity::take_drain) {
            self.inner.drain();
        }
    }
}

impl<S: AsyncWrite + Abandon + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.drain_if_asked();
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.took(&written);
        self.judge(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.drain_if_asked();
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, bytes);
        self.took(&written);
        self.judge(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.judge(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.judge(shut, cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    impl Abandon for DuplexStream {
        fn abandon(&self) {}
    }

    /// A stream whose writes wait for a disk of ours.
    struct Busy(DuplexStream);

    impl Abandon for Busy {
        fn abandon(&self) {}

        fn waits_for_reader(&self) -> bool {
            false
        }
    }

    impl AsyncWrite for Busy {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.0).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.0).poll_shutdown(cx)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_of_ours_that_is_slow_is_not_blamed_on_the_reader() {
        let (server, _client) = duplex(16);
        let mut server = StallGuard::new(Busy(server), LIMIT);
        let writing = tokio::time::timeout(10 * LIMIT, server.write_all(&[0; 17])).await;
        assert!(writing.is_err(), "still waiting, and nobody was dropped");
    }

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_stops_ends_the_connection_after_the_limit() {
        let (server, _client) = duplex(16);
        let (mut server, start) = (StallGuard::new(server, LIMIT), Instant::now());
        let error = server.write_all(&[0; 17]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_that_goes_on_is_served_to_the_end() {
        let (server, mut client) = duplex(16);
        let mut server = StallGuard::new(server, LIMIT);
        let reading = tokio::spawn(async move {
            for _ in 0..10 {
                tokio::time::advance(Duration::from_secs(59)).await;
                client.read_exact(&mut [0; 16]).await.expect("bytes");
            }
            client
        });
        server.write_all(&[0; 160]).await.expect("each wait is below the limit");
        reading.await.expect("the reader");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_our_own_is_no_stall() {
        let (server, mut client) = duplex(16);
        let mut server = StallGuard::new(server, LIMIT);
        server.write_all(&[0; 16]).await.expect("room for these");
        tokio::time::advance(10 * LIMIT).await;
        client.read_exact(&mut [0; 16]).await.expect("bytes");
        server.write_all(&[0; 16]).await.expect("nothing was waiting meanwhile");
    }
}
