//! A client that says which HTTP it speaks, and sees whose certificate it is shown.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Version};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which HTTP a client offers to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

pub(crate) const BOTH: [Speaks; 2] = [Speaks::Http1, Speaks::Http2];

/// One connection.
pub(crate) struct Connection {
    sender: Sender,
    /// What it was shown.
    pub(crate) shown: CertificateDer<'static>,
    /// Ends when the connection does.
    pub(crate) ended: JoinHandle<Result<(), hyper::Error>>,
    host: String,
}

enum Sender {
    Http1(http1::SendRequest<Empty<Bytes>>),
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a readable field"))
    }
}

/// A handshake with somebody who must be vouched for by `authority`, offering these protocols.
pub(crate) async fn handshake(
    address: SocketAddr,
    authority: CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.expect("versions").with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let socket = TcpSocket::new_v4()?;
    // What nobody reads is to be noticed before a whole file lies in the kernel.
    socket.set_recv_buffer_size(64 * 1024)?;
    let stream = socket.connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

impl Connection {
    /// Connects, and asserts that the protocol offered is the one that was agreed on.
    pub(crate) async fn open(
        address: SocketAddr,
        authority: CertificateDer<'static>,
        speaks: Speaks,
    ) -> Self {
        Self::open_with_window(address, authority, speaks, 1 << 20).await
    }

    /// As [`Connection::open`]; `window` is what a stream of HTTP/2, and all of them, may send before somebody reads.
    pub(crate) async fn open_with_window(
        address: SocketAddr,
        authority: CertificateDer<'static>,
        speaks: Speaks,
        window: u32,
    ) -> Self {
        let offered = if speaks == Speaks::Http1 { "http/1.1" } else { "h2" };
        let stream = handshake(address, authority, &[offered]).await.expect("a handshake");
        let session = stream.get_ref().1;
        assert_eq!(session.alpn_protocol(), Some(offered.as_bytes()));
        let shown = session.peer_certificates().expect("certificates")[0].clone().into_owned();
        let io = TokioIo::new(stream);
        let (sender, ended) = match speaks {
            Speaks::Http1 => {
                let (sender, connection) = http1::handshake(io).await.expect("a connection");
                (Sender::Http1(sender), tokio::spawn(connection))
            }
            Speaks::Http2 => {
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.timer(TokioTimer::new());
                builder.initial_stream_window_size(window).initial_connection_window_size(window.max(65_535));
                let (sender, connection) = builder.handshake(io).await.expect("a connection");
                (Sender::Http2(sender), tokio::spawn(connection))
            }
        };
        Self { sender, shown, ended, host: format!("localhost:{}", address.port()) }
    }

    /// Another hand on a connection of HTTP/2.
    pub(crate) fn another(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else { panic!("one request after the other") };
        let ended = tokio::spawn(std::future::pending());
        let (shown, host) = (self.shown.clone(), self.host.clone());
        Self { sender: Sender::Http2(sender.clone()), shown, ended, host }
    }

    /// Sends a request; resolves when the head of the answer is here.
    pub(crate) async fn begin(
        &mut self,
        method: Method,
        path: &str,
        fields: &[(&str, &str)],
    ) -> hyper::Result<http::Response<Incoming>> {
        let mut request = Request::builder().method(method);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        match &mut self.sender {
            Sender::Http1(sender) => {
                let request = request.uri(path).header("host", &self.host);
                sender.ready().await?;
                sender.send_request(request.body(Empty::new()).expect("a request")).await
            }
            Sender::Http2(sender) => {
                let request = request.uri(format!("https://{}{path}", self.host));
                sender.ready().await?;
                sender.send_request(request.body(Empty::new()).expect("a request")).await
            }
        }
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, fields: &[(&str, &str)]) -> Answer {
        let (head, body) = self.begin(method, path, fields).await.expect("an answer").into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        Answer { status: head.status.as_u16(), version: head.version, headers: head.headers, body }
    }

    pub(crate) async fn get(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.ask(Method::GET, path, fields).await
    }

    /// Where the file of this name is.
    pub(crate) async fn route(&mut self, key: &str, filename: &str) -> String {
        let answer = self.get("/peer/items?limit=1000", &[("x-api-key", key)]).await;
        let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("a list");
        let items = list["items"].as_array().expect("items");
        let item = items.iter().find(|item| item["filename"] == filename).expect("the file is listed");
        format!("/peer/items/{}/file", item["id"].as_str().expect("an id"))
    }
}
