//! What protects the daemon from slow, greedy and confusing clients, and how it stops.
//!
//! The clock is paused: a timeout passes as soon as nothing else can happen.

mod serving_kit;

use std::num::NonZeroU64;
use std::time::Duration;

use serving_kit::{KEY, Setup, request};
use tokio::time::Instant;

const BIG: usize = 16 << 20;

fn setup(change: impl FnOnce(&mut Setup)) -> Setup {
    let mut setup = Setup::default();
    change(&mut setup);
    setup
}

#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_off() {
    let daemon = setup(|setup| setup.server.header_timeout = Duration::from_secs(10)).start().await;
    let (mut client, start) = (daemon.connect().await, Instant::now());
    client.send(b"GET /ping HTTP/1.1\r\nHost: x\r\nX-A: b\r\n").await;
    assert_eq!(client.rest().await, b"");
    assert!(start.elapsed() >= Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_stops_is_cut_off() {
    for mut setup in Setup::each_way() {
        setup.server.write_stall_timeout = Duration::from_secs(60);
        let daemon = setup.file("big", vec![b'o'; BIG]).start().await;
        let route = daemon.route("big").await;
        let (mut client, start) = (daemon.connect_small().await, Instant::now());
        client.send(&request("GET", &route, &[("X-Api-Key", KEY)])).await;
        daemon.counts.body_ended.notified().await;
        assert!(start.elapsed() >= Duration::from_secs(60));
        assert!(client.rest().await.len() < BIG);
        assert!(daemon.files_left_as_set_up());
    }
}

#[tokio::test(start_paused = true)]
async fn files_go_no_faster_than_the_upload_limit_together() {
    const LEN: usize = 500_000;
    for mut setup in Setup::each_way() {
        setup.upload = NonZeroU64::new(100_000).into();
        let daemon = setup.file("f", vec![b'o'; LEN]).start().await;
        let route = daemon.route("f").await;
        let (mut one, mut other) = (daemon.connect().await, daemon.connect().await);
        let (start, key) = (Instant::now(), [("X-Api-Key", KEY)]);
        let (one, other) = tokio::join!(one.ask("GET", &route, &key), other.ask("GET", &route, &key));
        assert_eq!((one.body.len(), other.body.len()), (LEN, LEN));
        assert!(start.elapsed() >= Duration::from_secs(8), "{:?} of the test's clock", start.elapsed());
        assert!(daemon.files_left_as_set_up());
    }
}

#[tokio::test]
async fn beyond_the_limit_connections_get_503_and_room_is_made_again() {
    let daemon = setup(|setup| setup.server.max_connections = 2).start().await;
    let (mut first, mut second) = (daemon.connect().await, daemon.connect().await);
    assert_eq!(first.ask("GET", "/ping", &[]).await.status, 200);
    assert_eq!(second.ask("GET", "/ping", &[]).await.status, 200);
    let mut third = daemon.connect().await;
    let answer = third.answer(false).await.expect("an answer without a request");
    assert_eq!((answer.status, answer.field("connection")), (503, "close"));
    assert!(!answer.field("retry-after").is_empty());
    assert_eq!(first.ask("GET", "/ping", &[]).await.status, 200, "those inside are not disturbed");
    drop(first);
    loop {
        let mut next = daemon.connect().await;
        next.send(&request("GET", "/ping", &[])).await;
        if next.answer(false).await.is_some_and(|answer| answer.status == 200) {
            break;
        }
    }
}

#[tokio::test]
async fn a_head_larger_than_the_bound_is_refused() {
    let daemon = Setup::default().start().await;
    let mut client = daemon.connect().await;
    let big = "a".repeat(1 << 20);
    // The daemon may close before it has taken everything; then sending fails, which is as good.
    let sent = request("GET", "/ping", &[("X-Big", &big)]);
    tokio::io::AsyncWriteExt::write_all(&mut client.stream, &sent).await.ok();
    assert!(client.answer(false).await.is_none_or(|answer| answer.status == 431));
    assert_eq!(daemon.connect().await.ask("GET", "/ping", &[]).await.status, 200);
}

#[tokio::test]
async fn requests_of_ambiguous_length_end_the_connection() {
    let daemon = Setup::default().start().await;
    let smuggled = "GET /ping HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    for lengths in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 42\r\n",
        "Content-Length: 5, 42\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 18446744073709551616\r\n",
    ] {
        for method in ["GET", "POST"] {
            let mut client = daemon.connect().await;
            let head = format!("{method} /ping HTTP/1.1\r\nHost: x\r\n{lengths}\r\n0\r\n\r\n{smuggled}");
            client.send(head.as_bytes()).await;
            let answer = client.answer(false).await;
            assert!(answer.is_none_or(|answer| answer.status == 400), "{method} {lengths}");
            assert_eq!(client.rest().await, b"", "{method} {lengths}: a second answer");
        }
    }
}

#[tokio::test]
async fn a_body_is_never_taken_for_the_next_request() {
    let daemon = Setup::default().start().await;
    let smuggled = "GET /ping HTTP/1.1\r\nHost: smuggled\r\n\r\n";
    for body in [
        format!("Content-Length: {}\r\n\r\n{smuggled}", smuggled.len()),
        format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()),
    ] {
        let mut client = daemon.connect().await;
        client
            .send(format!("POST /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{body}").as_bytes())
            .await;
        assert_eq!(client.answer(false).await.expect("an answer").status, 404);
        assert_eq!(client.rest().await, b"", "the body was answered");
    }
}

#[tokio::test]
async fn stopping_ends_idle_connections_and_finishes_answers_under_way() {
    for setup in Setup::each_way() {
        let daemon = setup.file("big", vec![b'o'; BIG]).start().await;
        let route = daemon.route("big").await;
        let (mut idle, mut fresh) = (daemon.connect().await, daemon.connect().await);
        assert_eq!(idle.ask("GET", "/ping", &[]).await.status, 200);
        let mut busy = daemon.connect_small().await;
        busy.send(&request("GET", &route, &[("X-Api-Key", KEY)])).await;
        assert_eq!(busy.head().await.expect("a head").status, 200);
        daemon.stop.cancel();
        assert_eq!(idle.rest().await, b"");
        assert_eq!(fresh.rest().await, b"");
        assert_eq!(busy.rest().await.len(), BIG, "the whole file came");
        assert!(daemon.files_left_as_set_up());
        daemon.running.await.expect("the server returns");
        assert!(tokio::net::TcpStream::connect(daemon.address).await.is_err(), "nobody listens");
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_grace_period_what_is_under_way_is_ended() {
    for mut setup in Setup::each_way() {
        setup.server.shutdown_grace = Duration::from_secs(20);
        let daemon = setup.file("big", vec![b'o'; BIG]).start().await;
        let route = daemon.route("big").await;
        let mut busy = daemon.connect_small().await;
        busy.send(&request("GET", &route, &[("X-Api-Key", KEY)])).await;
        assert_eq!(busy.head().await.expect("a head").status, 200);
        let start = Instant::now();
        daemon.stop.cancel();
        assert!(daemon.files_left_as_set_up());
        daemon.running.await.expect("the server returns");
        assert_eq!(start.elapsed().as_secs(), 20);
        assert!(busy.rest().await.len() < BIG);
    }
}
