//! A way between two daemons that stays while either of them is gone, and that can be cut or held.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// An address that leads to a daemon, wherever that one listens this time. While there is none, connections are
/// closed as soon as they are made.
pub(crate) struct Relay {
    address: SocketAddr,
    way: Arc<Way>,
    _end: DropGuard,
}

struct Way {
    target: watch::Sender<Option<SocketAddr>>,
    /// Bytes of answers that may pass, over all connections.
    allowed: watch::Sender<u64>,
    /// Bytes of answers that have passed.
    passed: watch::Sender<u64>,
}

impl Relay {
    /// A relay that leads nowhere yet.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let way = Arc::new(Way {
            target: watch::Sender::new(None),
            allowed: watch::Sender::new(u64::MAX),
            passed: watch::Sender::new(0),
        });
        let end = CancellationToken::new();
        tokio::spawn(end.clone().run_until_cancelled_owned(accept(listener, Arc::clone(&way))));
        Self { address, way, _end: end.drop_guard() }
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Leads to `target` from now on; connections to the target before are cut.
    pub(crate) fn lead_to(&self, target: Option<SocketAddr>) {
        self.way.target.send_replace(target);
    }

    /// Lets no more than `bytes` more of answers pass.
    pub(crate) fn allow(&self, bytes: u64) {
        let passed = *self.way.passed.borrow();
        self.way.allowed.send_replace(passed + bytes);
    }

    /// Lets everything pass.
    pub(crate) fn open(&self) {
        self.way.allowed.send_replace(u64::MAX);
    }

    /// Waits until everything that was allowed has passed.
    pub(crate) async fn exhausted(&self) {
        let allowed = *self.way.allowed.borrow();
        let mut passed = self.way.passed.subscribe();
        let arrived = tokio::time::timeout(PATIENCE, passed.wait_for(|passed| *passed >= allowed)).await;
        assert!(arrived.is_ok(), "only {} of {allowed} bytes passed", *self.way.passed.borrow());
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
        let mut buffer = vec![0; 16 << 10];
        loop {
            let mut allowed = way.allowed.subscribe();
            let room = || (*way.allowed.borrow()).saturating_sub(*way.passed.borrow());
            while room() == 0 {
                if allowed.changed().await.is_err() {
                    return;
                }
            }
            let most = usize::try_from(room()).unwrap_or(usize::MAX).min(buffer.len());
            let Ok(read @ 1..) = from_server.read(&mut buffer[..most]).await else { return };
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            way.passed.send_modify(|passed| *passed += read as u64);
        }
    };
    tokio::select! {
        _ = requests => {}
        () = answers => {}
    }
}

const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
