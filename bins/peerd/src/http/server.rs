//! Listeners and the connections they accept.
//!
//! A server takes connections up to a limit, answers each with a handler, and when told to stop lets what is
//! under way finish within a grace period. It knows nothing about routes or keys.

use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::body::Body;
use super::connection::{self, ConnectionInfo};
use super::tls::Tls;

/// Limits of one server.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Connections at once; those beyond get 503 and are closed. Each has room for one answer; as many more may be
    /// under way, all together, where a connection carries several.
    pub max_connections: usize,
    /// From the moment a request could begin to the end of its head. It also ends connections that idle.
    pub header_timeout: Duration,
    /// How long a reader may take nothing while bytes wait for it; zero is for ever.
    pub write_stall_timeout: Duration,
    /// Whether files go out on plain connections without passing through the daemon, where the system can.
    pub sendfile: bool,
    /// How long answers under way may take after the server was told to stop.
    pub shutdown_grace: Duration,
}

/// Bound listeners that do not accept yet.
#[derive(Debug)]
pub struct Server {
    listeners: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    tls: Arc<Tls>,
    options: ServerOptions,
}

/// Why a listener is not there.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// Where.
    pub address: SocketAddr,
    #[source]
    source: io::Error,
}

impl BindError {
    /// What to do about it, where the address stands under `key`.
    pub fn remedy(&self, key: &str) -> String {
        match self.source.kind() {
            io::ErrorKind::AddrInUse => format!(
                "find out what listens there (ss -ltnp 'sport = :{}'), or set another {key}; port 0 is a free one",
                self.address.port()
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("set {key} to an address of this machine, or to 0.0.0.0 for all of them")
            }
            io::ErrorKind::PermissionDenied => {
                format!("set a port above 1023 in {key}, or have the service manager open the socket")
            }
            _ => format!("set another address in {key}"),
        }
    }

    /// Whether something listens there already.
    pub fn is_taken(&self) -> bool {
        self.source.kind() == io::ErrorKind::AddrInUse
    }
}

/// Whether `address` can be listened on at this moment. Blocking, for an instant.
///
/// # Errors
/// Why it cannot.
pub fn try_bind(address: SocketAddr) -> Result<(), BindError> {
    let bound = std::net::TcpListener::bind(address);
    bound.map(drop).map_err(|source| BindError { address, source })
}

impl Server {
    /// Binds every address; port 0 takes a free one.
    ///
    /// # Errors
    /// The first address that cannot be bound; the others are released.
    ///
    /// # Cancel safety
    /// Safe. What was bound is released.
    pub async fn bind(addresses: &[SocketAddr], options: ServerOptions) -> Result<Self, BindError> {
        let mut server = Self::without_listeners(options);
        for &address in addresses {
            let bound = TcpListener::bind(address).await.and_then(|listener| server.add(listener));
            bound.map_err(|source| BindError { address, source })?;
        }
        Ok(server)
    }

    /// Takes over sockets that already listen, such as those a service manager hands in.
    ///
    /// # Errors
    /// A socket that is no listener.
    pub fn from_listeners(
        listeners: impl IntoIterator<Item = std::net::TcpListener>,
        options: ServerOptions,
    ) -> io::Result<Self> {
        let mut server = Self::without_listeners(options);
        for listener in listeners {
            listener.set_nonblocking(true)?;
            server.add(TcpListener::from_std(listener)?)?;
        }
        Ok(server)
    }

    /// Speaks TLS, or not, as `tls` says at the time of each connection. Without this, never.
    #[must_use]
    pub fn with_tls(mut self, tls: Arc<Tls>) -> Self {
        self.tls = tls;
        self
    }

    fn without_listeners(options: ServerOptions) -> Self {
        Self { listeners: Vec::new(), addresses: Vec::new(), tls: Arc::default(), options }
    }

    fn add(&mut self, listener: TcpListener) -> io::Result<()> {
        self.addresses.push(listener.local_addr()?);
        self.listeners.push(listener);
        Ok(())
    }

