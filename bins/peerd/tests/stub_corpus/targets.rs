//! What is fuzzed: one function of bytes per reader of stubs, each of which panics if a promise is broken.
//!
//! The fuzzer calls them by itself; the test beside this file calls them with what is worth keeping, and with
//! mutations of stubs as they are written.

use peerd::stub::bencode::{BencodeError, MAX_DEPTH, Reader, Token};
use peerd::stub::list::MAX_LINES;
use peerd::stub::{List, Torrent, Wanted};

/// Bencoded text: every token is one, no deeper than allowed, and passes over what it says it has read.
pub(crate) fn bencode(data: &[u8]) {
    let mut reader = Reader::new(data);
    let mut depth = 0usize;
    loop {
        let before = reader.position();
        match reader.token() {
            Ok(token) => {
                depth = match token {
                    Token::List | Token::Dict => depth + 1,
                    Token::End => depth.checked_sub(1).expect("an end has a beginning"),
                    Token::Int(bytes) | Token::Bytes(bytes) => {
                        assert!(bytes.len() < reader.position() - before);
                        depth
                    }
                };
                assert!(depth <= MAX_DEPTH && reader.position() > before);
            }
            Err(BencodeError::Truncated { length }) => return assert_eq!(length, data.len()),
            Err(BencodeError::Syntax { at } | BencodeError::TooDeep { at }) => {
                return assert!(at <= data.len());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// A torrent: what was read can be written, and is read again as the same.
pub(crate) fn torrent(data: &[u8]) {
    let Ok(read) = Torrent::parse(data) else { return };
    check(&read.wanted());
    let written = read.to_bytes();
    let again = Torrent::parse(&written).expect("what was read can be written");
    let expected = Torrent {
        name: read.name.clone().or_else(|| Some(read.item.clone())),
        size: Some(read.size.unwrap_or(0)),
        ..read
    };
    assert_eq!(again, expected);
    assert_eq!(again.to_bytes(), written);
}

/// A list: each line is read as it is shown, and none is lost.
pub(crate) fn list(data: &[u8]) {
    let Ok(read) = List::parse(data) else { return };
    assert!(!read.wanted.is_empty() && read.wanted.len() + read.flaws.len() <= MAX_LINES);
    read.wanted.iter().for_each(check);
    let lines = data.split(|byte| *byte == b'\n').count();
    assert!(read.flaws.iter().all(|flaw| (1..=lines).contains(&flaw.line)));
    let written: String = read.wanted.iter().map(|wanted| format!("{wanted}\n")).collect();
    let again = List::parse(written.as_bytes()).expect("what was read can be written");
    assert_eq!((again.wanted, again.flaws.len()), (read.wanted, 0));
}

fn check(wanted: &Wanted) {
    match wanted {
        Wanted::Item { peer, item } => {
            assert!((1..=64).contains(&peer.len()) && (1..=4096).contains(&item.len()));
            assert!(!format!("{peer}{item}").chars().any(char::is_control));
        }
        Wanted::Url(url) => assert!(url.len() <= 4096 && !url.chars().any(char::is_control)),
    }
}
