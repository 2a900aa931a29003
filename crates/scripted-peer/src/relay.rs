//! A way between two programs that stays while either of them is gone, and that can be cut or held.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::patience;

/// An address that leads to a server, wherever that one listens this time. While there is none, connections are closed
/// as soon as they are made.
///
/// Bytes pass as fast as both sides take them. It lives on the runtime it was started on; dropped, it takes no further
/// connection.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    way: Arc<Way>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Way {
    target: watch::Sender<Option<SocketAddr>>,
    toll: watch::Sender<Toll>,
}

/// Bytes of answers since the start, over all connections.
#[derive(Debug)]
struct Toll {
    /// That may pass.
    allowed: u64,
    /// That have passed.
    passed: u64,
    /// That are on their way.
    taken: u64,
}

impl Relay {
    /// Starts a relay on a free port of 127.0.0.1 that leads nowhere yet.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let way = Arc::new(Way {
            target: watch::Sender::new(None),
            toll: watch::Sender::new(Toll { allowed: u64::MAX, passed: 0, taken: 0 }),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&way)));
        Self { address, way, accepting }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as a URL of the root.
    pub fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Leads to `target` from now on; connections to the target before are cut.
    pub fn lead_to(&self, target: Option<SocketAddr>) {
        self.way.target.send_replace(target);
    }

    /// Lets no more than `bytes` more of answers pass, heads included, over all connections together.
    pub fn allow(&self, bytes: u64) {
        self.way.toll.send_modify(|toll| toll.allowed = toll.passed.saturating_add(bytes));
    }

    /// Lets everything pass.
    pub fn open(&self) {
        self.way.toll.send_modify(|toll| toll.allowed = u64::MAX);
    }

    /// Bytes of answers handed to clients since the start, heads included.
    pub fn passed(&self) -> u64 {
        self.way.toll.borrow().passed
    }

    /// Waits until so many bytes have passed since the start.
    pub async fn until(&self, bytes: u64) {
        let mut toll = self.way.toll.subscribe();
        // The sender lives as long as the relay does.
        toll.wait_for(|toll| toll.passed >= bytes).await.ok();
    }

    /// Waits until everything that was allowed has passed.
    ///
    /// # Panics
    /// When it takes more than a minute.
    pub async fn exhausted(&self) {
        let allowed = self.way.toll.borrow().allowed;
        let arrived = patience(self.until(allowed)).await;
        assert!(arrived.is_some(), "only {} of {allowed} bytes passed", self.passed());
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, way: Arc<Way>) {
    while let Ok((client, _)) = listener.accept().await {
        let way = Arc::clone(&way);
        tokio::spawn(async move {
            let mut target = way.target.subscribe();
            let Some(address) = *target.borrow_and_update() else { return };
            let Ok(server) = TcpStream::connect(address).await else { return };
            tokio::select! {
                () = pass(client, server, &way) => {}
                _ = target.changed() => {}
            }
        });
    }
}

async fn pass(client: TcpStream, server: TcpStream, way: &Way) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = tokio::io::copy(&mut from_client, &mut to_server);
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let leave = way.leave(buffer.len()).await;
            let Ok(read @ 1..) = from_server.read(&mut buffer[..leave.bytes]).await else { return };
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            leave.used(read);
        }
    };
    tokio::select! {
        _ = requests => {}
        () = answers => {}
    }
}

impl Way {
    /// Waits for leave to let bytes pass, `most` of them or fewer.
    async fn leave(&self, most: usize) -> Leave<'_> {
        let mut toll = self.toll.subscribe();
        loop {
            let mut bytes = 0;
            self.toll.send_if_modified(|toll| {
                let room = toll.allowed.saturating_sub(toll.passed + toll.taken);
                bytes = usize::try_from(room).unwrap_or(usize::MAX).min(most);
                toll.taken += bytes as u64;
                false
            });
            if bytes > 0 {
                return Leave { way: self, bytes };
            }
            toll.changed().await.ok();
        }
    }
}

/// Leave to let some bytes pass. What is not used goes back, also when the connection is cut.
struct Leave<'a> {
    way: &'a Way,
    bytes: usize,
}

impl Leave<'_> {
    fn used(self, bytes: usize) {
        self.way.toll.send_modify(|toll| toll.passed += bytes as u64);
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.way.toll.send_modify(|toll| toll.taken -= self.bytes as u64);
    }
}