    /// What was bound, in the order given.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Accepts connections and answers their requests with `handler` until `shutdown`, then stops accepting,
    /// ends idle connections, and waits for answers under way for the grace period. Returns when no
    /// connection is left.
    ///
    /// A handler that panics ends its connection and no other.
    ///
    /// # Cancel safety
    /// Dropping it ends every connection at once.
    pub async fn run<H, F>(self, handler: H, shutdown: CancellationToken)
    where
        H: Fn(Request<Incoming>, Arc<ConnectionInfo>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = http::Response<Body>> + Send + 'static,
    {
        let Self { listeners, tls, options, .. } = self;
        let permits = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
        let further = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        let (mut connections, mut next) = (JoinSet::new(), 0);
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = connections.join_next() => {
                    report(ended);
                    continue;
                }
                accepted = accept(&listeners, &mut next) => accepted,
            };
            match accepted {
                Ok((stream, peer)) => match Arc::clone(&permits).try_acquire_owned() {
                    Ok(permit) => {
                        let serving = connection::serve(
                            stream,
                            peer,
                            tls.terms(),
                            handler.clone(),
                            options.clone(),
                            Arc::clone(&further),
                            shutdown.clone(),
                        );
                        connections.spawn(async move {
                            serving.await;
                            drop(permit);
                        });
                    }
                    Err(_) => {
                        tracing::debug!(%peer, "refused a connection: all are taken");
                        // Words in the clear mean nothing to whoever begins a handshake.
                        if !tls.is_on()
                            && let Ok(permit) = Arc::clone(&refusals).try_acquire_owned()
                        {
                            connections.spawn(async move {
                                refuse(stream, REFUSAL).await;
                                drop(permit);
                            });
                        }
                    }
                },
                Err(error) => pause_after(&error, &shutdown).await,
            }
        }
        drop(listeners);
        let draining = async {
            while let Some(ended) = connections.join_next().await {
                report(ended);
            }
        };
        if tokio::time::timeout(options.shutdown_grace, draining).await.is_err() {
            tracing::warn!(
                connections = connections.len(),
                "the grace period is over: ending what is under way"
            );
            connections.shutdown().await;
        }
    }
}

/// Takes the next connection of whichever listener has one.
/// They are asked in turn, from `next` on, so that none waits behind a busy one.
async fn accept(listeners: &[TcpListener], next: &mut usize) -> io::Result<(TcpStream, SocketAddr)> {
    let first = next.checked_rem(listeners.len()).unwrap_or(0);
    *next = first + 1;
    let (before, from_first) = listeners.split_at(first);
    std::future::poll_fn(|cx| {
        for listener in from_first.iter().chain(before) {
            if let Poll::Ready(accepted) = listener.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    })
    .await
}

/// Waits a little where accepting again at once would only fail again, as when descriptors have run out.
async fn pause_after(error: &io::Error, shutdown: &CancellationToken) {
    if matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    ) {
        return;
    }
    tracing::warn!(error = error as &dyn std::error::Error, "cannot accept a connection");
    tokio::time::timeout(ACCEPT_PAUSE, shutdown.cancelled()).await.ok();
}

/// Says why a connection is not served, such as 503 beyond the limit, and closes it.
///
/// What the client has sent is read away for a moment: closing over unread bytes would reset the connection
/// and take the answer with it.
pub(super) async fn refuse(stream: TcpStream, answer: &[u8]) {
    let Ok(stream) = stream.into_std() else { return };
    // The answer fits any fresh send buffer; a socket that cannot take it is not worth waiting for.
    if (&stream).write_all(answer).is_err() || stream.shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    let read_away = async {
        let mut read = 0;
        while read < REFUSAL_READ && stream.readable().await.is_ok() {
            match stream.try_read(&mut [0; 4096]) {
                Ok(0) => break,
                Ok(bytes) => read += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    };
    tokio::time::timeout(REFUSAL_TIME, read_away).await.ok();
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(error = &error as &dyn std::error::Error, "a connection ended by a panic");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const REFUSAL: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Retry-After: 5\r\n\
    Connection: close\r\n\
    Content-Type: application/problem+json\r\n\
    Content-Length: 99\r\n\
    \r\n\
    {\"status\":503,\"title\":\"All connections are taken\",\"type\":\"urn:peerd:problem:too-many-connections\"}\n";

/// Refused connections that are closed gently at once; those beyond are just closed.
const MAX_REFUSALS: usize = 32;

const REFUSAL_READ: usize = 64 * 1024;

const REFUSAL_TIME: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_is_a_well_formed_response() {
        let text = std::str::from_utf8(REFUSAL).expect("ASCII");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        assert_eq!(length.parse(), Ok(body.len()));
        let document: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(document["status"], 503);
    }
}
