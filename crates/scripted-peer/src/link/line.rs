//! One direction of one connection: bytes go in at a rate and come out a delay later.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep_until};

/// How long the line is, and how wide; 0 bytes a second are no limit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) delay: Duration,
    pub(super) bytes_per_second: u64,
}

impl Line {
    /// Carries everything that `from` gives, then its end, to `to`, and counts it.
    ///
    /// An error is a reset on either side. It comes after the delay, and one of `from` after every byte before it.
    pub(super) async fn carry(
        self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        carried: &AtomicU64,
    ) -> io::Result<()> {
        let mut line = UnderWay::on(self);
        let mut buffer = BytesMut::new();
        loop {
            tokio::select! {
                biased;
                delivered = deliver(line.pieces.front_mut(), &mut to) => match delivered {
                    Ok(Delivered::Bytes(count)) => {
                        carried.fetch_add(count as u64, Ordering::Relaxed);
                        line.leave(count);
                    }
                    Ok(Delivered::End) => return Ok(()),
                    Ok(Delivered::Reset) => return Err(io::ErrorKind::ConnectionReset.into()),
                    Err(error) => {
                        sleep_until(Instant::now() + self.delay).await;
                        return Err(error);
                    }
                },
                taken = take(&mut from, &mut buffer, self.piece(), line.free_at, &mut line.idle), if line.has_room() => {
                    line.enter(match taken {
                        Ok(0) => Cargo::End,
                        Ok(_) => Cargo::Bytes(buffer.split().freeze()),
                        Err(_) => Cargo::Reset,
                    });
                }
            }
        }
    }

    /// The most to take at a time: bytes of a piece arrive together, so it is short.
    fn piece(self) -> usize {
        match self.bytes_per_second {
            0 => MAX_PIECE,
            rate => ((rate as f64 * PIECE.as_secs_f64()) as usize).clamp(1, MAX_PIECE),
        }
    }

    fn time_for(self, bytes: usize) -> Duration {
        match self.bytes_per_second {
            0 => Duration::ZERO,
            rate => Duration::from_secs_f64(bytes as f64 / rate as f64),
        }
    }

    /// How many bytes it holds, with a reserve for timers that come late.
    fn window(self) -> usize {
        match self.bytes_per_second {
            0 => UNLIMITED_WINDOW,
            rate => (rate as f64 * (self.delay + RESERVE).as_secs_f64()) as usize + self.piece(),
        }
    }
}

/// What is on the line.
struct UnderWay {
    line: Line,
    window: usize,
    pieces: VecDeque<Piece>,
    bytes: usize,
    /// When the next byte can be put on it.
    free_at: Instant,
    /// It has been free with nothing to carry.
    idle: bool,
    ended: bool,
}

struct Piece {
    due: Instant,
    cargo: Cargo,
}

enum Cargo {
    Bytes(Bytes),
    End,
    Reset,
}

enum Delivered {
    Bytes(usize),
    End,
    Reset,
}

impl UnderWay {
    fn on(line: Line) -> Self {
        let free_at = Instant::now();
        let window = line.window();
        Self { line, window, pieces: VecDeque::new(), bytes: 0, free_at, idle: true, ended: false }
    }

    fn has_room(&self) -> bool {
        !self.ended && self.bytes < self.window
    }

    fn enter(&mut self, cargo: Cargo) {
        let now = Instant::now();
        match &cargo {
            Cargo::Bytes(bytes) => {
                self.bytes += bytes.len();
                // Bytes that were there already waited for us, not for their sender: when this task came late, the
                // line has carried meanwhile. An idle line saves hardly anything up.
                let lateness = if std::mem::take(&mut self.idle) { RESERVE } else { CATCH_UP };
                let free_at = self.free_at.max(now.checked_sub(lateness).unwrap_or(now));
                self.free_at = free_at + self.line.time_for(bytes.len());
            }
            Cargo::End | Cargo::Reset => self.ended = true,
        }
        let due = self.free_at.max(now) + self.line.delay;
        self.pieces.push_back(Piece { due, cargo });
    }

    /// Takes what was delivered off the line.
    fn leave(&mut self, count: usize) {
        self.bytes -= count;
        let whole = |piece: &Piece| matches!(&piece.cargo, Cargo::Bytes(bytes) if bytes.is_empty());
        if self.pieces.front().is_some_and(whole) {
            self.pieces.pop_front();
        }
    }
}

/// Hands over the first piece, or some of it, once it has arrived.
///
/// # Cancel safety
/// Safe: bytes leave the piece in the poll in which they were written.
async fn deliver(first: Option<&mut Piece>, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<Delivered> {
    let Some(Piece { due, cargo }) = first else { return std::future::pending().await };
    wait_until(*due).await;
    match cargo {
        Cargo::Bytes(bytes) => match to.write_buf(bytes).await? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            count => Ok(Delivered::Bytes(count)),
        },
        Cargo::End => to.shutdown().await.map(|()| Delivered::End),
        Cargo::Reset => Ok(Delivered::Reset),
    }
}

