//! The Repr-Digest response field (RFC 9530).
//!
//! ```text
//! Repr-Digest: sha-256=:4REjxQ4yrqUVicfSKYNO/cF9zNj5ANbzgDZt3/h3Qxo=:
//! ```

use alloc::borrow::Cow;
use alloc::string::String;
use core::fmt;

/// Digests of a whole representation, computed by the caller.
///
/// The value is the same on a 200 and on every 206, so whoever puts ranges together can check the result.
///
/// ```
/// use range_http::{ReprDigest, Representation};
///
/// let digest = ReprDigest::new().with_sha256(&[0; 32]);
/// assert_eq!(digest.to_string(), "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:");
/// let representation = Representation::new(1_234).with_repr_digest(digest);
/// # let _ = representation;
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReprDigest {
    value: String,
}

impl ReprDigest {
    /// No digest yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { value: String::new() }
    }

    /// Adds a SHA-256 digest.
    #[must_use]
    pub fn with_sha256(self, digest: &[u8; 32]) -> Self {
        self.with("sha-256", digest)
    }

    /// Adds a SHA-512 digest.
    #[must_use]
    pub fn with_sha512(self, digest: &[u8; 64]) -> Self {
        self.with("sha-512", digest)
    }

    fn with(mut self, algorithm: &str, digest: &[u8]) -> Self {
        if !self.value.is_empty() {
            self.value.push_str(", ");
        }
        self.value.push_str(algorithm);
        self.value.push_str("=:");
        for chunk in digest.chunks(3) {
            push_base64(&mut self.value, chunk);
        }
        self.value.push(':');
        self
    }
}

impl fmt::Display for ReprDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.value)
    }
}

impl From<ReprDigest> for Cow<'static, str> {
    fn from(digest: ReprDigest) -> Self {
        Cow::Owned(digest.value)
    }
}

/// One to three bytes as four characters (RFC 4648 §4).
fn push_base64(text: &mut String, chunk: &[u8]) {
    let bits = (0..3).fold(0u32, |bits, place| bits << 8 | u32::from(chunk.get(place).copied().unwrap_or(0)));
    for place in 0..4 {
        let index = (bits >> (18 - 6 * place)) as usize & 63;
        text.push(if place <= chunk.len() { char::from(ALPHABET[index]) } else { '=' });
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648_section_10() {
        for (plain, expected) in [
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            let mut text = String::new();
            plain.as_bytes().chunks(3).for_each(|chunk| push_base64(&mut text, chunk));
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn several_digests_are_one_dictionary() {
        let both = ReprDigest::new().with_sha256(&[0xff; 32]).with_sha512(&[0; 64]).to_string();
        let expected = ["sha-256=:", &"/".repeat(42), "8=:, sha-512=:AAAA"].concat();
        assert!(both.starts_with(&expected), "{both}");
        assert!(both.ends_with("A==:"), "{both}");
    }
}
