//! One connection from its first byte to its last.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use http::{Response, Version};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::access::Access;
use super::body::Body;
use super::framing::FramingGuard;
use super::key_slots::{KeySlot, KeySlots};
use super::problem::Problem;
use super::server::ServerOptions;
use super::stall::StallGuard;

/// What is known about a connection, the same for all its requests.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// This end.
    pub local: SocketAddr,
    slot: Mutex<Option<KeySlot>>,
}

impl ConnectionInfo {
    fn new(peer: SocketAddr, local: SocketAddr) -> Self {
        Self { peer, local, slot: Mutex::default() }
    }

    /// Counts this connection as one of `key`'s until it ends or another key is used on it. Returns whether
    /// it may be.
    pub fn claim(&self, slots: &Arc<KeySlots>, key: &str) -> bool {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|slot| slot.key() == key) {
            return true;
        }
        *slot = None;
        *slot = slots.claim(key);
        slot.is_some()
    }
}

/// Answers requests until either side ends the connection or `shutdown` lets the current answer be the last.
pub(super) async fn serve<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    handler: H,
    options: ServerOptions,
    shutdown: CancellationToken,
) where
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F,
    F: Future<Output = Response<Body>>,
{
    let Ok(local) = stream.local_addr() else { return };
    tune(&stream);
    let info = Arc::new(ConnectionInfo::new(peer, local));
    let service = service_fn(|request: Request<Incoming>| {
        let refused = check(&request);
        let closing = request.headers().contains_key(TRANSFER_ENCODING);
        let access = Access::of(&request);
        let span = access.span();
        let answer = refused.is_none().then(|| handler(request, Arc::clone(&info)));
        async move {
            let mut response = match (refused, answer) {
                (None, Some(answer)) => answer.await,
                (refused, _) => refused.unwrap_or_else(Problem::internal).into_response(),
            };
            if closing {
                // The framing guard does not follow chunks, so nothing may come after them.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            access.answered(&mut response, peer);
            Ok::<_, Infallible>(response)
        }
        .instrument(span)
    });
    let stream = TokioIo::new(FramingGuard::new(StallGuard::new(stream, options.write_stall_timeout)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_buf_size(MAX_HEAD)
        .serve_connection(stream, service);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

/// What the parser lets pass and RFC 9112 §3.2 does not: a request without a Host, or with several.
fn check(request: &Request<Incoming>) -> Option<Problem> {
    let hosts = request.headers().get_all(HOST).iter().count();
    let needed = request.version() >= Version::HTTP_11;
    let wrong = hosts > 1 || (needed && hosts == 0);
    wrong.then(|| Problem::bad_request("exactly one Host is needed").closing())
}

/// Sends small answers at once, and keeps little unsent in the kernel, so that a stall is seen when it begins
/// and not after megabytes of buffer. The congestion window is not touched: what is in flight does not count
/// as unsent.
fn tune(stream: &TcpStream) {
    let socket = socket2::SockRef::from(stream);
    let tuned = socket.set_tcp_nodelay(true);
    #[cfg(target_os = "linux")]
    let tuned = tuned.and(socket.set_tcp_notsent_lowat(UNSENT));
    if let Err(error) = tuned {
        tracing::debug!(error = &error as &dyn std::error::Error, "cannot tune a socket");
    }
}

/// The largest request head; answered with 431 beyond.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes that may wait unsent in the kernel.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 * 1024;
