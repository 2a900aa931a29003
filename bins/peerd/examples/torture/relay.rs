//! The way between the two daemons: it stays while either is gone, is as fast as it is told, and counts.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::sync::Arc;

use retry_kit::{RateLimiter, TokioClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An address that leads to the sharing daemon, wherever that one listens this time.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    way: Arc<Way>,
}

struct Way {
    target: watch::Sender<Option<SocketAddr>>,
    /// Bytes of answers handed to the fetching side since the beginning, heads included.
    passed: watch::Sender<u64>,
    limit: RateLimiter,
}

impl Relay {
    pub(crate) async fn start(bytes_per_second: u64) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let way = Arc::new(Way {
            target: watch::Sender::new(None),
            passed: watch::Sender::new(0),
            limit: RateLimiter::new(Arc::new(TokioClock), NonZeroU64::new(bytes_per_second).into()),
        });
        let address = listener.local_addr()?;
        tokio::spawn(accept(listener, Arc::clone(&way)));
        Ok(Self { address, way })
    }

    /// Leads to `target` from now on; connections to the target before are cut.
    pub(crate) fn lead_to(&self, target: Option<SocketAddr>) {
        self.way.target.send_replace(target);
    }

    pub(crate) fn passed(&self) -> u64 {
        *self.way.passed.borrow()
    }

    /// Waits until so many bytes have passed since the beginning.
    pub(crate) async fn until(&self, bytes: u64) {
        let mut passed = self.way.passed.subscribe();
        // The sender lives as long as the relay does.
        passed.wait_for(|passed| *passed >= bytes).await.ok();
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
    let answers = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            way.limit.acquire(read as u64).await;
            if to_client.write_all(&buffer[..read]).await.is_err() {
                return;
            }
            way.passed.send_modify(|passed| *passed += read as u64);
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = answers => {}
    }
}
