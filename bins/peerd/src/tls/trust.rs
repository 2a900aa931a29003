//! Whose certificates we take from one peer, beyond those the system's authorities vouch for.
//!
//! A friend has no name that an authority would vouch for, or no wish to ask one. What they hand over is a PEM file:
//! the certificate of an authority of their own, or the very certificate their daemon shows. An authority is what TLS
//! libraries expect there; a certificate that stands for itself is refused by them, often as "an authority used as a
//! server". So a certificate that is itself in the file is taken as it is, by comparing it byte by byte; name and dates
//! are checked all the same.
//!
//! Of an anchor, path validation looks at the name and the key alone (RFC 5280 §6.1.1): not at its dates, and not at
//! whether it may sign. So that is looked at here. Who only has the key of a server's certificate, perhaps an old one,
//! can make no other that is taken.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use thiserror::Error;

use super::pem::{self, PemFlaw};
use super::{Certificate, Standing};

/// The certificates of a `ca_file`: trusted for one peer, and for nobody else. By default there is none, and the
/// system's authorities have to do.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trust {
    certificates: Vec<CertificateDer<'static>>,
}

/// Why a `ca_file` cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrustError {
    /// The file, or the text, is not in order.
    #[error("{what} {flaw}")]
    Flawed {
        /// Which file, or that it is a text.
        what: String,
        /// What is wrong with it.
        flaw: PemFlaw,
    },
    /// One of the certificates is none.
    #[error("certificate {number} in {what} cannot be read")]
    Certificate {
        /// Which file, or that it is a text.
        what: String,
        /// Which one, counted from 1.
        number: usize,
    },
}

impl TrustError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Flawed { flaw, .. } => flaw.help(),
            Self::Certificate { .. } => "ask for it again, as PEM text",
        }
    }
}

impl Trust {
    /// Reads a `ca_file`; blocks.
    ///
    /// # Errors
    /// [`TrustError`] names the file and what is wrong with it.
    pub fn read(path: &Path) -> Result<Self, TrustError> {
        Self::of(pem::read(path).and_then(|text| pem::certificates(&text)), &path.display())
    }

    /// Takes the text of a `ca_file`.
    ///
    /// # Errors
    /// [`TrustError`] says what is wrong with it.
    pub fn of_text(text: &str) -> Result<Self, TrustError> {
        Self::of(pem::certificates(text.as_bytes()), &"the text")
    }

    fn of(
        certificates: Result<Vec<CertificateDer<'static>>, PemFlaw>,
        what: &dyn fmt::Display,
    ) -> Result<Self, TrustError> {
        let certificates =
            certificates.map_err(|flaw| TrustError::Flawed { what: what.to_string(), flaw })?;
        let mut roots = RootCertStore::empty();
        for (index, certificate) in certificates.iter().enumerate() {
            if roots.add(certificate.clone()).is_err() || Certificate::of(certificate).is_none() {
                return Err(TrustError::Certificate { what: what.to_string(), number: index + 1 });
            }
        }
        Ok(Self { certificates })
    }

    /// What the certificates say about themselves, as far as they can be read.
    pub fn certificates(&self) -> impl Iterator<Item = Certificate> {
        self.certificates.iter().filter_map(Certificate::of)
    }

    /// How a client that trusts these, and the system's authorities, speaks TLS. On a machine without any authority, as
    /// a bare container is one, it takes nobody else's certificate, and plain http goes on as everywhere.
    ///
    /// # Errors
    /// When one of the certificates cannot be used.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let verifier = FriendVerifier::new(self, Arc::clone(&provider));
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![super::identity::HTTP_1.to_vec()];
        Ok(config)
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} certificates)", self.certificates.len())
    }
}

/// Checks what a peer shows: against itself where it is in the file, else against the authorities there are.
#[derive(Debug)]
struct FriendVerifier {
    listed: Vec<CertificateDer<'static>>,
    /// Those of the listed that may sign others.
    authorities: Vec<(CertificateDer<'static>, Certificate)>,
    /// The authorities of the system; `None` where the machine has none.
    public: Option<Arc<Verifier>>,
    provider: Arc<CryptoProvider>,
}

impl FriendVerifier {
    fn new(trust: &Trust, provider: Arc<CryptoProvider>) -> Self {
        let listed = trust.certificates.clone();
        let authorities = listed.iter().filter_map(|der| Some((der.clone(), Certificate::of(der)?)));
        let authorities = authorities.filter(|(_, read)| read.is_authority).collect();
        Self { listed, authorities, public: public_authorities(&provider), provider }
    }

