//! Where no more addresses are to be had, bodies copy. A process of its own, because they are the process's.

#![cfg(all(feature = "sendfile", target_os = "linux"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "sendfile/kit.rs"]
#[allow(dead_code, reason = "one part of it is used here")]
mod kit;
mod support;

use bytes::Buf;
use http_body_util::BodyExt;
use kit::{Server, request};
use range_http::sendfile::{FileSocket, WINDOW};
use support::content;

#[tokio::test]
async fn without_addresses_left_bodies_are_copied_and_later_they_are_not() {
    let len = 2 * WINDOW + 1;
    let server = Server::new(true).file("big", &content(len)).start().await;
    let socket = FileSocket::new(kit::pair().await.0);
    let mut held = Vec::new();
    loop {
        let frame = server.body("big", socket.lane()).frame().await.unwrap().unwrap();
        let mut piece = frame.into_data().unwrap();
        if !piece.is_address() {
            assert_eq!(piece.copy_to_bytes(1_000), content(1_000));
            break;
        }
        held.push(piece);
    }
    assert!(held.len() >= 64);
    let mut connection = server.connect().await;
    assert!(connection.ask(&request("GET", "/big", "")).await.body == content(len));
    assert_eq!(server.pieces_of_files(), 0);
    // One address is enough for the first window; the rest of the body may find none and is copied.
    held.pop();
    assert!(connection.ask(&request("GET", "/big", "")).await.body == content(len));
    assert!(server.pieces_of_files() > 0);
}
