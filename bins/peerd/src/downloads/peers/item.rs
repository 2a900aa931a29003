//! What a peer says about an item, for whoever does not want to download it now.

use http::StatusCode;
use thiserror::Error;

use super::{Metadata, PeerError, Peers};

/// What a peer says an item is; to be checked before use.
#[derive(Clone, Debug, Default)]
pub struct Item {
    /// What it calls the file.
    pub filename: Option<String>,
    /// How large it is, in bytes.
    pub size: Option<u64>,
}

/// Why nobody says what an item is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ItemError {
    /// No peer has this name or id.
    #[error("no peer is called {0}")]
    Unknown(String),
    /// The peer says no.
    #[error("the peer answered {0}")]
    Refused(StatusCode),
    /// The peer does not answer, or not in a way that could be read.
    #[error("the peer says nothing about the item")]
    Silent(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Peers {
    /// Asks a peer, given by name or id, what an item is. It takes five seconds at most.
    ///
    /// # Errors
    /// [`ItemError`] when there is no answer to go by.
    ///
    /// # Cancel safety
    /// Safe.
    pub async fn item(&self, name_or_id: &str, item: &str) -> Result<Item, ItemError> {
        let peer = self.find(name_or_id).and_then(|name| self.get(&name));
        let peer = peer.ok_or_else(|| ItemError::Unknown(name_or_id.to_owned()))?;
        match self.metadata(&peer, item).await {
            Ok(Metadata { filename, size }) => Ok(Item { filename, size }),
            Err(PeerError::Status { status, .. }) => Err(ItemError::Refused(status)),
            Err(error) => Err(ItemError::Silent(Box::new(error))),
        }
    }
}
