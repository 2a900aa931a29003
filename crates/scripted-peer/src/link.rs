//! A long line on loopback: what lies between two machines that are far apart, without the machines.

mod line;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use self::line::Line;
use crate::server::{Visitors, locked};

/// A way to a server on which every byte takes its time, and every connection carries only so much.
///
/// Each direction of each connection is a line of its own: bytes leave the sender at a rate and arrive a delay later, in
/// order, and so do the end of the connection and its reset. What is on the way is bounded by what the line holds, rate
/// times delay, so a reader that stops is felt by the sender. A new connection takes the round trip of its handshake
/// before it carries anything; one that the server refuses is reset then. Loss and slow start are not played.
///
/// It lives on the runtime it was started on and is gone, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Link {
    address: SocketAddr,
    way: Arc<Way>,
    accepting: JoinHandle<()>,
}

/// What every connection shares.
#[derive(Debug)]
struct Way {
    server: SocketAddr,
    line: Line,
    visitors: Mutex<Visitors>,
    to_server: AtomicU64,
    to_clients: AtomicU64,
}

impl Link {
    /// Starts a link on a free port of 127.0.0.1 that leads to `server`.
    ///
    /// `delay` is one way: the round trip takes twice as long. `bytes_per_second` holds for each direction of each
    /// connection; 0 is no limit but 4 MiB on the way.
    pub async fn start(server: SocketAddr, delay: Duration, bytes_per_second: u64) -> Self {
        let listener = listen().expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let way = Arc::new(Way {
            server,
            line: Line { delay, bytes_per_second },
            visitors: Mutex::default(),
            to_server: AtomicU64::new(0),
            to_clients: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(Arc::clone(&way).accept(listener));
        Self { address, way, accepting }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        locked(&self.way.visitors).accepted
    }

    /// How many connections were open at the same time, at most.
    pub fn most_connections(&self) -> usize {
        locked(&self.way.visitors).most_open
    }

    /// Bytes that were carried to the server, over all connections.
    pub fn bytes_to_server(&self) -> u64 {
        self.way.to_server.load(Ordering::Relaxed)
    }

    /// Bytes that were carried to clients, over all connections.
    pub fn bytes_to_clients(&self) -> u64 {
        self.way.to_clients.load(Ordering::Relaxed)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Way {
    async fn accept(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    // An accept can fail for a client that is gone already; the next one may be better.
                    let Ok((client, _)) = accepted else { continue };
                    connections.spawn(Passage::begin(Arc::clone(&self)).carry(client));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// One open connection; dropping it takes it off the count.
struct Passage(Arc<Way>);

impl Passage {
    fn begin(way: Arc<Way>) -> Self {
        let mut visitors = locked(&way.visitors);
        visitors.accepted += 1;
        visitors.open += 1;
        visitors.most_open = visitors.most_open.max(visitors.open);
        drop(visitors);
        Self(way)
    }

    /// Carries both directions until both have ended. A reset on one side becomes one on the other.
    async fn carry(self, mut client: TcpStream) {
        let Way { server, line, to_server, to_clients, .. } = &*self.0;
        // The kernel has shaken hands already. Over the line that would have taken a round trip.
        sleep_until(Instant::now() + line.delay * 2).await;
        let Ok(mut server) = connect(*server).await else { return reset(&client) };
        if client.set_nodelay(true).is_err() {
            return;
        }
        let outcome = {
            let (from_client, to_client) = client.split();
            let (from_server, into_server) = server.split();
            tokio::try_join!(
                line.carry(from_client, into_server, to_server),
                line.carry(from_server, to_client, to_clients),
            )
        };
        if outcome.is_err() {
            reset(&client);
            reset(&server);
        }
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        locked(&self.0.visitors).open -= 1;
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = small_socket()?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    socket.listen(BACKLOG)
}

async fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = small_socket()?.connect(server).await?;
    // The line decides when bytes leave, not the kernel.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// A socket that holds little, so that bytes wait on the line or with the sender.
fn small_socket() -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    Ok(socket)
}

/// Lets the socket end in a reset when it is dropped.
fn reset(stream: &TcpStream) {
    // If it cannot be reset it is closed, as near as it gets.
    let _ = stream.set_zero_linger();
}

const BACKLOG: u32 = 128;
/// Enough to bridge the moments in which a busy machine runs somebody else.
const SOCKET_BUFFER: u32 = 512 * 1024;