    /// What the listed authorities say. One whose dates do not hold vouches for nobody; where it would have, the answer
    /// says so.
    fn ask_listed(&self, seen: &Seen<'_>) -> Result<ServerCertVerified, Error> {
        let moment = moment(seen.now);
        let (holding, others): (Vec<_>, Vec<_>) = self
            .authorities
            .iter()
            .partition(|(_, read)| matches!(read.standing(moment), Standing::Holds(_)));
        let refusal = match self.ask(&holding, seen) {
            Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                CertificateError::UnknownIssuer.into()
            }
            answer => return answer,
        };
        for other in others {
            match self.ask(&[other], seen) {
                Ok(_) => check_dates(&other.1, seen.now)?,
                Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {}
                Err(error) => return Err(error),
            }
        }
        Err(refusal)
    }

    fn ask(
        &self,
        authorities: &[&(CertificateDer<'static>, Certificate)],
        seen: &Seen<'_>,
    ) -> Result<ServerCertVerified, Error> {
        let mut roots = RootCertStore::empty();
        for (authority, _) in authorities {
            roots.add(authority.clone())?;
        }
        if roots.is_empty() {
            return Err(CertificateError::UnknownIssuer.into());
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(&self.provider));
        let verifier = verifier.build().map_err(|error| Error::Other(OtherError(Arc::new(error))))?;
        verifier.verify_server_cert(seen.shown, seen.above, seen.name, seen.ocsp, seen.now)
    }
}

/// What a peer shows, to whom, and when.
struct Seen<'a> {
    shown: &'a CertificateDer<'a>,
    above: &'a [CertificateDer<'a>],
    name: &'a ServerName<'a>,
    ocsp: &'a [u8],
    now: UnixTime,
}

impl ServerCertVerifier for FriendVerifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        above: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.listed.iter().any(|listed| listed == shown) {
            verify_server_name(&ParsedCertificate::try_from(shown)?, name)?;
            // Without its dates nobody knows whether it still holds.
            check_dates(&Certificate::of(shown).ok_or(CertificateError::BadEncoding)?, now)?;
            return Ok(ServerCertVerified::assertion());
        }
        let refusal = match self.ask_listed(&Seen { shown, above, name, ocsp, now }) {
            Err(error) => error,
            taken => return taken,
        };
        let Some(public) = &self.public else { return Err(refusal) };
        public.verify_server_cert(shown, above, name, ocsp, now).map_err(|error| match &refusal {
            Error::InvalidCertificate(CertificateError::UnknownIssuer) => error,
            // They know the issuer, and better than the system does why it will not do.
            _ => refusal,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn check_dates(certificate: &Certificate, now: UnixTime) -> Result<(), Error> {
    let unix = |time: std::time::SystemTime| {
        UnixTime::since_unix_epoch(time.duration_since(std::time::UNIX_EPOCH).unwrap_or_default())
    };
    match certificate.standing(moment(now)) {
        Standing::Holds(_) => Ok(()),
        Standing::NotYet => {
            let not_before = unix(certificate.not_before);
            Err(CertificateError::NotValidYetContext { time: now, not_before }.into())
        }
        Standing::Expired => {
            let not_after = unix(certificate.not_after);
            Err(CertificateError::ExpiredContext { time: now, not_after }.into())
        }
    }
}

fn moment(now: UnixTime) -> std::time::SystemTime {
    std::time::UNIX_EPOCH + std::time::Duration::from_secs(now.as_secs())
}

/// The authorities of the system, read once: they are many, and the same for every client there is.
fn public_authorities(provider: &Arc<CryptoProvider>) -> Option<Arc<Verifier>> {
    static READ: OnceLock<Option<Arc<Verifier>>> = OnceLock::new();
    let read = READ.get_or_init(|| match Verifier::new(Arc::clone(provider)) {
        Ok(verifier) => Some(Arc::new(verifier)),
        Err(error) => {
            tracing::warn!(
                %error,
                "https works with a ca_file alone; for all else install ca-certificates, then restart peerd"
            );
            None
        }
    });
    read.clone()
}

#[cfg(test)]
mod tests;
