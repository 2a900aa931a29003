//! One connection from the peer's side, over a bare socket so that any rule of HTTP/1.1 can be broken.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use crate::pacer::Pace;

/// A socket and what was read from it too early.
pub(crate) struct Connection {
    stream: TcpStream,
    ahead: Vec<u8>,
}

/// A request head, taken apart but not judged.
pub(crate) struct Head {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> io::Result<Self> {
        // What a test says was sent should be on its way, not waiting for company.
        stream.set_nodelay(true)?;
        Ok(Self { stream, ahead: Vec::new() })
    }

    /// Reads the next request head; `None` once the client is gone, or if it is no head.
    pub(crate) async fn next_head(&mut self) -> Option<Head> {
        loop {
            if let Some(end) = self.ahead.windows(4).position(|four| four == b"\r\n\r\n") {
                let rest = self.ahead.split_off(end + 4);
                let head = std::mem::replace(&mut self.ahead, rest);
                return Head::parse(&String::from_utf8_lossy(&head[..end]));
            }
            if self.ahead.len() > MAX_HEAD {
                return None;
            }
            self.stream.readable().await.ok()?;
            let mut piece = [0; 4096];
            match self.stream.try_read(&mut piece) {
                Ok(0) => return None,
                Ok(read) => self.ahead.extend_from_slice(&piece[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return None,
            }
        }
    }

    /// Returns once the client has closed its side; never while it sends or waits.
    pub(crate) async fn hung_up(&self) {
        match self.stream.peek(&mut [0]).await {
            Ok(0) | Err(_) => {}
            // It sent its next request already: there is no way to see it leave before that is read.
            Ok(_) => std::future::pending().await,
        }
    }

    /// Sends all of `bytes`.
    pub(crate) async fn send(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.stream.writable().await?;
            match self.stream.try_write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Sends all of `bytes` at a pace.
    pub(crate) async fn drip(&self, bytes: &[u8], pace: Pace) -> io::Result<()> {
        let mut ticks = pace.ticks();
        for piece in bytes.chunks(usize::try_from(pace.bytes.max(1)).unwrap_or(usize::MAX)) {
            ticks.tick().await;
            self.send(piece).await?;
        }
        Ok(())
    }

    /// Resets the connection once the client's kernel holds everything sent so far.
    pub(crate) async fn reset(self) {
        // A reset throws away what the socket still has to send. Linux tells how much that is; elsewhere one pause
        // must do.
        let patience_ends = Instant::now() + DELIVERY;
        while Instant::now() < patience_ends {
            match undelivered(&self.stream) {
                Some(0) => break,
                Some(_) => sleep_until(Instant::now() + Duration::from_millis(1)).await,
                None => {
                    sleep_until(Instant::now() + Duration::from_millis(50)).await;
                    break;
                }
            }
        }
        // If it cannot be reset it is closed: either way the client sees a body cut short.
        let _ = self.stream.set_zero_linger();
    }
}

impl Head {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut request_line = lines.next()?.split(' ');
        let method = request_line.next()?.to_owned();
        let target = request_line.next()?.to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self { method, target, headers })
    }

    pub(crate) fn announces_body(&self) -> bool {
        self.headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("transfer-encoding")
                || (name.eq_ignore_ascii_case("content-length") && value != "0")
        })
    }
}

/// Bytes the kernel has taken from us and the other side has not acknowledged; `None` where nobody tells.
fn undelivered(stream: &TcpStream) -> Option<u64> {
    let (local, remote) = (stream.local_addr().ok()?, stream.peer_addr().ok()?);
    let (local, remote) = (as_in_proc(local)?, as_in_proc(remote)?);
    let table = fs::read_to_string("/proc/net/tcp").ok()?;
    let columns = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let ours =
        columns.into_iter().find(|row| row.get(1) == Some(&&*local) && row.get(2) == Some(&&*remote))?;
    u64::from_str_radix(ours.get(4)?.split_once(':')?.0, 16).ok()
}

/// `0100007F:1F90`: the address as a number of the machine's byte order, then the port.
fn as_in_proc(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(address) = address else { return None };
    let number = u32::from_ne_bytes(address.ip().octets());
    Some(format!("{number:08X}:{:04X}", address.port()))
}

const MAX_HEAD: usize = 64 * 1024;

/// How long a reset waits for the client to take what was sent before it.
const DELIVERY: Duration = Duration::from_secs(5);
