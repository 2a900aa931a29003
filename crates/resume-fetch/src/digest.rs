//! Digests the caller knows in advance.

use std::fmt;
use std::str::FromStr;

use sha2::Digest as _;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::error::{FetchErrorKind, LocalError};

/// The digest the whole file must have.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 (FIPS 180-4).
    Sha256([u8; 32]),
    /// BLAKE3, 256 bits.
    Blake3([u8; 32]),
}

impl Digest {
    /// Reads a SHA-256 digest from 64 hex digits.
    ///
    /// # Errors
    /// [`InvalidDigest`] for anything else.
    pub fn sha256(hex: &str) -> Result<Self, InvalidDigest> {
        parse(hex).map(Digest::Sha256)
    }

    /// Reads a BLAKE3 digest from 64 hex digits.
    ///
    /// # Errors
    /// [`InvalidDigest`] for anything else.
    pub fn blake3(hex: &str) -> Result<Self, InvalidDigest> {
        parse(hex).map(Digest::Blake3)
    }

    /// `sha256` or `blake3`.
    pub const fn algorithm(&self) -> &'static str {
        match self {
            Digest::Sha256(_) => "sha256",
            Digest::Blake3(_) => "blake3",
        }
    }

    /// The digest in lower-case hex.
    pub fn to_hex(self) -> String {
        let (Digest::Sha256(bytes) | Digest::Blake3(bytes)) = self;
        hex(&bytes)
    }

    /// Reads the SHA-256 out of the lines of a `Repr-Digest` field, a dictionary of byte sequences such as
    /// `sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:` (RFC 9530 §3, RFC 9651 §3.2). Other algorithms and
    /// anything malformed are no digest.
    pub(crate) fn of_field<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let members = lines.flat_map(|line| line.split(|byte| *byte == b','));
        // The last of several equal keys counts (RFC 9651 §4.2.2).
        members.filter_map(|member| sha256_member(member.trim_ascii())).last().map(Digest::Sha256)
    }

    /// Reads `total` bytes with `read(buffer, offset)` and compares. Blocking; about as fast as the disk or one core.
    ///
    /// # Errors
    /// [`FetchErrorKind::DigestMismatch`]; [`FetchErrorKind::Stopped`] soon after `stop` was cancelled;
    /// [`FetchErrorKind::Local`] from `read`.
    pub(crate) fn verify(
        self,
        total: u64,
        stop: &CancellationToken,
        read: impl Fn(&mut [u8], u64) -> Result<(), LocalError>,
    ) -> Result<(), FetchErrorKind> {
        let mut check = Check::new(self);
        check.feed(total, stop, read)?;
        check.finish()
    }
}

/// A digest on its way: of the first bytes of a file, to be compared once it has seen all of them.
pub(crate) struct Check {
    expected: Digest,
    hasher: Hasher,
    at: u64,
    buffer: Vec<u8>,
}

enum Hasher {
    Sha256(sha2::Sha256),
    Blake3(Box<blake3::Hasher>),
}

impl Check {
    pub(crate) fn new(expected: Digest) -> Self {
        let hasher = match expected {
            Digest::Sha256(_) => Hasher::Sha256(sha2::Sha256::new()),
            Digest::Blake3(_) => Hasher::Blake3(Box::default()),
        };
        Self { expected, hasher, at: 0, buffer: Vec::new() }
    }

    /// What it is compared with at the end.
    pub(crate) fn expected(&self) -> Digest {
        self.expected
    }

    /// How many bytes it has seen.
    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Goes on up to `until`, with bytes that `read(buffer, offset)` gets. Blocking; about as fast as the disk or one
    /// core.
    ///
    /// # Errors
    /// [`FetchErrorKind::Stopped`] soon after `stop` was cancelled; [`FetchErrorKind::Local`] from `read`. It has seen
    /// what came before, and can go on.
    pub(crate) fn feed(
        &mut self,
        until: u64,
        stop: &CancellationToken,
        read: impl Fn(&mut [u8], u64) -> Result<(), LocalError>,
    ) -> Result<(), FetchErrorKind> {
        self.buffer.resize(BUFFER, 0);
        while self.at < until {
            if stop.is_cancelled() {
                return Err(FetchErrorKind::Stopped);
            }
            let length = BUFFER.min(usize::try_from(until - self.at).unwrap_or(usize::MAX));
            let bytes = &mut self.buffer[..length];
            read(bytes, self.at)?;
            match &mut self.hasher {
                Hasher::Sha256(hasher) => hasher.update(&*bytes),
                Hasher::Blake3(hasher) => _ = hasher.update(bytes),
            }
            self.at += length as u64;
        }
        Ok(())
    }

    /// Compares.
    ///
    /// # Errors
    /// [`FetchErrorKind::DigestMismatch`].
    pub(crate) fn finish(self) -> Result<(), FetchErrorKind> {
        let actual = match self.hasher {
            Hasher::Sha256(hasher) => Digest::Sha256(hasher.finalize().into()),
            Hasher::Blake3(hasher) => Digest::Blake3(*hasher.finalize().as_bytes()),
        };
        if actual == self.expected {
            return Ok(());
        }
        Err(FetchErrorKind::DigestMismatch {
            algorithm: self.expected.algorithm(),
            expected: self.expected.to_hex(),
            actual: actual.to_hex(),
        })
    }
}

