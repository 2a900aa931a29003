//! Whose request it is behind a reverse proxy.
//!
//! `Forwarded` (RFC 7239) and `X-Forwarded-For` are believed from trusted proxies only, and read from the
//! right: the last address that no trusted proxy vouches for is the client. Everything left of it the client
//! may have made up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::FORWARDED;
use serde::{Deserialize, Serialize};

use crate::current::Current;

/// An address block such as `10.0.0.0/8`; a single address is a block of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

/// Text that is no address block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an address or an address block such as 10.0.0.0/8")]
pub struct NetworkError {
    /// The text as written.
    pub text: String,
}

/// The proxies whose word about their clients is taken. Clones are the same list.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Arc<Current<Vec<Network>>>);

impl TrustedProxies {
    /// These blocks.
    pub fn new(networks: Vec<Network>) -> Self {
        Self(Arc::new(Current::new(networks)))
    }

    /// Takes the word of these instead, from the next request on.
    pub fn replace(&self, networks: Vec<Network>) {
        self.0.replace(networks);
    }

    /// The client of a request that arrived from `peer`.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let trusted = self.0.get();
        let trusts = |address| trusted.iter().any(|network| network.contains(address));
        let mut client = peer.to_canonical();
        let mut hops = forwarded_for(headers);
        while trusts(client) {
            match hops.pop() {
                Some(Some(address)) => client = address.to_canonical(),
                // Nobody said, or a proxy hid it on purpose: the proxy itself stands for its client.
                Some(None) | None => break,
            }
        }
        client
    }
}

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        let bits = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
            IpAddr::V6(address) => (u128::from(address), 128),
        };
        let ((ours, width), (theirs, other_width)) = (bits(self.address), bits(address));
        let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
        width == other_width && ours & mask == theirs & mask
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || NetworkError { text: text.to_owned() };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim().parse().map_err(|_| refused())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.trim().parse()).map_err(|_| refused())?;
        if prefix <= width { Ok(Self { address, prefix }) } else { Err(refused()) }
    }
}

/// The addresses the request passed through, the client's first; `None` where a hop is hidden or unreadable.
fn forwarded_for(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let members = |name: &str| {
        let values = headers.get_all(name).iter().map(|value| value.to_str().unwrap_or_default());
        values
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|member| !member.is_empty())
            .collect::<Vec<_>>()
    };
    let forwarded = members(FORWARDED.as_str());
    if forwarded.is_empty() {
        return members(X_FORWARDED_FOR).into_iter().map(node).collect();
    }
    let for_of = |element: &str| {
        let mut pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
        pairs
            .find(|(name, _)| name.eq_ignore_ascii_case("for"))
            .and_then(|(_, value)| node(value.trim_matches('"')))
    };
    forwarded.into_iter().map(for_of).collect()
}

/// An address with or without a port and brackets.
fn node(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

const X_FORWARDED_FOR: &str = "x-forwarded-for";

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn client(peer: &str, fields: &[(&'static str, &'static str)]) -> String {
        let networks = ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].map(|text| text.parse().expect("a block"));
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let peer = peer.parse().expect("an address");
        TrustedProxies::new(networks.to_vec()).client(peer, &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_speak_for_others_and_are_read_from_the_right() {
        for (peer, fields, expected, because) in [
            (
                "192.0.2.1",
                &[("x-forwarded-for", "198.51.100.1")][..],
                "192.0.2.1",
                "a stranger is not believed",
            ),
            ("127.0.0.1", &[("x-forwarded-for", "198.51.100.1")], "198.51.100.1", "a trusted proxy is"),
            (
                "127.0.0.1",
                &[("x-forwarded-for", "1.2.3.4, 198.51.100.1, 10.1.2.3")],
                "198.51.100.1",
                "two proxies",
            ),
            (
                "127.0.0.1",
                &[("x-forwarded-for", "1.2.3.4"), ("x-forwarded-for", "10.1.2.3")],
                "1.2.3.4",
                "two lines",
            ),
            ("127.0.0.1", &[], "127.0.0.1", "nothing was said"),
            (
                "127.0.0.1",
                &[("x-forwarded-for", "198.51.100.1, unknown")],
                "127.0.0.1",
                "the last hop is hidden",
            ),
            (
                "::ffff:10.0.0.1",
                &[("x-forwarded-for", "198.51.100.1:4711")],
                "198.51.100.1",
                "mapped, with a port",
            ),
            (
                "fd00::1",
                &[("forwarded", "for=\"[2001:db8::7]:4711\";proto=https")],
                "2001:db8::7",
                "RFC 7239",
            ),
            ("fd00::1", &[("forwarded", "for=_hidden")], "fd00::1", "an obfuscated node"),
        ] {
            assert_eq!(client(peer, fields), expected, "{because}");
        }
    }

    #[test]
    fn blocks_are_read_and_compared_by_prefix() {
        let network = |text: &str| text.parse::<Network>();
        assert!(network("0.0.0.0/0").is_ok_and(|all| all.contains(IpAddr::from([8, 8, 8, 8]))));
        assert!(network("10.1.2.3/31").is_ok_and(|pair| pair.contains(IpAddr::from([10, 1, 2, 2]))));
        assert!(network("10.1.2.3/32").is_ok_and(|one| !one.contains(IpAddr::from([10, 1, 2, 2]))));
        for text in ["", "10.0.0.0/33", "10.0.0.0/-1", "example.org", "::/129", "10.0.0.0/"] {
            assert_eq!(network(text), Err(NetworkError { text: text.to_owned() }));
        }
    }
}
