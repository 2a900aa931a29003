//! What helps when a peer's certificate is not accepted.

use std::error::Error as StdError;
use std::io;

use rustls::CertificateError;

/// What to do about a failure that goes back to TLS; `None` for any other. `peer` is its name, where it has one.
pub(crate) fn chain_remedy(error: &(dyn StdError + 'static), peer: Option<&str>) -> Option<String> {
    causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>()).map(|error| remedy(error, peer))
}

/// An error in one line, and what to do about it where it goes back to TLS.
pub(crate) fn with_remedy(error: &(dyn StdError + 'static), peer: Option<&str>) -> String {
    let said = resume_fetch::describe(error);
    match chain_remedy(error, peer) {
        Some(remedy) => format!("{said}; {remedy}"),
        None => said,
    }
}

fn remedy(error: &rustls::Error, peer: Option<&str>) -> String {
    let name = peer.unwrap_or("NAME");
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::InvalidPurpose
            | CertificateError::InvalidPurposeContext { .. }
            // An authority in the place of a server: what `openssl req -x509` makes.
            | CertificateError::Other(_) => by_themselves(peer),
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                format!("use a name the certificate is for in peers.{name}.url, or have its owner add this one")
            }
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its owner has to renew it; see whether this machine's clock is right".to_owned()
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "see whether the clocks of both machines are right".to_owned()
            }
            _ => "ask its owner for a certificate that can be used".to_owned(),
        },
        rustls::Error::InvalidMessage(_) => {
            format!("see whether peers.{name}.url should say http, and whether the port is the right one")
        }
        _ => "see whether https is meant, and whether both speak TLS 1.2 or 1.3".to_owned(),
    }
}

fn by_themselves(peer: Option<&str>) -> String {
    let step = match peer {
        Some(name) => format!(
            "set peers.{name}.ca_file to it, or, if the peer is in no file, type: peerd peer add {name} URL --ca-file FILE"
        ),
        None => "add the server as a peer: peerd peer add NAME URL --ca-file FILE".to_owned(),
    };
    format!("if its owner made the certificate, ask for it (or the authority's) as a PEM file and {step}")
}

/// `error` and what caused it, down to the bottom. An `io::Error` is asked for the error it was made of: its `source`
/// is already the cause of that.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| match error.downcast_ref::<io::Error>() {
        Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
        None => error.source(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_its_own_next_step() {
        for (error, words) in [
            (CertificateError::UnknownIssuer, "set peers.bob.ca_file"),
            (CertificateError::NotValidForName, "peers.bob.url"),
            (CertificateError::Expired, "renew"),
            (CertificateError::NotValidYet, "clocks"),
        ] {
            let help = remedy(&rustls::Error::InvalidCertificate(error.clone()), Some("bob"));
            assert!(help.contains(words), "{error:?}: {help}");
        }
    }

    #[test]
    fn the_failure_is_found_below_whatever_carries_it() {
        let tls = rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let carried = io::Error::other(io::Error::other(tls));
        assert!(chain_remedy(&carried, Some("bob")).unwrap().contains("peers.bob.ca_file"));
        assert_eq!(chain_remedy(&io::Error::other("refused"), None), None);
    }
}
