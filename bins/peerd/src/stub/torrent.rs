//! The torrent that is none: its comment, `jack:PEER:ITEM` or `peerd:PEER:ITEM`, says where the file really is.
//!
//! Whoever handles the file before us takes it for an ordinary torrent, so it has everything one must have: the
//! pieces are as many as the length asks for, and the keys are sorted. The pieces are zeros, because nobody ever
//! asks for them.

use thiserror::Error;

use super::bencode::{BencodeError, Reader, Token, unsigned, write_bytes, write_int};
use super::wanted::{NotWanted, Wanted};

/// What a torrent stub says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torrent {
    /// The word its comment begins with.
    pub prefix: Prefix,
    /// The peer's name here, or the first eight hex digits of the SHA-256 of its configured URL.
    pub peer: String,
    /// The peer's name for the item; may contain colons.
    pub item: String,
    /// `info.name`: what the release is called.
    pub name: Option<String>,
    /// `info.length`: how large the file is said to be, in bytes.
    pub size: Option<u64>,
}

/// The word the comment of a stub begins with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefix {
    /// `jack`, which the original system reads and writes.
    Jack,
    /// `peerd`
    #[default]
    Peerd,
}

/// Why a file is no torrent stub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TorrentError {
    /// Not a torrent at all, or not all of one.
    #[error("not a torrent: {0}")]
    Bencode(#[from] BencodeError),
    /// Something else than a dictionary.
    #[error("not a torrent: no dictionary")]
    NoDictionary,
    /// More after the end.
    #[error("not a torrent: it goes on after its end, at byte {at}")]
    Trailing {
        /// Where, counted from 0.
        at: usize,
    },
    /// A torrent without a comment of ours.
    #[error("a torrent, and its comment names no item of a peer (jack:PEER:ITEM or peerd:PEER:ITEM)")]
    NotOurs,
    /// A comment of ours that names nothing.
    #[error("its comment names no item of a peer: {0}")]
    Nothing(#[from] NotWanted),
}

impl Torrent {
    /// Reads a stub. Unknown keys are passed over; of a key that stands there twice, the last one counts.
    ///
    /// # Errors
    /// [`TorrentError`] when it is no torrent, or not one of ours.
    pub fn parse(bytes: &[u8]) -> Result<Self, TorrentError> {
        let mut reader = Reader::new(bytes);
        if reader.token()? != Token::Dict {
            return Err(TorrentError::NoDictionary);
        }
        let (mut comment, mut info) = (None, Info::default());
        while let Some(key) = reader.key()? {
            let value = reader.token()?;
            match (key, value) {
                (b"comment", Token::Bytes(text)) => comment = Some(text),
                (b"info", Token::Dict) => info = Info::read(&mut reader)?,
                _ => reader.skip(value)?,
            }
        }
        if !reader.rest().trim_ascii().is_empty() {
            return Err(TorrentError::Trailing { at: reader.position() });
        }
        let comment =
            comment.and_then(|comment| std::str::from_utf8(comment).ok()).ok_or(TorrentError::NotOurs)?;
        let (prefix, peer, item) = split(comment).ok_or(TorrentError::NotOurs)?;
        Wanted::item(peer, item)?;
        let (peer, item) = (peer.to_owned(), item.to_owned());
        Ok(Self { prefix, peer, item, name: info.name, size: info.size })
    }

    /// The file. Its keys are sorted and its pieces fit its length, so that every program takes it for a torrent; the
    /// `info` it is known by depends on name and size alone.
    ///
    /// A stub without a name is named after its item; one without a size has none of its pieces.
    pub fn to_bytes(&self) -> Vec<u8> {
        let size = self.size.unwrap_or(0);
        let piece = piece_length(size);
        let pieces = usize::try_from(size.div_ceil(piece)).unwrap_or(usize::MAX).min(MAX_PIECES);
        let name = self.name.as_deref().unwrap_or(&self.item);
        let comment = format!("{}:{}:{}", self.prefix.as_str(), self.peer, self.item);
        let mut file = b"d7:comment".to_vec();
        write_bytes(&mut file, comment.as_bytes());
        file.extend_from_slice(b"4:infod6:length");
        write_int(&mut file, size);
        file.extend_from_slice(b"4:name");
        write_bytes(&mut file, name.as_bytes());
        file.extend_from_slice(b"12:piece length");
        write_int(&mut file, piece);
        file.extend_from_slice(b"6:pieces");
        write_bytes(&mut file, &vec![0; pieces * PIECE_HASH]);
        file.extend_from_slice(b"ee");
        file
    }

    /// What it asks for.
    pub fn wanted(&self) -> Wanted {
        Wanted::Item { peer: self.peer.clone(), item: self.item.clone() }
    }
}

impl Prefix {
    /// The word itself.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jack => "jack",
            Self::Peerd => "peerd",
        }
    }
}

#[derive(Default)]
struct Info {
    name: Option<String>,
    size: Option<u64>,
}

impl Info {
    fn read(reader: &mut Reader<'_>) -> Result<Self, BencodeError> {
        let mut info = Self::default();
        while let Some(key) = reader.key()? {
            let value = reader.token()?;
            match (key, value) {
                (b"name", Token::Bytes(name)) => {
                    info.name =
                        std::str::from_utf8(name).ok().filter(|name| !name.is_empty()).map(str::to_owned);
                }
                (b"length", Token::Int(length)) => info.size = unsigned(length),
                _ => reader.skip(value)?,
            }
        }
        Ok(info)
    }
}

fn split(comment: &str) -> Option<(Prefix, &str, &str)> {
    let (word, rest) = comment.split_once(':')?;
    let prefix = [Prefix::Jack, Prefix::Peerd].into_iter().find(|prefix| prefix.as_str() == word)?;
    let (peer, item) = rest.split_once(':')?;
    Some((prefix, peer, item))
}