/// Reads at most `most` bytes into `buffer` once the line is free, and notes in `idle` if it had to wait for them; 0 is
/// the end.
///
/// # Cancel safety
/// Safe: what was read is in the buffer in the poll in which this returns.
async fn take(
    from: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    most: usize,
    free_at: Instant,
    idle: &mut bool,
) -> io::Result<usize> {
    wait_until(free_at).await;
    buffer.reserve(most);
    let mut room = buffer.limit(most);
    let mut reading = pin!(from.read_buf(&mut room));
    poll_fn(|context| {
        let read = reading.as_mut().poll(context);
        *idle |= read.is_pending();
        read
    })
    .await
}

async fn wait_until(moment: Instant) {
    if moment > Instant::now() {
        sleep_until(moment).await;
    }
}

/// How much of the line's time a piece may take, and bytes at most.
const PIECE: Duration = Duration::from_millis(5);
const MAX_PIECE: usize = 64 * 1024;
/// How late a timer may be at the cost of nobody. The window holds as much beyond the line itself, which bounds how fast
/// lost time is made up for.
const RESERVE: Duration = Duration::from_millis(10);
/// How late this task may be on a busy machine, while bytes wait for it.
const CATCH_UP: Duration = Duration::from_millis(200);
const UNLIMITED_WINDOW: usize = 4 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::seeded_bytes;

    const DELAY: Duration = Duration::from_millis(20);
    const RATE: u64 = 1_000_000;

    #[tokio::test(start_paused = true)]
    async fn a_byte_takes_the_delay() {
        let (mut sender, mut receiver, _) = laid(Line { delay: DELAY, bytes_per_second: 0 });
        let begin = Instant::now();
        sender.write_all(b"!").await.unwrap();
        assert_eq!(receiver.read_u8().await.unwrap(), b'!');
        assert!((DELAY..DELAY * 2).contains(&begin.elapsed()), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_takes_the_delay_and_comes_last() {
        let (mut sender, mut receiver, carrying) = laid(Line { delay: DELAY, bytes_per_second: RATE });
        let bytes = seeded_bytes(1, 0..10_000);
        sender.write_all(&bytes).await.unwrap();
        let begin = Instant::now();
        drop(sender);
        let mut came = Vec::new();
        receiver.read_to_end(&mut came).await.unwrap();
        assert_eq!(came, bytes);
        assert!(begin.elapsed() >= DELAY, "{:?}", begin.elapsed());
        carrying.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_left_is_noticed_by_the_sender_after_the_delay() {
        let (mut sender, receiver, carrying) = laid(Line { delay: DELAY, bytes_per_second: 0 });
        drop(receiver);
        let begin = Instant::now();
        sender.write_all(b"!").await.unwrap();
        assert!(carrying.await.unwrap().is_err());
        assert!(begin.elapsed() >= DELAY * 2, "there and back: {:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn every_connection_has_the_whole_rate_and_no_more() {
        let line = Line { delay: DELAY, bytes_per_second: RATE };
        let begin = Instant::now();
        let one = async || {
            let (mut sender, mut receiver, _) = laid(line);
            let sending = tokio::spawn(async move { sender.write_all(&seeded_bytes(2, 0..RATE)).await });
            let mut came = vec![0; RATE as usize];
            receiver.read_exact(&mut came).await.unwrap();
            sending.await.unwrap().unwrap();
            assert_eq!(came, seeded_bytes(2, 0..RATE));
            begin.elapsed()
        };
        let (first, second) = tokio::join!(one(), one());
        for took in [first, second] {
            let second = Duration::from_secs(1);
            assert!((second..second + 2 * DELAY).contains(&took), "a second's worth took {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_is_held_when_nobody_reads() {
        let line = Line { delay: DELAY, bytes_per_second: RATE };
        let (mut sender, _receiver, _) = laid(line);
        let mut sent = 0;
        // However long it takes: what nobody reads stays on the line and in the two pipes.
        while let Ok(written) = tokio::time::timeout(DELAY * 100, sender.write(&[7; 1000])).await {
            sent += written.unwrap();
        }
        let most = line.window() + line.piece() + 2 * PIPE;
        assert!(sent <= most && sent >= line.window(), "{sent} bytes of {most}");
    }

    #[test]
    fn a_line_holds_its_rate_times_its_delay_and_a_little_more() {
        let line = Line { delay: DELAY, bytes_per_second: 25_000_000 };
        assert!((500_000..1_000_000).contains(&line.window()), "{}", line.window());
    }

    /// A line between two pipes of a few bytes each.
    fn laid(line: Line) -> (DuplexStream, DuplexStream, JoinHandle<io::Result<()>>) {
        let (sender, from) = duplex(PIPE);
        let (to, receiver) = duplex(PIPE);
        let carrying = tokio::spawn(async move { line.carry(from, to, &AtomicU64::new(0)).await });
        (sender, receiver, carrying)
    }

    const PIPE: usize = 4096;
}