impl fmt::Debug for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Check")
            .field("expected", &self.expected)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm(), self.to_hex())
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    /// Reads the `Display` form, `sha256:HEX` or `blake3:HEX`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::sha256(hex),
            Some(("blake3", hex)) => Self::blake3(hex),
            _ => Err(InvalidDigest),
        }
    }
}

/// The text is not 64 hex digits.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a digest is 64 hex digits")]
pub struct InvalidDigest;

fn parse(hex: &str) -> Result<[u8; 32], InvalidDigest> {
    let nibble = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8).ok_or(InvalidDigest);
    if hex.len() != 64 {
        return Err(InvalidDigest);
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(bytes)
}

fn sha256_member(member: &[u8]) -> Option<[u8; 32]> {
    let value = member.strip_prefix(b"sha-256=:")?;
    let end = value.iter().position(|byte| *byte == b':')?;
    let (encoded, parameters) = value.split_at(end);
    (parameters == b":" || parameters.starts_with(b":;")).then_some(())?;
    base64(encoded)
}

/// 32 bytes in base64 (RFC 4648 §4): 43 characters and one of padding.
fn base64(encoded: &[u8]) -> Option<[u8; 32]> {
    let digits = encoded.strip_suffix(b"=").filter(|digits| digits.len() == 43)?;
    let mut bytes = [0; 33];
    for (group, place) in digits.chunks(4).zip(bytes.chunks_exact_mut(3)) {
        let mut bits = 0u32;
        for digit in group {
            bits = bits << 6 | sextet(*digit)?;
        }
        // The last group has three digits; its two surplus bits fall off the end.
        bits <<= 6 * (4 - group.len());
        place.copy_from_slice(&bits.to_be_bytes()[1..]);
    }
    bytes[..32].try_into().ok()
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(value.into())
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Read at a time: what stays in a processor's own cache between reading and hashing.
const BUFFER: usize = 256 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_what_it_prints_and_refuses_anything_but_64_hex_digits() {
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let digest = Digest::sha256(text).unwrap();
        assert_eq!(digest.to_hex(), text);
        assert_eq!(digest.to_string().parse(), Ok(digest));
        for bad in ["", &text[1..], &format!("{text}0"), &text.replace('b', "g"), &"é".repeat(32)] {
            assert_eq!(Digest::sha256(bad), Err(InvalidDigest), "{bad:?}");
        }
    }

    #[test]
    fn the_digest_is_of_every_byte_up_to_the_complete_length() {
        let disk = b"abc and what lies behind";
        let verify = |digest: Digest, total| {
            digest.verify(total, &CancellationToken::new(), |buffer, at| {
                buffer.copy_from_slice(&disk[at as usize..][..buffer.len()]);
                Ok(())
            })
        };
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; // FIPS 180-4, example 1
        verify(Digest::sha256(abc).unwrap(), 3).unwrap();
        let error = verify(Digest::sha256(abc).unwrap(), 4).unwrap_err();
        assert!(error.to_string().contains(&format!("expected {abc}")), "{error}");
        verify(Digest::blake3(&blake3::hash(b"abc").to_hex()).unwrap(), 3).unwrap();
    }

    #[test]
    fn a_check_goes_on_where_it_was_interrupted() {
        let disk: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        let stop = CancellationToken::new();
        for expected in [
            Digest::Blake3(*blake3::hash(&disk).as_bytes()),
            Digest::Sha256(sha2::Sha256::digest(&disk).into()),
        ] {
            let bad_from = std::cell::Cell::new(1_000_000);
            let read = |buffer: &mut [u8], at: u64| {
                if at >= bad_from.get() {
                    return Err(LocalError::io("read", "disk")(std::io::ErrorKind::Other.into()));
                }
                buffer.copy_from_slice(&disk[at as usize..][..buffer.len()]);
                Ok(())
            };
            let mut check = Check::new(expected);
            check.feed(5, &stop, read).unwrap();
            check.feed(5, &stop, read).unwrap();
            check.feed(3_000_000, &stop, read).unwrap_err();
            assert!(check.at() >= 1_000_000 && check.at() < 3_000_000, "{}", check.at());
            bad_from.set(u64::MAX);
            check.feed(3_000_000, &stop, read).unwrap();
            check.finish().unwrap();
        }
    }

    #[test]
    fn hashing_stops_when_asked_to() {
        let stop = CancellationToken::new();
        let read = |_: &mut [u8], at: u64| {
            assert_eq!(at, 0, "one piece is read, and then the token is looked at");
            stop.cancel();
            Ok(())
        };
        let error = Digest::Sha256([0; 32]).verify(u64::MAX, &stop, read).unwrap_err();
        assert!(matches!(error, FetchErrorKind::Stopped), "{error}");
    }

    #[test]
    fn a_repr_digest_is_read_only_from_a_well_formed_sha_256() {
        let abc = Digest::sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad").ok();
        let b64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";
        let read = |field: &str| Digest::of_field([field.as_bytes()].into_iter());
        assert_eq!(read(&format!("sha-256=:{b64}:")), abc);
        assert_eq!(read(&format!("sha-512=:AAAA:, sha-256=:{b64}:;x=1")), abc);
        for bad in ["", "sha-256", "sha-256=:AAAA:", &format!("sha-256={b64}"), &format!("md5=:{b64}:")] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(read(&format!("sha-256=:{}:", b64.replace('+', "-"))), None, "not the URL alphabet");
    }
}
