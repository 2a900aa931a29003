//! Stubs that nobody wrote: what the fuzzer found worth keeping, and stubs with bytes changed, lost and added.

#[path = "stub_corpus/targets.rs"]
mod targets;

use std::path::Path;

use peerd::stub::{Prefix, Torrent};

/// A target of the fuzzer.
type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 3] =
    [("bencode", targets::bencode), ("torrent", targets::torrent), ("list", targets::list)];

/// Files as they are dropped.
fn stubs() -> Vec<Vec<u8>> {
    let torrent = |prefix, name: Option<&str>, size| {
        let (peer, item) = ("33cf6f5d".to_owned(), "conn:movie:42".to_owned());
        Torrent { prefix, peer, item, name: name.map(str::to_owned), size }.to_bytes()
    };
    vec![
        torrent(Prefix::Jack, Some("Big Buck Bunny"), Some(10)),
        torrent(Prefix::Peerd, None, None),
        torrent(Prefix::Peerd, Some("Film"), Some(1 << 30)),
        b"d8:announce3:x:y7:comment10:jack:bob:i4:infod5:filesld6:lengthi1e4:pathl1:aeee4:name1:nee".to_vec(),
        b"\xef\xbb\xbf# tonight\r\nbob/films:1\n\nhttps://x.example/a#b\nnonsense\n".to_vec(),
    ]
}

#[test]
fn what_the_fuzzer_has_kept_breaks_no_promise() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in TARGETS {
        let mut inputs = 0;
        for entry in std::fs::read_dir(corpus.join(name)).expect("the corpus") {
            target(&std::fs::read(entry.expect("an entry").path()).expect("an input"));
            inputs += 1;
        }
        assert!(inputs > 0, "{name}");
    }
}

#[test]
fn stubs_with_bytes_changed_lost_and_added_break_no_promise() {
    let mut rng = fastrand::Rng::with_seed(7);
    let stubs = stubs();
    for round in 0..20_000 {
        let mut bytes = stubs[round % stubs.len()].clone();
        for _ in 0..rng.usize(1..=4) {
            let at = rng.usize(0..=bytes.len());
            match rng.u8(0..5) {
                0 if at < bytes.len() => bytes[at] = rng.u8(..),
                1 if at < bytes.len() => {
                    bytes[at] = *rng.choice(b"dlie0123456789:-\n/#").expect("one of them");
                }
                2 => bytes.truncate(at),
                3 => bytes.insert(at, rng.u8(..)),
                _ => {
                    let other = rng.choice(&stubs).expect("one of them");
                    let from = rng.usize(0..=other.len());
                    let length = rng.usize(0..=other.len() - from).min(64);
                    bytes.splice(at..at, other[from..from + length].iter().copied());
                }
            }
        }
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }
}
