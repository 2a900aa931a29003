//! PEM files (RFC 7468): certificates and private keys as text.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::OFlags;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;

/// What is wrong with a PEM file. Nothing of its content is repeated: it may be a key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PemFlaw {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// It is a directory, a pipe, a device: nothing that could be read again.
    #[error("is no regular file")]
    NotAFile,
    /// Nobody has that many certificates.
    #[error("is longer than {} KiB", MAX_BYTES >> 10)]
    TooLong,
    /// It is binary.
    #[error("is not PEM text")]
    NotText,
    /// A block in it is not complete, or not base64.
    #[error("is damaged: one of its blocks is not complete, or not base64")]
    Damaged,
    /// There is no block of that kind in it.
    #[error("holds no certificate")]
    NoCertificate,
    /// There is no block of that kind in it.
    #[error("holds no private key")]
    NoKey,
    /// The key needs a passphrase, and nobody is there to type it.
    #[error("holds an encrypted private key")]
    EncryptedKey,
}

impl PemFlaw {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Unreadable(error) if error.kind() == io::ErrorKind::NotFound => {
                "name the file there is, or put one there"
            }
            Self::Unreadable(_) => "let the user peerd runs as read it",
            Self::NotAFile => "name a file: it is read again at every reload",
            Self::TooLong => "a certificate and those above it are enough",
            Self::NotText => {
                "convert it: openssl x509 -inform der -in FILE -out FILE.pem (keys: openssl pkey)"
            }
            Self::Damaged => "copy it again, from -----BEGIN to -----END with both lines",
            Self::NoCertificate => "it must have a block that begins with -----BEGIN CERTIFICATE-----",
            Self::NoKey => "it must have a block that begins with -----BEGIN PRIVATE KEY-----",
            Self::EncryptedKey => {
                "write it out without a passphrase, readable for peerd only: openssl pkey -in FILE -out FILE.pem"
            }
        }
    }
}

/// The bytes of a PEM file; blocks.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, PemFlaw> {
    let mut bytes = Vec::new();
    // Bounded, so that a path to the wrong file cannot fill memory.
    open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(PemFlaw::TooLong);
    }
    Ok(bytes)
}

/// Opens a file that is one. A pipe that nobody writes to would hold up whoever reads it, a reload or the end.
pub(crate) fn open(path: &Path) -> Result<File, PemFlaw> {
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(PemFlaw::NotAFile) }
}

/// Every certificate in a text, in its order; at least one.
pub(super) fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, PemFlaw> {
    let text = checked(text)?;
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|_| PemFlaw::Damaged)?;
    if found.is_empty() { Err(PemFlaw::NoCertificate) } else { Ok(found) }
}

/// The first private key in a text.
pub(super) fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, PemFlaw> {
    let text = checked(text)?;
    if ENCRYPTED.iter().any(|mark| text.windows(mark.len()).any(|window| window == *mark)) {
        return Err(PemFlaw::EncryptedKey);
    }
    match PrivateKeyDer::pem_slice_iter(text).next() {
        Some(Ok(key)) => Ok(key),
        Some(Err(_)) => Err(PemFlaw::Damaged),
        None => Err(PemFlaw::NoKey),
    }
}

fn checked(text: &[u8]) -> Result<&[u8], PemFlaw> {
    if text.len() as u64 > MAX_BYTES {
        return Err(PemFlaw::TooLong);
    }
    // Comments between the blocks may be in any encoding; a binary certificate begins with a length.
    if text.contains(&0) { Err(PemFlaw::NotText) } else { Ok(text) }
}

/// How encrypted keys begin, of today (RFC 7468 §11) and of old.
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

const MAX_BYTES: u64 = 256 << 10;

#[cfg(test)]
mod tests {
    use rustix::fs::{FileType, Mode};

    use super::*;

    const BLOCK: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn certificates_come_in_the_order_of_the_file_whatever_stands_between_them() {
        let text = format!("Subject: é\n{BLOCK}# and\n{}", BLOCK.replace("AAAA", "BBBB"));
        let found = certificates(text.as_bytes()).unwrap();
        assert_eq!(found.iter().map(|der| der.to_vec()).collect::<Vec<_>>(), [vec![0; 3], vec![4, 16, 65]]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_apart() {
        let cut = BLOCK.replace("-----END", "");
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        let flaw = |text: &[u8]| certificates(text).unwrap_err();
        assert!(matches!(flaw(b""), PemFlaw::NoCertificate));
        assert!(matches!(flaw(encrypted.as_bytes()), PemFlaw::NoCertificate));
        assert!(matches!(flaw(cut.as_bytes()), PemFlaw::Damaged));
        assert!(matches!(flaw(b"\x30\x82\x00\x01"), PemFlaw::NotText));
        assert!(matches!(flaw(&vec![b'x'; (256 << 10) + 1]), PemFlaw::TooLong));
        let flaw = |text: &str| private_key(text.as_bytes()).unwrap_err();
        assert!(matches!(flaw(BLOCK), PemFlaw::NoKey));
        assert!(matches!(flaw(encrypted), PemFlaw::EncryptedKey));
        assert!(matches!(flaw(old), PemFlaw::EncryptedKey));
        assert!(matches!(read(Path::new("/proc/none")), Err(PemFlaw::Unreadable(_))));
    }

    #[test]
    fn what_would_block_or_never_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe.pem");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [&*pipe, dir.path(), Path::new("/dev/zero")] {
            assert!(matches!(read(path), Err(PemFlaw::NotAFile)), "{}", path.display());
        }
    }
}
