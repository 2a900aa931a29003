//! A public listener on loopback with temporary shares, and a client that sends exact bytes.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use peerd::http::auth::{Key, KeySpec, Keys, Refusal};
use peerd::http::body::{Body, BoxError};
use peerd::http::client_address::TrustedProxies;
use peerd::http::events::ServeEvents;
use peerd::http::failed_limit::FailedLimit;
use peerd::http::key_slots::KeySlots;
use peerd::http::peer::{PeerApi, PeerOptions};
use peerd::http::server::{Server, ServerOptions};
use peerd::http::tls::Tls;
use peerd::http::transfers::Transfers;
use peerd::library::{Library, ShareSpec};
use range_http::sendfile::Piece;
use retry_kit::{Rate, RateLimiter, TokioClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The key that opens everything.
pub(crate) const KEY: &str = "the-key-of-alice";

/// The key that opens the share `two` only.
pub(crate) const SCOPED: &str = "the-key-of-bob";

/// A daemon's public side.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    pub(crate) library: Arc<Library>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) transfers: Arc<Transfers>,
    pub(crate) stop: CancellationToken,
    pub(crate) running: JoinHandle<()>,
    sendfile: bool,
    directory: tempfile::TempDir,
}

/// What may differ from one test to the next.
pub(crate) struct Setup {
    pub(crate) server: ServerOptions,
    pub(crate) failed: (u32, Duration),
    pub(crate) connections_per_key: usize,
    pub(crate) upload: Rate,
    pub(crate) files: Vec<(&'static str, Vec<u8>)>,
    pub(crate) tls: Arc<Tls>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            server: ServerOptions {
                max_connections: 64,
                header_timeout: Duration::from_secs(600),
                write_stall_timeout: Duration::from_secs(600),
                sendfile: true,
                shutdown_grace: Duration::from_secs(600),
            },
            failed: (20, Duration::from_secs(60)),
            connections_per_key: 0,
            upload: Rate::unlimited(),
            files: Vec::new(),
            tls: Arc::default(),
        }
    }
}

/// What the daemon reported.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) sent: AtomicU64,
    /// Pieces of files that were handed to connections by address.
    addresses: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) body_ended: tokio::sync::Notify,
    pub(crate) ranges: std::sync::Mutex<Vec<&'static str>>,
    pub(crate) answers: std::sync::Mutex<Vec<(&'static str, u16)>>,
}

impl ServeEvents for Counts {
    fn answered(&self, route: &'static str, status: StatusCode) {
        self.answers.lock().expect("not poisoned").push((route, status.as_u16()));
    }

    fn range(&self, kind: &'static str) {
        self.ranges.lock().expect("not poisoned").push(kind);
    }

