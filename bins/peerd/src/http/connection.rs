//! One connection from its first byte to its last.

mod http1;
mod http2;
mod plain;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::HOST;
use http::{Response, Version};
use hyper::Request;
use hyper::body::Incoming;
use range_http::sendfile::Lane;
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::access::Access;
use super::activity::Activity;
use super::body::Body;
use super::key_slots::{KeySlot, KeySlots};
use super::problem::Problem;
use super::server::{ServerOptions, refuse};
use super::stall::StallGuard;
use super::tls::{self, HandshakeError};
use crate::tls::HTTP_2;

/// What is known about a connection, the same for all its requests.
#[derive(Debug)]
pub struct ConnectionInfo {
    /// The other end.
    pub peer: SocketAddr,
    /// This end.
    pub local: SocketAddr,
    /// The right to answer with addresses of files.
    lane: Option<Lane>,
    /// Whether requests are answered side by side.
    side_by_side: bool,
    slots: Mutex<Vec<KeySlot>>,
}

impl ConnectionInfo {
    fn new(peer: SocketAddr, local: SocketAddr, lane: Option<Lane>, side_by_side: bool) -> Arc<Self> {
        Arc::new(Self { peer, local, lane, side_by_side, slots: Mutex::default() })
    }

    /// How a file goes out on this connection without being copied; `None` where it cannot.
    pub(super) fn lane(&self) -> Option<Lane> {
        self.lane
    }

    /// The most bytes of a file that are read at once, where the connection has a wish.
    pub(super) fn chunk(&self) -> Option<u32> {
        self.side_by_side.then_some(SIDE_BY_SIDE_CHUNK)
    }

    /// Counts this connection as one of `key`'s until it ends; where requests come one after the other, until another
    /// key is used on it. Returns whether it may be.
    pub fn claim(&self, slots: &Arc<KeySlots>, key: &str) -> bool {
        let mut held = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if held.iter().any(|slot| slot.key() == key) {
            return true;
        }
        if !self.side_by_side {
            held.clear();
        }
        let slot = slots.claim(key);
        let claimed = slot.is_some();
        held.extend(slot);
        claimed
    }
}

/// Answers requests until either side ends the connection or `shutdown` lets the current answers be the last. With
/// `terms`, TLS is spoken, and the client chooses between HTTP/1.1 and HTTP/2; answers beyond the first at once are
/// those that `further` lets in.
pub(super) async fn serve<H, F>(
    stream: TcpStream,
    peer: SocketAddr,
    terms: Option<Arc<ServerConfig>>,
    handler: H,
    options: ServerOptions,
    further: Arc<Semaphore>,
    shutdown: CancellationToken,
) where
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let Ok(local) = stream.local_addr() else { return };
    tune(&stream);
    let Some(terms) = terms else {
        let (stream, lane) = plain::carry(stream, options.sendfile);
        let info = ConnectionInfo::new(peer, local, lane, false);
        let stream = StallGuard::new(stream, options.write_stall_timeout);
        return http1::serve(stream, info, handler, &options, shutdown).await;
    };
    // Apart, so that thousands of idle connections in the clear do not each hold the room of one with TLS.
    Box::pin(serve_encrypted(stream, (peer, local), terms, handler, options, further, shutdown)).await;
}

/// The same for a connection that begins with a handshake.
async fn serve_encrypted<H, F>(
    stream: TcpStream,
    (peer, local): (SocketAddr, SocketAddr),
    terms: Arc<ServerConfig>,
    handler: H,
    options: ServerOptions,
    further: Arc<Semaphore>,
    shutdown: CancellationToken,
) where
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let accepted = tokio::select! {
        accepted = tls::accept(terms, stream, &options) => accepted,
        () = shutdown.cancelled() => return,
    };
    match accepted {
        Ok(mut stream) if stream.get_ref().1.alpn_protocol() == Some(HTTP_2) => {
            let activity = Activity::new();
            stream.get_mut().0.tells(activity.clone());
            let info = ConnectionInfo::new(peer, local, None, true);
            http2::serve(stream, activity, info, handler, &options, further, shutdown).await;
        }
        Ok(stream) => {
            let info = ConnectionInfo::new(peer, local, None, false);
            http1::serve(stream, info, handler, &options, shutdown).await;
        }
        Err(error) => {
            tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection got no further than TLS");
            if let HandshakeError::InTheClear(stream) = error {
                refuse(stream, tls::IN_THE_CLEAR).await;
            }
        }
    }
}

/// Answers one request, and writes its line in the log.
async fn answer<H, F>(request: Request<Incoming>, handler: H, info: Arc<ConnectionInfo>) -> Response<Body>
where
    H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F,
    F: Future<Output = Response<Body>>,
{
    let (refused, access, peer) = (check(&request), Access::of(&request), info.peer);
    let span = access.span();
    async move {
        let mut response = match refused {
            Some(problem) => problem.into_response(),
            None => handler(request, info).await,
        };
        access.answered(&mut response, peer);
        response
    }
    .instrument(span)
    .await
}

/// What the parsers let pass and RFC 9112 §3.2 and RFC 9113 §8.3.1 do not: a request that does not say, or not clearly,
/// for whom it is.
fn check(request: &Request<Incoming>) -> Option<Problem> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (host, another) = (hosts.next(), hosts.next());
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let wrong = another.is_some()
        || match (request.version(), host, authority) {
            (Version::HTTP_2, Some(host), Some(authority)) => {
                !host.as_bytes().eq_ignore_ascii_case(authority)
            }
            (Version::HTTP_2, host, authority) => host.is_none() && authority.is_none(),
            (version, host, _) => host.is_none() && version >= Version::HTTP_11,
        };
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

/// Says why a connection ended before its time; nobody but a curious operator needs to know.
fn report(peer: SocketAddr, ended: Result<(), hyper::Error>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &error as &dyn std::error::Error, "a connection ended early");
    }
}

/// Bytes of a file read at once where many are read side by side.
const SIDE_BY_SIDE_CHUNK: u32 = 64 * 1024;

/// The largest request head; answered with 431 beyond.
const MAX_HEAD: usize = 64 * 1024;

/// Bytes that may wait unsent in the kernel.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 * 1024;
