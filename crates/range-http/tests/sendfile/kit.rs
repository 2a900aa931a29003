//! A directory behind a real hyper server on loopback, and a client that reads what really came.

use std::convert::Infallible;
use std::fs::{self, File};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Request, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use range_http::sendfile::{FileBody, FileSocket, Lane, Piece, respond};
use range_http::{BodyError, FileSource, Policy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

/// When no file of a test has been left alone yet.
pub(crate) const LONG_AGO: SystemTime = SystemTime::UNIX_EPOCH;

pub(crate) struct Server {
    directory: tempfile::TempDir,
    by_address: bool,
    now: SystemTime,
    address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    pieces_of_files: AtomicUsize,
    failed: Notify,
}

impl Server {
    pub(crate) fn new(by_address: bool) -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
            by_address,
            // Late enough that every file has been left alone.
            now: LONG_AGO + Duration::from_secs(1 << 37),
            address: ([127, 0, 0, 1], 0).into(),
            seen: Arc::default(),
        }
    }

    pub(crate) fn at(self, now: SystemTime) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn file(self, name: &str, content: &[u8]) -> Self {
        fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) async fn start(mut self) -> Self {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let (root, by_address, now) = (self.directory.path().to_owned(), self.by_address, self.now);
        let seen = Arc::clone(&self.seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let socket = FileSocket::new(stream);
                let lane = by_address.then(|| socket.lane().expect("address space"));
                let (root, answering) = (root.clone(), Arc::clone(&seen));
                let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                    let answer = answer(&request, root.clone(), lane, now, Arc::clone(&answering));
                    async { Ok::<_, Infallible>(answer.await) }
                });
                let serving = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    if serving.await.is_err() {
                        seen.failed.notify_one();
                    }
                });
            }
        });
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The body of a whole file, without a server.
    pub(crate) fn body(&self, name: &str, lane: Option<Lane>) -> FileBody {
        let source = FileSource::new(File::open(self.path(name)).unwrap()).unwrap();
        whole(source, self.now, lane).into_body()
    }

    pub(crate) fn pieces_of_files(&self) -> usize {
        self.seen.pieces_of_files.load(Ordering::Relaxed)
    }

    /// Waits until the server gave a connection up.
    pub(crate) async fn connection_failed(&self) {
        self.seen.failed.notified().await;
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::new(TcpStream::connect(self.address).await.unwrap())
    }

    /// A connection that takes little at once.
    pub(crate) async fn connect_small(&self) -> Connection {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(16 * 1024).unwrap();
        Connection::new(socket.connect(self.address).await.unwrap())
    }
}

fn whole(source: FileSource, now: SystemTime, lane: Option<Lane>) -> Response<FileBody> {
    let representation = source.representation(now);
    respond(&Method::GET, &HeaderMap::new(), &representation, &Policy::new(), source, lane)
}

type Answered = Response<UnsyncBoxBody<Piece, BodyError>>;

fn answer(
    request: &Request<hyper::body::Incoming>,
    root: PathBuf,
    lane: Option<Lane>,
    now: SystemTime,
    seen: Arc<Seen>,
) -> impl Future<Output = Answered> + use<> {
    let (method, headers) = (request.method().clone(), request.headers().clone());
    let name = request.uri().path()[1..].to_owned();
    async move {
        let open = |name: &str| FileSource::new(File::open(root.join(name)).unwrap()).unwrap();
        match name.as_str() {
            "abandoned" => {
                let mut left = whole(open("big"), now, lane).into_body();
                let mut piece = left.frame().await.unwrap().unwrap().into_data().unwrap();
                drop(piece.split_to(1_000));
                std::mem::forget(piece);
                drop(left.frame().await.unwrap().unwrap());
                whole(open("other"), now, lane).map(BodyExt::boxed_unsync)
            }
            "failing" => whole(open("big"), now, lane).map(|body| Failing { body, pieces: 2 }.boxed_unsync()),
            name => {
                let source = open(name);
                let representation = source.representation(now);
                let response = respond(&method, &headers, &representation, &Policy::new(), source, lane);
                let counted = move |frame: Frame<Piece>| {
                    frame.map_data(|piece| {
                        if piece.is_address() {
                            seen.pieces_of_files.fetch_add(1, Ordering::Relaxed);
                        }
                        piece
                    })
                };
                response.map(|body| body.map_frame(counted).boxed_unsync())
            }
        }
    }
}

/// Fails after some pieces of a file.
struct Failing {
    body: FileBody,
    pieces: usize,
}

impl Body for Failing {
    type Data = Piece;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, BodyError>>> {
        if self.pieces == 0 {
            return Poll::Ready(Some(Err(BodyError::UnexpectedEnd { at: 0, missing: 1 })));
        }
        self.pieces -= 1;
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// Two ends of a connection.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, far)
}

/// The bytes of a request; an empty range is none.
pub(crate) fn request(method: &str, target: &str, range: &str) -> Vec<u8> {
    let range = if range.is_empty() { String::new() } else { format!("Range: {range}\r\n") };
    format!("{method} {target} HTTP/1.1\r\nHost: test\r\n{range}\r\n").into_bytes()
}

/// The client's end.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) length: Option<usize>,
    pub(crate) body: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request).await;
        self.answer(request.starts_with(b"HEAD")).await.expect("an answer")
    }

    /// The next answer; its body is what came of it.
    pub(crate) async fn answer(&mut self, head_only: bool) -> Option<Answer> {
        let mut answer = self.head().await?;
        if !head_only {
            answer.body = self.some(answer.length.unwrap_or(0)).await;
            assert_eq!(answer.body.len(), answer.length.unwrap_or(0), "the body is as long as announced");
        }
        Some(answer)
    }

    pub(crate) async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            self.fill().await.ok().filter(|&count| count > 0)?;
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("a head in ASCII").to_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map(|length| length.parse().expect("a length"));
        Some(Answer { status, length, body: Vec::new() })
    }

    /// The next `count` bytes, fewer if the connection ends.
    pub(crate) async fn some(&mut self, count: usize) -> Vec<u8> {
        while self.buffer.len() < count && self.fill().await.is_ok_and(|count| count > 0) {}
        self.buffer.drain(..count.min(self.buffer.len())).collect()
    }

    /// Everything that comes, and how it ends.
    pub(crate) async fn rest_and_end(&mut self) -> (Vec<u8>, io::Result<()>) {
        let end = loop {
            match self.fill().await {
                Ok(0) => break Ok(()),
                Ok(_) => {}
                Err(error) => break Err(error),
            }
        };
        (std::mem::take(&mut self.buffer), end)
    }

    async fn fill(&mut self) -> io::Result<usize> {
        self.stream.read_buf(&mut self.buffer).await
    }
}