    fn sent(&self, _share: &str, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    fn body_ended(&self) {
        self.body_ended.notify_one();
    }

    fn refused(&self, _refusal: Refusal) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl Setup {
    /// One for each way a file can leave: by address, where the system can, and copied.
    pub(crate) fn each_way() -> [Self; 2] {
        [true, false].map(|sendfile| {
            let mut setup = Self::default();
            setup.server.sendfile = sendfile;
            setup
        })
    }

    /// Puts a file into the share `one`.
    pub(crate) fn file(mut self, name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        self.files.push((name, content.into()));
        self
    }

    /// Starts the daemon; both shares are walked when it returns.
    pub(crate) async fn start(self) -> Daemon {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for share in ["one", "two"] {
            std::fs::create_dir(directory.path().join(share)).expect("a share");
        }
        for (name, content) in self.files {
            let path = directory.path().join("one").join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
            std::fs::write(path, content).expect("a file");
        }
        std::fs::write(directory.path().join("two/other.bin"), "second share").expect("a file");
        let specs = ["one", "two"].map(|name| ShareSpec {
            name: name.into(),
            root: directory.path().join(name),
            include: vec!["**".into()],
            exclude: vec!["**/.*".into(), "**/*.part".into()],
            follow_symlinks: false,
        });
        // Late enough that every tag is strong: files of a test are never two seconds old.
        let now = || SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 37);
        let library = Arc::new(Library::new(specs.to_vec(), now).expect("two shares"));
        library.scan_all().await;
        let keys = Arc::new(Keys::new(true, [key("alice", KEY, "*"), key("bob", SCOPED, "two")]));
        let counts = Arc::new(Counts::default());
        let transfers = Transfers::new(Arc::new(TokioClock));
        let options = PeerOptions {
            name: "test node".into(),
            failed_limit: Arc::new(FailedLimit::new(self.failed.0, self.failed.1)),
            key_slots: KeySlots::new(self.connections_per_key),
            trusted_proxies: TrustedProxies::default(),
            upload: RateLimiter::new(Arc::new(TokioClock), self.upload),
            transfers: Arc::clone(&transfers),
        };
        let api = PeerApi::new(Arc::clone(&library), Arc::clone(&keys), counts.clone(), options);
        let sendfile = self.server.sendfile;
        let server = Server::bind(&["127.0.0.1:0".parse().expect("an address")], self.server).await;
        let server = server.expect("a free port").with_tls(self.tls);
        let address = server.local_addrs()[0];
        let stop = CancellationToken::new();
        let looking = Arc::clone(&counts);
        let handler = move |request, connection| {
            let (answer, counts) = (Arc::clone(&api).handle(request, connection), Arc::clone(&looking));
            async move { answer.await.map(|body| LookedAt { body, counts }.boxed_unsync()) }
        };
        let running = tokio::spawn(server.run(handler, stop.clone()));
        Daemon { address, library, keys, counts, transfers, stop, running, sendfile, directory }
    }
}

/// A body as it is; what it hands over by address is counted.
struct LookedAt {
    body: Body,
    counts: Arc<Counts>,
}

impl http_body::Body for LookedAt {
    type Data = Piece;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BoxError>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let by_address = frame.data_ref().is_some_and(Piece::is_address);
            self.counts.addresses.fetch_add(by_address.into(), Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A key as the daemon holds it.
pub(crate) fn key(name: &str, secret: &str, share: &str) -> Key {
    Key::from(&KeySpec { name: name.into(), secret: secret.into(), shares: vec![share.into()] })
}

impl Daemon {
    /// A daemon with one file in the share `one`.
    pub(crate) async fn with(name: &'static str, content: impl Into<Vec<u8>>) -> Self {
        Setup::default().file(name, content).start().await
    }

    /// Whether files left the way they were set up to.
    pub(crate) fn files_left_as_set_up(&self) -> bool {
        let by_address = self.counts.addresses.load(Ordering::Relaxed) > 0;
        by_address == (self.sendfile && cfg!(target_os = "linux"))
    }

    /// The path of a file in the share `one`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join("one").join(name)
    }

    /// Where everything lives; no answer may name it.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The route of a file by its name.
    pub(crate) async fn route(&self, name: &str) -> String {
        let answer = self.get("/peer/items?limit=1000").await;
        let list: serde_json::Value = serde_json::from_slice(&answer.body).expect("a list");
        let items = list["items"].as_array().expect("items");
        let item = items.iter().find(|item| item["filename"] == name).expect("the file is listed");
        format!("/peer/items/{}/file", item["id"].as_str().expect("an id"))
    }

    /// A fresh connection.
    pub(crate) async fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address).await.expect("a connection"))
    }

    /// A fresh connection that takes little at once.
    pub(crate) async fn connect_small(&self) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(16 * 1024).expect("a small buffer");
        Client::new(socket.connect(self.address).await.expect("a connection"))
    }

    /// GET with the key that opens everything.
    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, &[]).await
    }

    /// One request with the key that opens everything, on a connection of its own.
    pub(crate) async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        let fields = [&[("X-Api-Key", KEY)], fields].concat();
        self.connect().await.ask(method, target, &fields).await
    }
}

/// One connection to the daemon.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
    /// Whether the body has the length that was announced.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn ask(&mut self, method: &str, target: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(&request(method, target, fields)).await;
        self.answer(method == "HEAD").await.expect("an answer")
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the daemon takes what we send");
    }

    /// The next answer; `None` if the connection ends before it begins.
    pub(crate) async fn answer(&mut self, head_only: bool) -> Option<Answer> {
        let mut answer = self.head().await?;
        let length = answer.field("content-length").parse().unwrap_or(0);
        if !head_only && answer.status != 304 {
            while self.buffer.len() < length && self.fill().await {}
            answer.whole = self.buffer.len() >= length;
            answer.body = self.buffer.drain(..length.min(self.buffer.len())).collect();
        }
        Some(answer)
    }

    /// The head of the next answer.
    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            if !self.fill().await {
                assert!(self.buffer.is_empty(), "the connection ended within a head");
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head in ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().expect("a status line").split(' ').nth(1).expect("a status");
        let mut fields = BTreeMap::new();
        for line in lines {
            let (name, value) = line.split_once(':').expect("a field");
            let twice = fields.insert(name.to_lowercase(), value.trim().to_owned());
            assert_eq!(twice, None, "{name} is there twice");
        }
        Some(Answer { status: status.parse().expect("a number"), fields, body: Vec::new(), whole: true })
    }

    /// Reads everything until the connection ends.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.buffer)
    }

    async fn fill(&mut self) -> bool {
        // A reset is an end like any other here.
        self.stream.read_buf(&mut self.buffer).await.is_ok_and(|bytes| bytes > 0)
    }
}

/// The bytes of a request.
pub(crate) fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{fields}\r\n").into_bytes()
}
