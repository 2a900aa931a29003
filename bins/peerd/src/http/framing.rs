//! Ends connections on which two readers could disagree about where a request ends (RFC 9112 §6.3, §11.2).
//!
//! The parser behind this one settles ambiguous lengths by rules of its own: Transfer-Encoding wins over
//! Content-Length, equal lengths count once. Whatever stands in front of us may have settled them otherwise,
//! and would then take a part of a body for the next request. So the guard follows the bytes of the requests,
//! and a head with more than one length ends the connection before it is answered.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream whose reads fail with `InvalidData` at a request of ambiguous length.
#[derive(Debug)]
pub(super) struct FramingGuard<S> {
    inner: S,
    watch: Watch,
}

impl<S> FramingGuard<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner, watch: Watch::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for FramingGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        match self.watch.take(&buffer.filled()[before..]) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(Ambiguous) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a request has more than one length",
            ))),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for FramingGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Ambiguous;

/// Follows requests from head to body to the next head.
#[derive(Debug)]
enum Watch {
    Head(Head),
    Body {
        left: u64,
    },
    /// Past a head whose body has no plain length: the parser refuses it, or the connection is not used
    /// again.
    Off,
}

/// What was seen of the head that is arriving.
#[derive(Debug, Default)]
struct Head {
    /// The start of the current line, long enough for the two fields that matter.
    line: Vec<u8>,
    started: bool,
    lengths: usize,
    length: Option<u64>,
    encodings: usize,
}

impl Default for Watch {
    fn default() -> Self {
        Self::Head(Head::default())
    }
}

impl Watch {
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), Ambiguous> {
        while !bytes.is_empty() {
            match self {
                Self::Off => return Ok(()),
                Self::Body { left } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    *left -= here as u64;
                    bytes = &bytes[here..];
                    if *left == 0 {
                        *self = Self::default();
                    }
                }
                Self::Head(head) => {
                    let (line, rest, ended) = match bytes.iter().position(|&byte| byte == b'\n') {
                        Some(end) => (&bytes[..end], &bytes[end + 1..], true),
                        None => (bytes, &bytes[bytes.len()..], false),
                    };
                    head.add(line);
                    bytes = rest;
                    if ended && let Some(next) = head.end_line()? {
                        *self = next;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Head {
    fn add(&mut self, bytes: &[u8]) {
        let room = LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Takes the line in; at the end of the head, says what follows.
    fn end_line(&mut self) -> Result<Option<Watch>, Ambiguous> {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        if !line.is_empty() {
            self.started = true;
            self.field(line);
            return Ok(None);
        }
        if !self.started {
            // Empty lines before a request are to be skipped (RFC 9112 §2.2).
            return Ok(None);
        }
        match (self.lengths, self.encodings, self.length) {
            (0, 0, _) => Ok(Some(Watch::default())),
            (0, 1.., _) => Ok(Some(Watch::Off)),
            (1, 0, Some(0)) => Ok(Some(Watch::default())),
            (1, 0, Some(left)) => Ok(Some(Watch::Body { left })),
            (1, 0, None) => Ok(Some(Watch::Off)),
            _ => Err(Ambiguous),
        }
    }

    fn field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            self.lengths += 1;
            let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
            self.length =
                std::str::from_utf8(value).ok().filter(|_| digits).and_then(|value| value.parse().ok());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.encodings += 1;
        }
    }
}

/// Bytes of a line that are looked at: a name that matters and any length that fits a number.
const LINE: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `text` in pieces of every size up to the whole; all must agree.
    fn verdict(text: &str) -> Result<(), Ambiguous> {
        let feed = |size: usize| {
            let mut watch = Watch::default();
            text.as_bytes().chunks(size).try_for_each(|piece| watch.take(piece))
        };
        let whole = feed(text.len());
        for size in 1..text.len() {
            assert_eq!(feed(size), whole, "{text:?} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn one_length_or_none_is_clear() {
        for text in [
            "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 38\r\n\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
            "GET / HTTP/1.1\r\nX-Content-Length: 1\r\nX: Content-Length: 2\r\nContent-Length: 0\r\n\r\n",
        ] {
            assert_eq!(verdict(text), Ok(()), "{text:?}");
        }
    }

    #[test]
    fn more_than_one_length_is_ambiguous_wherever_it_stands() {
        for text in [
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTRANSFER-ENCODING: chunked\r\ncontent-length: 4\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\nContent-Length:4\nContent-Length:4\n\n",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nokPOST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert_eq!(verdict(text), Err(Ambiguous), "{text:?}");
        }
    }
}
