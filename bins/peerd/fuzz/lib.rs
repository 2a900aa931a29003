//! The readers of stubs, as they stand in the daemon, and nothing else of it.

/// As `peerd::stub`.
#[path = "../src/stub"]
pub mod stub {
    pub mod bencode;
    pub mod list;
    pub mod torrent;
    pub mod wanted;

    pub use self::list::{Flaw, List, ListError};
    pub use self::torrent::{Prefix, Torrent, TorrentError};
    pub use self::wanted::{NotWanted, Wanted};
}
