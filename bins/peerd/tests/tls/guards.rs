//! What guards the daemon in the clear guards it under TLS, stream by stream where HTTP/2 is spoken.
//!
//! Where the clock is paused, a timeout passes as soon as nothing else can happen.
#![allow(clippy::disallowed_methods, reason = "nobody sleeps: the clock is paused")]

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use retry_kit::{Clock, TokioClock};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use crate::asking::{Connection, Speaks, handshake};
use crate::serving::daemon;
use crate::serving_kit::{KEY, Setup, request};

const KEYED: (&str, &str) = ("x-api-key", KEY);
const BIG: usize = 16 << 20;

fn setup(change: impl FnOnce(&mut Setup)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup);
    setup
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_come_on_is_cut_off() {
    let (daemon, _) = daemon(setup(|setup| setup.server.header_timeout = Duration::from_secs(10))).await;
    for begun in [&[][..], &[22], &[22, 3, 1, 2, 0, 1, 0]] {
        let (mut client, start) = (daemon.connect().await, Instant::now());
        client.send(begun).await;
        assert_eq!(client.rest().await, b"", "{begun:?}");
        assert_eq!(start.elapsed().as_secs(), 10, "{begun:?}");
    }
}

#[tokio::test]
async fn plain_http_is_told_to_say_https_and_nobody_else_is_disturbed() {
    let (daemon, authority) = daemon(Setup::default()).await;
    let mut client = daemon.connect().await;
    let answer = client.ask("GET", "/ping", &[]).await;
    assert_eq!((answer.status, answer.field("connection")), (400, "close"));
    assert!(answer.json()["detail"].as_str().expect("a detail").contains("https"), "{answer:?}");
    assert_eq!(client.rest().await, b"");
    let mut noise = daemon.connect().await;
    noise.send(&[0, 1, 2, 3, 4, 5, 6, 7]).await;
    noise.rest().await;
    let mut connection = Connection::open(daemon.address, authority.der(), Speaks::Http2).await;
    assert_eq!(connection.get("/ping", &[]).await.status, 200);
}

#[tokio::test]
async fn connections_in_their_handshake_count_and_those_beyond_are_closed() {
    let (daemon, authority) = daemon(setup(|setup| setup.server.max_connections = 1)).await;
    let first = daemon.connect().await;
    let refused = handshake(daemon.address, authority.der(), &["h2"]).await;
    refused.expect_err("the only one is taken by somebody who says nothing");
    drop(first);
    while handshake(daemon.address, authority.der(), &["h2"]).await.is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn requests_of_ambiguous_length_end_the_connection_under_tls_as_well() {
    let (daemon, authority) = daemon(Setup::default()).await;
    let mut stream = handshake(daemon.address, authority.der(), &["http/1.1"]).await.expect("a handshake");
    let lengths = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    let smuggled = "GET /ping HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    let head = format!("POST /ping HTTP/1.1\r\nHost: x\r\n{lengths}\r\n0\r\n\r\n{smuggled}");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{}", String::from_utf8_lossy(&answer));
}

