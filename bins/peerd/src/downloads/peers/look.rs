//! A light question: is anybody there?

use std::time::Duration;

use super::{Peer, PeerError, Peers};

impl Peers {
    /// Asks for `/ping`, without the key. Whatever comes back is a sign of life; nothing of it is read.
    pub(in crate::downloads) async fn look(&self, peer: &Peer) -> Result<(), PeerError> {
        let request = http::Request::get(peer.url("ping")).body(()).map_err(|_| PeerError::Malformed)?;
        let late = self.shared.clock.sleep(PATIENCE);
        tokio::select! {
            answer = peer.way().transport.get(request) => Ok(answer.map(drop)?),
            () = late => Err(PeerError::Timeout),
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(5);
