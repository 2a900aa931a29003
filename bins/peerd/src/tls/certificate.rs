//! What a certificate says about itself (RFC 5280 §4.1.2): for whom it is, and from when to when.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_cert::TbsCertificate;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};

use crate::moment::rfc3339;

/// What people need to know about a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The DNS names it is for, in its order.
    pub names: Vec<String>,
    /// The addresses it is for, in its order.
    pub addresses: Vec<IpAddr>,
    /// From when on it holds.
    pub not_before: SystemTime,
    /// Until when it holds.
    pub not_after: SystemTime,
    /// Whether nobody but its owner vouches for it.
    pub self_signed: bool,
    /// Whether it may sign others: it says that it is an authority, and nothing that takes it back.
    pub is_authority: bool,
    /// What two people compare to see that they mean the same one: SHA-256, as hexadecimal digits.
    pub sha256: String,
}

/// Whether a certificate holds at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its first day is still to come.
    NotYet,
    /// It holds, and will for this long.
    Holds(Duration),
    /// Its last day is over.
    Expired,
}

impl Certificate {
    /// Reads what it says; `None` of one that cannot be read. The signature is not looked at.
    pub fn of(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let named = certificate.get::<SubjectAltName>().ok().flatten().map(|(_, names)| names.0);
        let named = named.unwrap_or_default();
        let dns = |name: &GeneralName| match name {
            GeneralName::DnsName(name) => Some(name.as_str().to_owned()),
            _ => None,
        };
        Some(Self {
            names: named.iter().filter_map(dns).collect(),
            addresses: named.iter().filter_map(address).collect(),
            not_before: certificate.validity.not_before.to_system_time(),
            not_after: certificate.validity.not_after.to_system_time(),
            self_signed: certificate.issuer == certificate.subject,
            is_authority: may_sign(&certificate),
            sha256: Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    /// Whether it holds at `now`.
    pub fn standing(&self, now: SystemTime) -> Standing {
        if now < self.not_before {
            return Standing::NotYet;
        }
        self.not_after.duration_since(now).map_or(Standing::Expired, Standing::Holds)
    }

    /// What its dates have against it at `now`; `None` while it holds.
    pub fn complaint(&self, now: SystemTime) -> Option<String> {
        match self.standing(now) {
            Standing::NotYet => {
                Some(format!("the certificate does not hold before {}", rfc3339(self.not_before)))
            }
            Standing::Holds(_) => None,
            Standing::Expired => Some(format!("the certificate has expired on {}", rfc3339(self.not_after))),
        }
    }
}

fn address(name: &GeneralName) -> Option<IpAddr> {
    let GeneralName::IpAddress(octets) = name else { return None };
    let v4 = <[u8; 4]>::try_from(octets.as_bytes()).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets.as_bytes()).map(IpAddr::from)).ok()
}

/// Basic constraints and key usage (RFC 5280 §4.2.1.9, §4.2.1.3). What cannot be read allows nothing.
fn may_sign(certificate: &TbsCertificate) -> bool {
    let is_authority = matches!(certificate.get::<BasicConstraints>(), Ok(Some((_, basic))) if basic.ca);
    let may = match certificate.get::<KeyUsage>() {
        Ok(usage) => usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
        Err(_) => false,
    };
    is_authority && may
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_certificate_holds_from_its_first_moment_to_its_last() {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let (not_before, not_after) = (at(100), at(200));
        let certificate = Certificate {
            names: Vec::new(),
            addresses: Vec::new(),
            not_before,
            not_after,
            self_signed: false,
            is_authority: false,
            sha256: String::new(),
        };
        for (now, standing) in [
            (99, Standing::NotYet),
            (100, Standing::Holds(Duration::from_secs(100))),
            (200, Standing::Holds(Duration::ZERO)),
            (201, Standing::Expired),
        ] {
            assert_eq!(certificate.standing(at(now)), standing, "{now}");
        }
        assert_eq!(
            certificate.complaint(at(201)).unwrap(),
            "the certificate has expired on 1970-01-01T00:03:20Z"
        );
    }

    #[test]
    fn names_and_dates_are_read_from_the_certificate() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut asked =
            rcgen::CertificateParams::new(["nas.example".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        asked.not_before = rcgen::date_time_ymd(2026, 1, 2);
        asked.not_after = rcgen::date_time_ymd(9999, 12, 31);
        let made = asked.self_signed(&key).unwrap();
        let read = Certificate::of(made.der()).unwrap();
        assert_eq!(read.names, ["nas.example"]);
        assert_eq!(read.addresses, [IpAddr::from([127, 0, 0, 1])]);
        assert!(read.self_signed);
        assert_eq!(read.sha256.len(), 64);
        assert_eq!(rfc3339(read.not_before), "2026-01-02T00:00:00Z");
        assert_eq!(rfc3339(read.not_after), "9999-12-31T00:00:00Z");
        assert_eq!(Certificate::of(&CertificateDer::from(vec![0; 9])), None);
    }
}