#[tokio::test(start_paused = true)]
async fn a_head_over_http_1_that_never_ends_is_cut_off_under_tls_as_well() {
    let (daemon, authority) =
        daemon(setup(|setup| setup.server.header_timeout = Duration::from_secs(10))).await;
    let mut stream = handshake(daemon.address, authority.der(), &["http/1.1"]).await.expect("a handshake");
    let start = Instant::now();
    stream.write_all(&request("GET", "/ping", &[])[..20]).await.expect("sent");
    stream.read_to_end(&mut Vec::new()).await.ok();
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_nobody_reads_is_ended_and_the_others_go_on() {
    let setup = setup(|setup| setup.server.write_stall_timeout = Duration::from_secs(60));
    let (daemon, authority) = daemon(setup.file("big", vec![b'o'; BIG])).await;
    let mut connection =
        Connection::open_with_window(daemon.address, authority.der(), Speaks::Http2, 65_535).await;
    let big = connection.route(KEY, "big").await;
    let start = Instant::now();
    let stalled = connection.begin(Method::GET, &big, &[KEYED]).await.expect("a head");
    let mut going_on = connection.another();
    tokio::select! {
        () = daemon.counts.body_ended.notified() => {}
        // What others ask for meanwhile needs window, too: more than the connection has left for nothing.
        () = async { loop {
            assert_eq!(going_on.get("/ping", &[]).await.status, 200);
            TokioClock.sleep(Duration::from_secs(5)).await;
        } } => {}
    }
    assert_eq!(start.elapsed().as_secs(), 60, "its file is closed");
    let error = stalled.into_body().collect().await.expect_err("a short body must not look whole");
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    let again = connection.get("/handshake", &[KEYED]).await;
    assert_eq!(again.status, 200, "the connection lives");
}

/// How the files are answered that are asked for side by side, none of them read.
async fn statuses<const N: usize>(setup: Setup) -> [u16; N] {
    let (daemon, authority) = daemon(setup.file("big", vec![b'o'; BIG])).await;
    let mut connection =
        Connection::open_with_window(daemon.address, authority.der(), Speaks::Http2, 65_535).await;
    let big = connection.route(KEY, "big").await;
    let (mut kept, mut statuses) = (Vec::new(), [0; N]);
    for status in &mut statuses {
        let answer = connection.begin(Method::GET, &big, &[KEYED]).await.expect("a head");
        *status = answer.status().as_u16();
        assert_eq!(answer.headers().contains_key("retry-after"), *status != 200);
        kept.push(answer);
    }
    statuses
}

#[tokio::test]
async fn answers_side_by_side_are_bounded_as_connections_are() {
    let statuses = statuses(setup(|setup| setup.server.max_connections = 2)).await;
    assert_eq!(statuses, [200, 200, 200, 503], "one of the connection itself, and two more");
}

#[tokio::test]
async fn a_key_has_as_many_files_under_way_as_connections() {
    let statuses = statuses(Setup { connections_per_key: 2, ..Setup::default() }).await;
    assert_eq!(statuses, [200, 200, 429]);
}

#[tokio::test(start_paused = true)]
async fn a_connection_nobody_reads_is_ended_with_all_its_streams() {
    let setup = setup(|setup| setup.server.write_stall_timeout = Duration::from_secs(60));
    let (daemon, authority) = daemon(setup.file("big", vec![b'o'; BIG])).await;
    let big = Connection::open(daemon.address, authority.der(), Speaks::Http2).await.route(KEY, "big").await;
    let stream = handshake(daemon.address, authority.der(), &["h2"]).await.expect("a handshake");
    let (window, frozen) = (1 << 30, Arc::new(AtomicBool::new(false)));
    let io = TokioIo::new(Freezing { inner: stream, frozen: Arc::clone(&frozen) });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(window).initial_connection_window_size(window);
    let (mut sender, connection) = builder.handshake::<_, Empty<Bytes>>(io).await.expect("a connection");
    tokio::spawn(connection);
    let uri = format!("https://localhost:{}{big}", daemon.address.port());
    let asked = Request::get(uri).header(KEYED.0, KEYED.1).body(Empty::new()).expect("a request");
    let _answer = sender.send_request(asked).await.expect("a head");
    frozen.store(true, Ordering::Relaxed);
    let start = Instant::now();
    daemon.counts.body_ended.notified().await;
    assert_eq!(start.elapsed().as_secs(), 60);
    assert!(daemon.counts.sent.load(Ordering::Relaxed) < BIG as u64);
}

/// A stream that stays, and that nobody reads from any more once it is frozen.
struct Freezing<S> {
    inner: S,
    frozen: Arc<AtomicBool>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Freezing<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.frozen.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Freezing<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_nothing_is_asked_on_is_told_to_go() {
    let (daemon, authority) =
        daemon(setup(|setup| setup.server.header_timeout = Duration::from_secs(10))).await;
    let mut connection = Connection::open(daemon.address, authority.der(), Speaks::Http2).await;
    TokioClock.sleep(Duration::from_secs(9)).await;
    let start = Instant::now();
    assert_eq!(connection.get("/ping", &[]).await.status, 200);
    connection.ended.await.expect("a connection").expect("a good end");
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn stopping_finishes_streams_under_way_and_ends_idle_connections() {
    let (daemon, authority) = daemon(Setup::default().file("big", vec![b'o'; BIG])).await;
    let open = || Connection::open_with_window(daemon.address, authority.der(), Speaks::Http2, 65_535);
    let (idle, mut busy) = (open().await, open().await);
    let in_handshake = daemon.connect().await;
    let big = busy.route(KEY, "big").await;
    let under_way = busy.begin(Method::GET, &big, &[KEYED]).await.expect("a head");
    daemon.stop.cancel();
    idle.ended.await.expect("a connection").ok();
    drop(in_handshake);
    let body = under_way.into_body().collect().await.expect("the whole file").to_bytes();
    assert_eq!(body.len(), BIG);
    busy.ended.await.expect("a connection").ok();
    daemon.running.await.expect("the server returns");
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_period_streams_under_way_are_ended() {
    let setup = setup(|setup| setup.server.shutdown_grace = Duration::from_secs(20));
    let (daemon, authority) = daemon(setup.file("big", vec![b'o'; BIG])).await;
    let mut connection =
        Connection::open_with_window(daemon.address, authority.der(), Speaks::Http2, 65_535).await;
    let big = connection.route(KEY, "big").await;
    let under_way = connection.begin(Method::GET, &big, &[KEYED]).await.expect("a head");
    let start = Instant::now();
    daemon.stop.cancel();
    daemon.running.await.expect("the server returns");
    assert_eq!(start.elapsed().as_secs(), 20);
    daemon.counts.body_ended.notified().await;
    under_way.into_body().collect().await.expect_err("a short body must not look whole");
}
