//! A client that hides nothing: it shows the bytes as they came, and how the connection ended.

use std::io;

use scripted_peer::ScriptedPeer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Everything that came on one connection until it ended.
#[derive(Debug)]
pub(crate) struct Came {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// How the peer ended the connection.
    pub(crate) end: io::Result<()>,
}

impl Came {
    pub(crate) fn status(&self) -> &str {
        &self.head[9..12]
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }
}

/// Asks once with `Connection: close` and reads until the connection ends.
pub(crate) async fn get(peer: &ScriptedPeer, path: &str, headers: &str) -> Came {
    let mut stream = ask(peer, path, &format!("{headers}Connection: close\r\n")).await;
    read_to_end(&mut stream).await
}

/// Sends a GET; `headers` are whole lines.
pub(crate) async fn ask(peer: &ScriptedPeer, path: &str, headers: &str) -> TcpStream {
    let mut stream = TcpStream::connect(peer.address()).await.unwrap();
    again(&mut stream, path, headers).await;
    stream
}

/// Sends one more GET on a connection.
pub(crate) async fn again(stream: &mut TcpStream, path: &str, headers: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

pub(crate) async fn read_to_end(stream: &mut TcpStream) -> Came {
    let mut came = Vec::new();
    let end = stream.read_to_end(&mut came).await.map(drop);
    let (head, body) = split(came);
    Came { head, body, end }
}

/// Reads a head and exactly `length` bytes of body.
pub(crate) async fn read_exactly(stream: &mut TcpStream, length: usize) -> (String, Vec<u8>) {
    let mut came = Vec::new();
    while !came.ends_with(b"\r\n\r\n") {
        came.push(stream.read_u8().await.unwrap());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (split(came).0, body)
}

fn split(mut came: Vec<u8>) -> (String, Vec<u8>) {
    let end = came.windows(4).position(|four| four == b"\r\n\r\n").map_or(came.len(), |at| at + 4);
    let body = came.split_off(end);
    (String::from_utf8(came).unwrap(), body)
}
