//! The certificate we show, with its private key.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::InconsistentKeys;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use thiserror::Error;

use super::Certificate;
use super::pem::{self, PemFlaw};

/// A certificate, those above it, and the private key it belongs to.
pub struct Identity {
    certified: CertifiedKey,
    certificate: Option<Certificate>,
}

/// Why a certificate and a key cannot be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The file of the certificate is not in order.
    #[error("{} {flaw}", path.display())]
    Certificate {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: PemFlaw,
    },
    /// The file of the key is not in order.
    #[error("{} {flaw}", path.display())]
    Key {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: PemFlaw,
    },
    /// The first certificate is none that anybody could use.
    #[error("the first certificate in {} cannot be read", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
    },
    /// The key is of a kind that is not built in.
    #[error("{} holds a private key of a kind that cannot be used", path.display())]
    KeyKind {
        /// Which file.
        path: PathBuf,
    },
    /// They are not a pair.
    #[error("the private key in {} does not belong to the certificate in {}", key.display(), certificate.display())]
    NotAPair {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
        /// Whether it belongs to a later certificate of that file.
        to_a_later_one: bool,
    },
}

impl IdentityError {
    /// Whether it is the file of the key that is to be looked at.
    pub fn is_about_key(&self) -> bool {
        matches!(self, Self::Key { .. } | Self::KeyKind { .. } | Self::NotAPair { .. })
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Certificate { flaw, .. } | Self::Key { flaw, .. } => flaw.help(),
            Self::Unusable { .. } => "it must be of version 3, and for a server",
            Self::KeyKind { .. } => {
                "make one of ECDSA P-256 or P-384, Ed25519, or RSA with 2048 bits or more"
            }
            Self::NotAPair { to_a_later_one: true, .. } => {
                "it belongs to a later certificate of that file: our own must be the first, those above it follow"
            }
            Self::NotAPair { .. } => "name the two that were made together",
        }
    }
}

impl Identity {
    /// Reads both files; blocks.
    ///
    /// # Errors
    /// [`IdentityError`] names the file and what is wrong with it, and repeats nothing of what it holds.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = pem::read(certificate).and_then(|text| pem::certificates(&text));
        let chain =
            chain.map_err(|flaw| IdentityError::Certificate { path: certificate.to_owned(), flaw })?;
        let private = pem::read(key).and_then(|text| pem::private_key(&text));
        let private = private.map_err(|flaw| IdentityError::Key { path: key.to_owned(), flaw })?;
        let private = ring::default_provider().key_provider.load_private_key(private);
        let private = private.map_err(|_| IdentityError::KeyKind { path: key.to_owned() })?;
        let certified = CertifiedKey::new(chain, private);
        match certified.keys_match() {
            // Unknown is for keys that do not tell; those of ring all do.
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let belongs = |other: &CertificateDer<'static>| {
                    CertifiedKey::new(vec![other.clone()], Arc::clone(&certified.key)).keys_match().is_ok()
                };
                return Err(IdentityError::NotAPair {
                    key: key.to_owned(),
                    certificate: certificate.to_owned(),
                    to_a_later_one: certified.cert[1..].iter().any(belongs),
                });
            }
            Err(_) => return Err(IdentityError::Unusable { path: certificate.to_owned() }),
        }
        let certificate = certified.cert.first().and_then(Certificate::of);
        Ok(Self { certified, certificate })
    }

    /// What the certificate says about itself, as far as it could be read.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// How connections are answered under this certificate: TLS 1.2 or 1.3, HTTP/2 before HTTP/1.1.
    ///
    /// # Errors
    /// None that is known: the versions and the provider fit each other.
    pub fn server_config(self) -> Result<rustls::ServerConfig, rustls::Error> {
        let provider = Arc::new(ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(self.certified)));
        config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What HTTP/2 is called in a handshake (RFC 9113 §3.2).
pub(crate) const HTTP_2: &[u8] = b"h2";
/// What HTTP/1.1 is called in a handshake (RFC 7301 §6).
pub(crate) const HTTP_1: &[u8] = b"http/1.1";

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    struct Files(tempfile::TempDir);

    impl Files {
        fn put(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(["nas.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    #[test]
    fn a_pair_is_taken_also_from_one_file() {
        let files = Files(tempfile::tempdir().unwrap());
        let (certificate, key) = made();
        let both = files.put("both.pem", &format!("{key}{certificate}"));
        let identity = Identity::read(&both, &both).unwrap();
        assert_eq!(identity.certificate().unwrap().names, ["nas.example"]);
        assert!(!format!("{identity:?}").contains("key"), "{identity:?}");
        assert_eq!(identity.server_config().unwrap().alpn_protocols, [HTTP_2, HTTP_1]);
    }

    #[test]
    fn what_is_no_pair_says_which_file_is_to_blame() {
        let files = Files(tempfile::tempdir().unwrap());
        let (certificate, key) = made();
        let (other, _) = made();
        let key = files.put("key.pem", &key);
        let refused = |text: &str, key: &Path| {
            let error = Identity::read(&files.put("certificate.pem", text), key).unwrap_err();
            (error.is_about_key(), error.to_string(), error.help())
        };
        let (about_key, message, _) = refused(&other, &key);
        assert!(about_key && message.contains("key.pem does not belong"), "{message}");
        let (_, message, help) = refused(&format!("{other}{certificate}"), &key);
        assert!(
            message.contains("does not belong") && help.contains("must be the first"),
            "{message} {help}"
        );
        let (about_key, message, _) = refused("nothing", &key);
        assert!(!about_key && message.contains("certificate.pem holds no certificate"), "{message}");
        let no_der = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let (about_key, message, _) = refused(no_der, &key);
        assert!(!about_key && message.contains("cannot be read"), "{message}");
        let odd = files.put("odd.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        let (about_key, message, _) = refused(&certificate, &odd);
        assert!(about_key && message.contains("of a kind that cannot be used"), "{message}");
    }
}
