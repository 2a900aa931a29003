//! The link as both ends meet it: over sockets, with the kernel in between.

#![allow(clippy::unwrap_used, reason = "the helpers are tests too")]

use std::io::ErrorKind;
use std::time::Duration;

use scripted_peer::{Link, seeded_bytes};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const DELAY: Duration = Duration::from_millis(5);
const LENGTH: u64 = 1_000_000;

#[tokio::test]
async fn bytes_pass_unchanged_both_ways() {
    let (link, listener) = link(20_000_000).await;
    let (client, server) = connected(&link, &listener).await;
    let (mut from_server, mut to_server) = client.into_split();
    let (mut from_client, mut to_client) = server.into_split();
    let there = seeded_bytes(1, 0..LENGTH);
    let back = seeded_bytes(2, 0..LENGTH);
    let (mut came_there, mut came_back) = (vec![0; there.len()], vec![0; back.len()]);
    tokio::try_join!(
        to_server.write_all(&there),
        to_client.write_all(&back),
        async { from_client.read_exact(&mut came_there).await.map(drop) },
        async { from_server.read_exact(&mut came_back).await.map(drop) },
    )
    .unwrap();
    assert!(came_there == there && came_back == back);
    // The other side may have read a byte before it is counted: the end comes after the count.
    drop((to_server, to_client));
    assert_eq!(from_client.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(from_server.read(&mut [0]).await.unwrap(), 0);
    assert_eq!((link.bytes_to_server(), link.bytes_to_clients()), (LENGTH, LENGTH));
}

#[tokio::test]
async fn an_answer_takes_a_round_trip_for_the_handshake_and_one_for_itself() {
    let (link, listener) = link(0).await;
    let begin = Instant::now();
    let (mut client, mut server) = connected(&link, &listener).await;
    client.write_all(b"?").await.unwrap();
    server.read_u8().await.unwrap();
    server.write_all(b"!").await.unwrap();
    client.read_u8().await.unwrap();
    assert!(begin.elapsed() >= 4 * DELAY, "{:?}", begin.elapsed());
}

#[tokio::test]
async fn one_direction_can_end_before_the_other() {
    let (link, listener) = link(0).await;
    let (mut client, mut server) = connected(&link, &listener).await;
    client.write_all(b"question").await.unwrap();
    client.shutdown().await.unwrap();
    let mut question = String::new();
    server.read_to_string(&mut question).await.unwrap();
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!((&*question, &*answer), ("question", "answer"));
}

#[tokio::test]
async fn a_reset_passes_in_both_directions_and_comes_after_the_bytes() {
    let (link, listener) = link(0).await;

    let (mut client, mut server) = connected(&link, &listener).await;
    server.write_all(b"cut").await.unwrap();
    // What was sent has to be with the link before the reset: a kernel throws the rest away.
    client.read_exact(&mut [0; 3]).await.unwrap();
    server.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let (client, mut server) = connected(&link, &listener).await;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_eq!(server.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_server_whose_reader_left_in_the_middle_is_told() {
    let (link, listener) = link(0).await;
    let (mut client, mut server) = connected(&link, &listener).await;
    let sending = tokio::spawn(async move {
        loop {
            if let Err(error) = server.write_all(&[7; 10_000]).await {
                return error;
            }
        }
    });
    client.read_u8().await.unwrap();
    drop(client);
    let told = sending.await.unwrap().kind();
    assert!(matches!(told, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{told:?}");
}

#[tokio::test]
async fn a_client_of_a_server_that_is_away_is_reset() {
    let (link, listener) = link(0).await;
    drop(listener);
    let mut client = TcpStream::connect(link.address()).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn connections_are_counted_and_so_are_those_open_at_once() {
    let (link, listener) = link(0).await;
    let first = connected(&link, &listener).await;
    let second = connected(&link, &listener).await;
    assert_eq!((link.connections(), link.most_connections()), (2, 2));
    for (client, mut server) in [first, second] {
        drop(client);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    }
    connected(&link, &listener).await;
    assert_eq!(link.connections(), 3);
}

#[tokio::test]
async fn a_link_that_is_dropped_takes_its_connections_along() {
    let (link, listener) = link(0).await;
    let (mut client, _server) = connected(&link, &listener).await;
    let address = link.address();
    drop(link);
    assert!(matches!(client.read(&mut [0]).await, Ok(0) | Err(_)));
    assert_eq!(TcpStream::connect(address).await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
}

/// A link of [`DELAY`], and the server it leads to.
async fn link(bytes_per_second: u64) -> (Link, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (Link::start(listener.local_addr().unwrap(), DELAY, bytes_per_second).await, listener)
}

/// A connection through `link`: its end at the client, and its end at the server.
async fn connected(link: &Link, listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(link.address()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    (client, server)
}
