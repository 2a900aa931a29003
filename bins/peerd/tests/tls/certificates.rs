//! Certificates, made for one test each.

use std::path::{Path, PathBuf};

use peerd::http::tls::Tls;
use peerd::tls::Identity;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::CertificateDer;
use serde_json::{Value, json};

/// An authority of somebody's own.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, as PEM text.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut asked = asked(&["an authority"]);
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(asked, key).expect("an authority"))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    pub(crate) fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate for loopback.
    pub(crate) fn pair(&self) -> Pair {
        self.sign(&asked(&["localhost", "127.0.0.1"]))
    }

    /// A certificate for these names.
    pub(crate) fn pair_for(&self, names: &[&str]) -> Pair {
        self.sign(&asked(names))
    }

    /// A certificate for loopback whose time is over.
    pub(crate) fn expired(&self) -> Pair {
        let mut asked = asked(&["localhost", "127.0.0.1"]);
        (asked.not_before, asked.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 2, 3));
        self.sign(&asked)
    }

    fn sign(&self, asked: &CertificateParams) -> Pair {
        let key = KeyPair::generate().expect("a key");
        Pair::of(&asked.signed_by(&key, &self.0).expect("a certificate"), &key)
    }
}

impl Pair {
    /// A certificate for loopback that stands for itself, and calls itself an authority as those of openssl do.
    pub(crate) fn by_itself() -> Self {
        let mut asked = asked(&["localhost", "127.0.0.1"]);
        asked.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self::of(&asked.self_signed(&key).expect("a certificate"), &key)
    }

    fn of(certificate: &rcgen::Certificate, key: &KeyPair) -> Self {
        let der = certificate.der().clone();
        Self { certificate: certificate.pem(), key: key.serialize_pem(), der }
    }

    /// Puts both files into a directory, as whoever renews them does.
    pub(crate) fn put(&self, dir: &Path) -> Files {
        use std::os::unix::fs::OpenOptionsExt;
        let files = Files { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
        for (path, text) in [(&files.key, &self.key), (&files.certificate, &self.certificate)] {
            let mut options = std::fs::OpenOptions::new();
            let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
            std::io::Write::write_all(&mut file.expect("a file"), text.as_bytes()).expect("a file");
        }
        files
    }

    /// What a listener with this certificate answers under.
    pub(crate) fn terms(&self) -> Tls {
        let dir = tempfile::tempdir().expect("a directory");
        let files = self.put(dir.path());
        let identity = Identity::read(&files.certificate, &files.key).expect("a pair");
        Tls::new(Some(identity)).expect("terms")
    }
}

/// Where a pair lies.
pub(crate) struct Files {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Files {
    /// The part of a configuration that names them.
    pub(crate) fn config(&self) -> Value {
        json!({ "server": { "tls_cert": self.certificate, "tls_key": self.key } })
    }
}

fn asked(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut asked = CertificateParams::new(names.clone()).expect("names");
    asked.distinguished_name.push(DnType::CommonName, names[0].clone());
    asked
}