/// 16 MiB, and larger only for files whose pieces would make the stub larger than one may be.
fn piece_length(size: u64) -> u64 {
    let mut piece: u64 = 16 << 20;
    while size.div_ceil(piece) > MAX_PIECES as u64 {
        piece *= 2;
    }
    piece
}

/// Pieces of a stub: their hashes are half of the largest file that is read.
const MAX_PIECES: usize = (1 << 19) / PIECE_HASH;
/// Bytes of one piece's SHA-1.
const PIECE_HASH: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stub::MAX_BYTES;

    fn stub(peer: &str, item: &str, name: &str, size: u64) -> Torrent {
        let (peer, item) = (peer.to_owned(), item.to_owned());
        Torrent { prefix: Prefix::Jack, peer, item, name: Some(name.to_owned()), size: Some(size) }
    }

    /// A torrent with this comment, and an info as long as it needs to be.
    fn commented(comment: &[u8]) -> Vec<u8> {
        let mut file = b"d8:announce3:x:y7:comment".to_vec();
        write_bytes(&mut file, comment);
        file.extend_from_slice(b"13:creation datei-1e4:infod6:lengthi10e4:name1:n7:privatei1eee");
        file
    }

    #[test]
    fn the_original_system_writes_the_same_bytes() {
        // Its info has the SHA-1 cfbc8cf42dee94c9875c4eb7035741296eead61b.
        let zeros = "\0".repeat(20);
        let info =
            format!("d6:lengthi10e4:name14:Big Buck Bunny12:piece lengthi16777216e6:pieces20:{zeros}e");
        let expected = format!("d7:comment27:jack:peer0001:conn:movie:424:info{info}e");
        let written = stub("peer0001", "conn:movie:42", "Big Buck Bunny", 10).to_bytes();
        assert_eq!(String::from_utf8(written.clone()).unwrap(), expected);
        assert_eq!(written.len(), 140);
    }

    #[test]
    fn what_is_written_is_read_again() {
        for size in [0, 1, 16 << 20, (16 << 20) + 1, 100 << 30, 1 << 45, u64::MAX] {
            for prefix in [Prefix::Jack, Prefix::Peerd] {
                let stub = Torrent { prefix, ..stub("bob", "a:b:c d", "Film 2024", size) };
                let file = stub.to_bytes();
                assert!(file.len() <= MAX_BYTES, "{size}");
                assert_eq!(Torrent::parse(&file), Ok(stub), "{size}");
            }
        }
    }

    #[test]
    fn the_pieces_fit_the_length() {
        for (size, piece, pieces) in [
            (0, 16 << 20, 0),
            (1, 16 << 20, 1),
            (16 << 20, 16 << 20, 1),
            ((16 << 20) + 1, 16 << 20, 2),
            (100 << 30, 16 << 20, 6400),
            (1 << 40, 64 << 20, 16_384),
        ] {
            let file = stub("b", "i", "n", size).to_bytes();
            let head = format!("12:piece lengthi{piece}e6:pieces{}:", pieces * 20);
            assert!(file.windows(head.len()).any(|window| window == head.as_bytes()), "{size}: {head}");
        }
    }

    #[test]
    fn an_item_may_contain_colons_and_other_keys_are_passed_over() {
        let read = Torrent::parse(&commented(b"peerd:33cf6f5d:conn:movie:42")).unwrap();
        assert_eq!((read.peer.as_str(), read.item.as_str()), ("33cf6f5d", "conn:movie:42"));
        assert_eq!((read.name.as_deref(), read.size), (Some("n"), Some(10)));
        assert_eq!(read.prefix, Prefix::Peerd);
        let bare = Torrent::parse(b"d7:comment10:jack:bob:ie\n").unwrap();
        assert_eq!((bare.name, bare.size), (None, None), "nothing but the comment is needed");
    }

    #[test]
    fn other_torrents_and_other_files_are_refused_with_a_reason() {
        use TorrentError as E;
        for (file, error) in [
            (commented(b"made by somebody"), E::NotOurs),
            (commented(b"jack:bob"), E::NotOurs),
            (commented(b"JACK:bob:x"), E::NotOurs),
            (commented(b"jack:\xff:x"), E::NotOurs),
            (commented(b"jack::x"), E::Nothing(NotWanted::Peer)),
            (commented(b"jack:bob:"), E::Nothing(NotWanted::Item)),
            (commented(b"jack:bob:a\nb"), E::Nothing(NotWanted::Item)),
            (b"d4:infod6:lengthi1eee".to_vec(), E::NotOurs),
            (b"d7:commenti7ee".to_vec(), E::NotOurs),
            (b"l7:commente".to_vec(), E::NoDictionary),
            (b"d7:comment10:jack:bob:iei1e".to_vec(), E::Trailing { at: 24 }),
            (b"di1e1:xe".to_vec(), E::Bencode(BencodeError::Syntax { at: 1 })),
            (Vec::new(), E::Bencode(BencodeError::Truncated { length: 0 })),
            (b"PK\x03\x04".to_vec(), E::Bencode(BencodeError::Syntax { at: 0 })),
        ] {
            assert_eq!(Torrent::parse(&file), Err(error), "{}", String::from_utf8_lossy(&file));
        }
    }

    #[test]
    fn half_a_stub_is_never_taken_for_a_whole_one() {
        let file = stub("bob", "films:1", "Film", 1 << 30).to_bytes();
        for length in 0..file.len() {
            let read = Torrent::parse(&file[..length]);
            assert!(
                matches!(read, Err(TorrentError::Bencode(BencodeError::Truncated { .. }))),
                "{length}: {read:?}"
            );
        }
    }
}
