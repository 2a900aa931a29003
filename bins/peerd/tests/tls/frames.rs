//! HTTP/2 from clients no library would make: silent ones, slow ones, and those that never answer a PING.
//!
//! Where the clock is paused, a timeout passes as soon as nothing else can happen.
#![allow(clippy::disallowed_methods, reason = "nobody sleeps: the clock is paused")]

use std::collections::BTreeMap;
use std::time::Duration;

use retry_kit::{Clock, TokioClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use crate::asking::{Connection, Speaks, handshake};
use crate::certificates::Authority;
use crate::serving::daemon;
use crate::serving_kit::{Daemon, KEY, Setup};

/// A connection that sends the frames it is told to, and none of its own.
struct Frames(TlsStream<TcpStream>);

impl Frames {
    async fn connect(daemon: &Daemon, authority: &Authority) -> Self {
        Self(handshake(daemon.address, authority.der(), &["h2"]).await.expect("a handshake"))
    }

    /// Connects and begins, with a window for everything.
    async fn open(daemon: &Daemon, authority: &Authority) -> Self {
        let mut frames = Self::connect(daemon, authority).await;
        frames.send(&beginning(WIDE)).await;
        frames
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    /// The next frame: kind, flags, stream, content.
    async fn next(&mut self) -> (u8, u8, u32, Vec<u8>) {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut content = vec![0; length as usize];
        self.0.read_exact(&mut content).await.expect("the whole frame");
        (head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), content)
    }

    /// Reads up to the end of a stream.
    async fn until_end_of(&mut self, wanted: u32) {
        loop {
            let (_, flags, stream, _) = self.next().await;
            if stream == wanted && flags & END_STREAM != 0 {
                return;
            }
        }
    }

    /// Reads to the end of the connection, with a pause after every 16 KiB. Returns the bytes of content by stream,
    /// of streams that came to their end.
    async fn read_slowly(mut self, pause: Duration) -> BTreeMap<u32, usize> {
        let (mut all, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
        while let Ok(read @ 1..) = self.0.read(&mut piece).await {
            all.extend_from_slice(&piece[..read]);
            TokioClock.sleep(pause).await;
        }
        let (mut content, mut ended, mut rest) = (BTreeMap::new(), BTreeMap::new(), &all[..]);
        while let Some((head, more)) = rest.split_at_checked(9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            rest = more.get(length..).unwrap_or_default();
            if head[3] == DATA && more.len() >= length {
                *content.entry(stream).or_default() += length;
                if head[4] & END_STREAM != 0 {
                    ended.insert(stream, content[&stream]);
                }
            }
        }
        ended
    }
}

/// The preface, and windows of this size (RFC 9113 §3.4, §6.5.2, §6.9).
fn beginning(window: u32) -> Vec<u8> {
    let settings = [&[0, 4][..], &window.to_be_bytes()].concat();
    let connection = frame(WINDOW_UPDATE, 0, 0, &WIDE.to_be_bytes());
    [PREFACE, &frame(SETTINGS, 0, 0, &settings), &connection].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).expect("a small frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}

/// GET with the key: fields of the static table, and literals without a table (RFC 7541 §6.1, §6.2.2).
fn get(stream: u32, path: &str) -> Vec<u8> {
    let literal = |text: &str| {
        let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
        [&[length], text.as_bytes()].concat()
    };
    let method_and_scheme = vec![0x82, 0x87];
    let path = [&[0x04][..], &literal(path)].concat();
    let authority = [&[0x01][..], &literal("localhost")].concat();
    let key = [&[0x00][..], &literal("x-api-key"), &literal(KEY)].concat();
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &[method_and_scheme, path, authority, key].concat())
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const WIDE: u32 = 1 << 30;

const SECOND: Duration = Duration::from_secs(1);

/// Limits under which a reader may stop for ever.
fn patient() -> Setup {
    let mut setup = Setup::default();
    (setup.server.header_timeout, setup.server.write_stall_timeout) = (10 * SECOND, Duration::ZERO);
    setup
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_never_comes_to_ask_is_ended_though_readers_may_stop_for_ever() {
    let (daemon, authority) = daemon(patient()).await;
    let unfinished = frame(HEADERS, END_STREAM, 1, &[0x82]);
    let begun = [&[][..], &PREFACE[..9], &beginning(WIDE), &[&beginning(WIDE)[..], &unfinished].concat()];
    for (turn, begun) in begun.into_iter().enumerate() {
        let start = Instant::now();
        let mut client = Frames::connect(&daemon, &authority).await;
        client.send(begun).await;
        client.0.read_to_end(&mut Vec::new()).await.ok();
        assert_eq!(start.elapsed().as_secs(), 11, "{turn}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_once_and_answers_nothing_since_is_told_to_go_and_then_ended() {
    let (daemon, authority) = daemon(patient()).await;
    let mut client = Frames::open(&daemon, &authority).await;
    client.send(&get(1, "/ping")).await;
    client.until_end_of(1).await;
    let start = Instant::now();
    client.0.read_to_end(&mut Vec::new()).await.ok();
    assert_eq!(start.elapsed().as_secs(), 11);
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_client_that_answers_nothing() {
    let (daemon, authority) = daemon(Setup::default()).await;
    let mut client = Frames::open(&daemon, &authority).await;
    client.send(&get(1, "/ping")).await;
    client.until_end_of(1).await;
    let start = Instant::now();
    daemon.stop.cancel();
    daemon.running.await.expect("the server returns");
    assert_eq!(start.elapsed().as_secs(), 1);
}

#[tokio::test]
async fn a_reader_that_is_slow_and_goes_on_gets_all_it_asked_for() {
    const SIZE: usize = 200_000;
    let mut setup = Setup::default();
    (setup.server.header_timeout, setup.server.write_stall_timeout) = (SECOND / 10, 3 * SECOND);
    let (daemon, authority) = daemon(setup.file("small", vec![b'o'; SIZE])).await;
    let route =
        Connection::open(daemon.address, authority.der(), Speaks::Http2).await.route(KEY, "small").await;
    let mut client = Frames::open(&daemon, &authority).await;
    let streams = (0..8).map(|turn| 2 * turn + 1);
    let asked: Vec<_> = streams.clone().flat_map(|stream| get(stream, &route)).collect();
    client.send(&asked).await;
    let start = Instant::now();
    let content = client.read_slowly(Duration::from_millis(80)).await;
    assert_eq!(content, streams.map(|stream| (stream, SIZE)).collect());
    assert!(start.elapsed() > 5 * SECOND, "longer than any limit there is: {:?}", start.elapsed());
}
