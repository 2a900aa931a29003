//! Under which address a friend reaches us, as far as that can be told from here.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use serde::Serialize;

use crate::config::is_name;
use crate::http::tls::Tls;
use crate::tls::Certificate;

/// The public listener, as others meet it.
#[derive(Debug)]
pub struct Listening {
    /// The machine's own name.
    pub node: String,
    /// What was bound.
    pub addrs: Vec<SocketAddr>,
    /// Under which certificate, if any.
    pub tls: Arc<Tls>,
}

impl Listening {
    /// Under which address a friend reaches it now.
    pub fn reach(&self) -> Reach {
        let reach = Reach::of(&self.node, &self.addrs);
        if self.tls.is_on() { reach.under(self.tls.certificate().as_ref()) } else { reach }
    }
}

/// Where we answer peers, and under which name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// A name for this machine that a peer may be called by.
    pub name: String,
    /// The address of the public listener.
    pub url: String,
    /// Whether nobody but this machine can reach it.
    pub loopback: bool,
    /// Whether the certificate there is vouched for by nobody else: a friend needs it to check ours.
    pub self_signed: bool,
}

impl Reach {
    /// Chooses among the addresses of the public listener: one that others can reach before loopback, one that is
    /// spelled out before "all of them", which is shown as the name of this machine.
    pub fn of(node: &str, listeners: &[SocketAddr]) -> Self {
        let rank = |address: &&SocketAddr| match address.ip().to_canonical() {
            ip if ip.is_loopback() => 2,
            ip if ip.is_unspecified() => 1,
            IpAddr::V6(ip) if ip.is_unicast_link_local() => 2,
            _ => 0,
        };
        let best = listeners.iter().min_by_key(rank);
        let url = match best {
            Some(address) if address.ip().is_unspecified() => {
                format!("http://{}:{}/", host(node), address.port())
            }
            Some(address) => format!("http://{address}/"),
            None => String::new(),
        };
        let loopback = best.is_none_or(|address| address.ip().to_canonical().is_loopback());
        Self { name: peer_name(node), url, loopback, self_signed: false }
    }

    /// The same with TLS: under the name the certificate is for, since no client takes it under another.
    fn under(self, certificate: Option<&Certificate>) -> Self {
        let Some((_, authority)) = self.url.split_once("://") else { return self };
        let name = certificate.and_then(|shown| shown.names.iter().find(|name| !name.contains('*')));
        let port = authority.trim_end_matches('/').rsplit_once(':').map_or("", |(_, port)| port);
        let url = match name {
            Some(name) => format!("https://{name}:{port}/"),
            None => match certificate.and_then(|shown| shown.addresses.first()) {
                // The one that was bound, where it is for that one as well.
                Some(_) if certificate.is_some_and(|shown| is_for(shown, authority)) => {
                    format!("https://{authority}")
                }
                Some(IpAddr::V6(address)) => format!("https://[{address}]:{port}/"),
                Some(IpAddr::V4(address)) => format!("https://{address}:{port}/"),
                None => format!("https://{authority}"),
            },
        };
        Self { url, self_signed: certificate.is_some_and(|shown| shown.self_signed), ..self }
    }
}

fn is_for(shown: &Certificate, authority: &str) -> bool {
    let bound = authority.trim_end_matches('/').parse::<SocketAddr>();
    bound.is_ok_and(|bound| shown.addresses.contains(&bound.ip()))
}

/// The name of this machine, fit for an address.
fn host(node: &str) -> &str {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !node.is_empty() && node.chars().all(fits) { node } else { "THIS-MACHINE" }
}

/// The name of this machine, fit for a peer: the first label of it.
fn peer_name(node: &str) -> String {
    let label = node.split('.').next().unwrap_or_default().to_ascii_lowercase();
    if is_name(&label) { label } else { "friend".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_can_reach_comes_first() {
        for (node, listeners, url, loopback) in [
            ("nas", &["127.0.0.1:5280"][..], "http://127.0.0.1:5280/", true),
            ("nas", &["127.0.0.1:5280", "192.168.1.4:5280"], "http://192.168.1.4:5280/", false),
            ("nas.lan", &["0.0.0.0:5280"], "http://nas.lan:5280/", false),
            ("nas", &["[::]:80"], "http://nas:80/", false),
            ("nas", &["[::]:80", "[2001:db8::1]:81"], "http://[2001:db8::1]:81/", false),
            ("Al's box", &["0.0.0.0:5280"], "http://THIS-MACHINE:5280/", false),
        ] {
            let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
            let reach = Reach::of(node, &listeners);
            assert_eq!((reach.url.as_str(), reach.loopback), (url, loopback), "{node} {listeners:?}");
        }
    }

    #[test]
    fn under_tls_the_name_of_the_certificate_counts() {
        let moment = std::time::UNIX_EPOCH;
        let shown = |names: &[&str]| Certificate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: Vec::new(),
            not_before: moment,
            not_after: moment,
            self_signed: true,
            is_authority: false,
            sha256: String::new(),
        };
        let reach = Reach::of("nas", &["[2001:db8::1]:5280".parse().unwrap()]);
        for (names, url) in [
            (&["*.example", "nas.example", "b.example"][..], "https://nas.example:5280/"),
            (&["*.example"], "https://[2001:db8::1]:5280/"),
            (&[], "https://[2001:db8::1]:5280/"),
        ] {
            let reach = reach.clone().under(Some(&shown(names)));
            assert_eq!((reach.url.as_str(), reach.self_signed), (url, true), "{names:?}");
        }
        for (addresses, url) in [
            (&["192.168.1.4", "2001:db8::1"][..], "https://[2001:db8::1]:5280/"),
            (&["192.168.1.4"], "https://192.168.1.4:5280/"),
            (&["2001:db8::2"], "https://[2001:db8::2]:5280/"),
        ] {
            let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
            let shown = Certificate { addresses, ..shown(&[]) };
            assert_eq!(reach.clone().under(Some(&shown)).url, url, "a certificate without a name");
        }
        assert_eq!(reach.under(None).url, "https://[2001:db8::1]:5280/");
    }

    #[test]
    fn the_name_is_one_a_peer_can_have() {
        for (node, name) in
            [("NAS.home.arpa", "nas"), ("alice-pc", "alice-pc"), ("Al's box", "friend"), ("", "friend")]
        {
            assert_eq!(Reach::of(node, &[]).name, name);
        }
    }
}
