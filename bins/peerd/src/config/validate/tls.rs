//! What is wrong with certificates and keys, ours and those we trust.

use std::path::Path;
use std::time::SystemTime;

use super::{Verdict, check_absolute, path};
use crate::config::key_path::KeyPath;
use crate::config::merge::is_open_to_others;
use crate::config::problem::Finding;
use crate::config::{PeerConfig, ServerConfig};
use crate::tls::{Identity, Trust};

impl Verdict {
    /// Judges `server.tls_cert` and `server.tls_key`, which go together.
    pub(super) fn tls(&mut self, server: &ServerConfig) {
        let (certificate, key) = (path("server.tls_cert"), path("server.tls_key"));
        let files = match (is_set(&server.tls_cert), is_set(&server.tls_key)) {
            (false, false) => return,
            (true, false) => {
                let message = "needs server.tls_key, the private key that belongs to it";
                return self.error(Finding::at(&certificate, message));
            }
            (false, true) => {
                let message = "needs server.tls_cert, the certificate it belongs to";
                return self.error(Finding::at(&key, message));
            }
            (true, true) => [(&certificate, &server.tls_cert), (&key, &server.tls_key)],
        };
        for (place, file) in files {
            if let Err(message) = check_absolute(file) {
                self.error(Finding::at(place, message));
            }
        }
        if !(server.tls_cert.is_absolute() && server.tls_key.is_absolute()) {
            return;
        }
        let identity = match Identity::read(&server.tls_cert, &server.tls_key) {
            Ok(identity) => identity,
            Err(error) => {
                let place = if error.is_about_key() { &key } else { &certificate };
                return self.error(Finding::at(place, &error).help(error.help()));
            }
        };
        if is_open_to_others(&server.tls_key) {
            let file = server.tls_key.display();
            let message = format!("{file} can be read by everyone on this machine");
            self.warn(Finding::at(&key, message).help(format!("chmod 600 {file}")));
        }
        let complaint = identity.certificate().and_then(|seen| seen.complaint(SystemTime::now()));
        if let Some(complaint) = complaint {
            let help = "peers refuse it; renew it, and have peerd read it again: systemctl reload peerd, or a SIGHUP";
            self.warn(Finding::at(&certificate, complaint).help(help));
        }
    }

    /// Judges the `ca_file` of a peer.
    pub(super) fn trust(&mut self, table: &KeyPath, peer: &PeerConfig) {
        let Some(file) = peer.ca_file() else { return };
        let place = table.key("ca_file");
        if let Err(message) = check_absolute(file) {
            return self.error(Finding::at(&place, message));
        }
        let trust = match Trust::read(file) {
            Ok(trust) => trust,
            Err(error) => return self.error(Finding::at(&place, &error).help(error.help())),
        };
        if peer.url.is_plain() {
            let url = table.key("url");
            self.warn(Finding::between(&place, &url, "is of no use while the address is one of plain http"));
        }
        // One of several may be the one of before; only when none of them holds can nothing work.
        let now = SystemTime::now();
        let complaints: Vec<_> = trust.certificates().map(|seen| seen.complaint(now)).collect();
        if let Some(Some(complaint)) = complaints.first()
            && complaints.iter().all(Option::is_some)
        {
            self.warn(Finding::at(&place, complaint).help("ask the peer's owner for the one of today"));
        }
    }
}

fn is_set(file: &Path) -> bool {
    !file.as_os_str().is_empty()
}
