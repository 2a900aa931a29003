//! Bytes that follow from a seed and an offset alone, and the comparison of a file with them.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

/// Returns the bytes `range` of the endless stream that belongs to `seed`.
///
/// Any window can be had without the bytes before it, so a representation of a terabyte costs nothing, and two
/// overlapping windows agree. Neighbouring offsets and neighbouring seeds give unrelated bytes: data written in the
/// wrong place does not compare equal by luck.
pub fn seeded_bytes(seed: u64, range: Range<u64>) -> Vec<u8> {
    let length = usize::try_from(range.end.saturating_sub(range.start)).expect("the window fits into memory");
    let mut bytes = Vec::with_capacity(length + WORD as usize);
    let first_word = range.start / WORD;
    let skip = (range.start % WORD) as usize;
    for index in first_word..range.end.div_ceil(WORD).max(first_word) {
        bytes.extend_from_slice(&word(seed, index).to_le_bytes());
    }
    bytes.drain(..skip.min(bytes.len()));
    bytes.truncate(length);
    bytes
}

/// Asserts that the file at `path` is the first `length` bytes of the stream of `seed`, and nothing else.
///
/// # Panics
/// With the path and the first differing offset, or with both lengths; also if the file cannot be read.
#[track_caller]
pub fn assert_same_bytes(path: impl AsRef<Path>, seed: u64, length: u64) {
    let path = path.as_ref();
    let shown = path.display();
    let mut file = File::open(path).unwrap_or_else(|error| panic!("cannot open {shown}: {error}"));
    let mut piece = vec![0; PIECE];
    let mut offset = 0;
    loop {
        let read = file.read(&mut piece).unwrap_or_else(|error| panic!("cannot read {shown}: {error}"));
        if read == 0 {
            break;
        }
        let end = (offset + read as u64).min(length.max(offset));
        let expected = seeded_bytes(seed, offset..end);
        if let Some(at) = expected.iter().zip(&piece).position(|(expected, found)| expected != found) {
            let (wanted, found) = (expected[at], piece[at]);
            panic!("{shown} differs at offset {}: {found:#04x} instead of {wanted:#04x}", offset + at as u64);
        }
        offset += read as u64;
    }
    assert!(
        offset == length,
        "{shown} holds {offset} bytes instead of {length}; those both have are the same"
    );
}

/// One word of the stream: a bijective mix of its index, so no two words of a seed are alike.
fn word(seed: u64, index: u64) -> u64 {
    let mut mixed =
        index.wrapping_add(seed.wrapping_mul(0xd134_2543_de82_ef95)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

const WORD: u64 = 8;
const PIECE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_window_agrees_with_the_whole() {
        let whole = seeded_bytes(7, 0..100);
        for start in 0..100 {
            for end in start..=100 {
                assert_eq!(
                    seeded_bytes(7, start..end),
                    whole[start as usize..end as usize],
                    "{start}..{end}"
                );
            }
        }
    }

    #[test]
    fn shifted_and_neighbouring_streams_do_not_look_alike() {
        let bytes = seeded_bytes(1, 0..4096);
        for other in [seeded_bytes(1, 1..4097), seeded_bytes(1, 8..4104), seeded_bytes(2, 0..4096)] {
            let same = bytes.iter().zip(&other).filter(|(left, right)| left == right).count();
            assert!(same < 64, "{same} of 4096 bytes agree");
        }
    }

    #[test]
    fn a_window_far_out_costs_nothing() {
        assert_eq!(seeded_bytes(3, (1 << 40) - 3..1 << 40).len(), 3);
    }

    #[test]
    fn the_same_file_passes() {
        let file = written(&seeded_bytes(5, 0..200_000));
        assert_same_bytes(file.path(), 5, 200_000);
    }

    #[test]
    #[should_panic(expected = "differs at offset 150001")]
    fn a_difference_is_named_by_its_first_offset() {
        let mut bytes = seeded_bytes(5, 0..200_000);
        bytes[150_001] ^= 1;
        bytes[160_000] ^= 1;
        assert_same_bytes(written(&bytes).path(), 5, 200_000);
    }

    #[test]
    #[should_panic(expected = "holds 10 bytes instead of 11")]
    fn a_short_file_is_named_by_its_length() {
        assert_same_bytes(written(&seeded_bytes(5, 0..10)).path(), 5, 11);
    }

    #[test]
    #[should_panic(expected = "holds 12 bytes instead of 11")]
    fn a_long_file_is_named_by_its_length() {
        assert_same_bytes(written(&seeded_bytes(5, 0..12)).path(), 5, 11);
    }

    fn written(bytes: &[u8]) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        file
    }
}
