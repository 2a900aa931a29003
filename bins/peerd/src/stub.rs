//! Stub files: small files that say what to download.
//!
//! There are two kinds. A [`Torrent`] is a `.torrent` file of one item, whose comment names a peer and the item, so
//! that programs that only know how to write such files can ask for it. A [`List`] is a `.peerd` text file with an
//! item or a URL on each line. Reading is bounded, never panics and touches no disk; what is read may have been
//! written by anybody.

pub mod bencode;
pub mod list;
pub mod torrent;
pub mod wanted;

use std::ffi::OsStr;
use std::path::Path;

use thiserror::Error;

pub use self::list::{Flaw, List, ListError};
pub use self::torrent::{Prefix, Torrent, TorrentError};
pub use self::wanted::{NotWanted, Wanted};

/// A stub file, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stub {
    /// A `.torrent` file that names one of our peers' items.
    Torrent(Torrent),
    /// A `.peerd` file.
    List(List),
}

/// Which kind of stub a file is by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `*.torrent`
    Torrent,
    /// `*.peerd`
    List,
}

/// Why a file is not a stub. It may well be a good file of another kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// More than [`MAX_BYTES`].
    #[error("{length} bytes are more than a stub has ({MAX_BYTES})")]
    TooLong {
        /// Length of the file, or as much of it as was looked at.
        length: u64,
    },
    /// Not a torrent of ours.
    #[error(transparent)]
    Torrent(#[from] TorrentError),
    /// Not a list.
    #[error(transparent)]
    List(#[from] ListError),
}

impl Kind {
    /// The kind a file of this name has; `None` when no stub is called so.
    pub fn of(name: &OsStr) -> Option<Self> {
        let extension = Path::new(name).extension()?;
        [(Self::Torrent, "torrent"), (Self::List, "peerd")]
            .into_iter()
            .find_map(|(kind, known)| extension.eq_ignore_ascii_case(known).then_some(kind))
    }
}

impl Stub {
    /// Reads a stub of this kind.
    ///
    /// # Errors
    /// [`Unreadable`] says why it is none.
    pub fn read(kind: Kind, bytes: &[u8]) -> Result<Self, Unreadable> {
        if bytes.len() > MAX_BYTES {
            return Err(Unreadable::TooLong { length: bytes.len() as u64 });
        }
        Ok(match kind {
            Kind::Torrent => Self::Torrent(Torrent::parse(bytes)?),
            Kind::List => Self::List(List::parse(bytes)?),
        })
    }

    /// Everything it asks for, in its order, each once.
    pub fn wanted(&self) -> Vec<Wanted> {
        match self {
            Self::Torrent(torrent) => vec![torrent.wanted()],
            Self::List(list) => list.wanted.clone(),
        }
    }
}

/// Length of the largest stub, in bytes.
pub const MAX_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_says_which_kind_of_stub_a_file_may_be() {
        for (name, kind) in [
            ("Film.2024.torrent", Some(Kind::Torrent)),
            ("FILM.TORRENT", Some(Kind::Torrent)),
            ("tonight.peerd", Some(Kind::List)),
            ("film.torrent.part", None),
            ("film.magnet", None),
            (".torrent", None),
            ("", None),
        ] {
            assert_eq!(Kind::of(OsStr::new(name)), kind, "{name}");
        }
    }

    #[test]
    fn a_file_over_the_limit_is_not_looked_into() {
        let long = vec![b'#'; MAX_BYTES + 1];
        assert_eq!(Stub::read(Kind::List, &long), Err(Unreadable::TooLong { length: long.len() as u64 }));
    }
}
