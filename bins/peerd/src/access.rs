//! Who may talk to whom: the keys others show us, and the peers we know, from the configuration and added while the
//! daemon runs.
//!
//! What the configuration defines is read-only here and wins over what was added under the same name. What was added
//! lives in the registry: of a key of ours only its digest; of a peer everything but its secrets, which lie in a file
//! of their own that nobody else may read ([`secrets`]).

mod key_ring;
mod peer_book;
mod reach;
mod secrets;

pub use key_ring::{KeyError, KeyRing, KeyView, NewKey};
pub use peer_book::{AddedPeer, PeerBook, PeerBookError, PeerView, Prepared};
pub use reach::{Listening, Reach};

/// Where something is defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// In the configuration: its file, the environment, flags.
    File,
    /// In the registry, added while the daemon ran.
    Registry,
}

/// Whether something may be added under this name: one the configuration could use as well, and one that means
/// nothing else in the path of an address.
pub(crate) fn is_usable_name(name: &str) -> bool {
    crate::config::is_name(name) && !matches!(name, "." | "..")
}
