//! SipHash-2-4, twice, for names that must differ when their inputs differ: entity tags and multipart boundaries.
//!
//! Written out because the core has no dependencies and the standard library's hasher promises no stable output, while
//! an entity tag has to survive restarts and upgrades.

/// A keyed 128-bit digest of `words`.
pub(crate) fn keyed(key: u128, words: &[u64]) -> u128 {
    let (k0, k1) = (key as u64, (key >> 64) as u64);
    u128::from(sip(k0, k1, words)) << 64 | u128::from(sip(!k1, k0 ^ 0x5bd1_e995_9d1b_58d3, words))
}

/// The words of a byte string: its length, then eight bytes each, so that no two strings share a prefix.
pub(crate) fn words_of(bytes: &[u8]) -> impl Iterator<Item = u64> {
    let word = |chunk: &[u8]| chunk.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    core::iter::once(bytes.len() as u64).chain(bytes.chunks(8).map(word))
}

fn sip(k0: u64, k1: u64, words: &[u64]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    // Whole words only, so the final word of the standard holds nothing but the length.
    let length = (words.len() as u64).wrapping_mul(8) << 56;
    for word in words.iter().copied().chain([length]) {
        v[3] ^= word;
        round(&mut v);
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    for _ in 0..4 {
        round(&mut v);
    }
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[2] = v[2].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[1]);
    v[0] = v[0].wrapping_add(v[3]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_hold() {
        // Key 00..0f, messages of 0 and 8 bytes 00..07: the reference output of SipHash-2-4.
        let (k0, k1) = (0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        assert_eq!(sip(k0, k1, &[]), 0x726f_db47_dd0e_0e31);
        assert_eq!(sip(k0, k1, &[0x0706_0504_0302_0100]), 0x93f5_f579_9a93_2462);
    }
}
