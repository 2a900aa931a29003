//! The boundary of a multipart/byteranges body (RFC 9110 §14.6, RFC 2046 §5.1.1).

use alloc::string::String;
use alloc::vec::Vec;

use crate::hash::{keyed, words_of};
use crate::{ByteRange, EntityTag};

/// 24 characters of 5 bits each, all of them letters or digits: no quotes are needed, which some clients mishandle.
///
/// Derived rather than drawn, so that the same request twice gives the same bytes. Content cannot be prepared to hold
/// its own boundary: that would need the key.
pub(crate) fn boundary(key: u128, len: u64, etag: Option<&EntityTag>, ranges: &[ByteRange]) -> String {
    let mut words: Vec<u64> = [len].into();
    words.extend(words_of(etag.map_or(&[][..], EntityTag::as_bytes)));
    words.extend(ranges.iter().flat_map(|range| [range.first(), range.last()]));
    let digest = keyed(key, &words);
    (0..LENGTH).map(|place| char::from(ALPHABET[(digest >> (5 * place)) as usize & 31])).collect()
}

pub(crate) const LENGTH: usize = 24;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boundary_depends_on_key_validator_and_ranges_and_on_nothing_else() {
        let tag = EntityTag::strong("v1");
        let [low, high] = [(0, 1), (8, 9)].map(|(start, end)| ByteRange::new(start, end).unwrap());
        let base = boundary(1, 10, tag.as_ref(), &[low, high]);
        assert_eq!(base, boundary(1, 10, tag.as_ref(), &[low, high]));
        assert!(base.len() == LENGTH && base.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{base}");
        for other in [
            boundary(2, 10, tag.as_ref(), &[low, high]),
            boundary(1, 11, tag.as_ref(), &[low, high]),
            boundary(1, 10, None, &[low, high]),
            boundary(1, 10, tag.as_ref(), &[high, low]),
        ] {
            assert_ne!(base, other);
        }
    }
}
