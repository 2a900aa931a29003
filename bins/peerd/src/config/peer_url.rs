//! The address of a peer: an `http` or `https` URL that carries nothing but the place.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;
use url::{Host, Url};

/// Where a peer answers: `http` or `https`, a host, and no query, fragment, user name or password.
///
/// Keeps the text as configured beside the parsed form: stub files may name a peer by a digest of that text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerUrl {
    text: String,
    base: Url,
}

impl PeerUrl {
    /// The text as configured.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URL to join relative paths to: its path ends with a slash.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Whether what is sent there is not encrypted.
    pub fn is_plain(&self) -> bool {
        self.base.scheme() == "http"
    }

    /// Whether what is sent there crosses the internet in the clear.
    ///
    /// A literal address is public unless it is loopback, private, link-local, shared (100.64.0.0/10) or unique
    /// local. A host name is taken to be public when it has a dot and does not end in a suffix of private networks.
    pub fn is_plain_and_public(&self) -> bool {
        self.is_plain()
            && match self.base.host() {
                Some(Host::Ipv4(address)) => is_public(IpAddr::V4(address)),
                Some(Host::Ipv6(address)) => is_public(IpAddr::V6(address)),
                Some(Host::Domain(name)) => is_public_name(name),
                None => false,
            }
    }
}

impl FromStr for PeerUrl {
    type Err = PeerUrlError;

    fn from_str(text: &str) -> Result<Self, PeerUrlError> {
        let mut base = Url::parse(text).map_err(|source| PeerUrlError::Malformed { source })?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(PeerUrlError::Scheme { scheme: base.scheme().to_owned() });
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(PeerUrlError::UserInfo);
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(PeerUrlError::Query);
        }
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(Self { text: text.to_owned(), base })
    }
}

/// The text as configured.
impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for PeerUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PeerUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Why a text is not the address of a peer. No message repeats the text: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerUrlError {
    /// Not a URL at all.
    #[error("not a URL: {source}")]
    Malformed {
        /// What the parser says.
        source: url::ParseError,
    },
    /// Neither `http` nor `https`.
    #[error("the URL of a peer begins with http:// or https://, not {scheme}:")]
    Scheme {
        /// The scheme as written.
        scheme: String,
    },
    /// A user name or a password in the URL.
    #[error("the URL of a peer carries no user name or password; a secret belongs in `key` or `headers`")]
    UserInfo,
    /// A query or a fragment.
    #[error("the URL of a peer carries no query or fragment")]
    Query,
}

fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let shared = v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64;
            !(v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_unspecified() || shared)
        }
        IpAddr::V6(v6) => {
            !(v6.is_loopback() || v6.is_unspecified() || v6.is_unique_local() || v6.is_unicast_link_local())
        }
    }
}

fn is_public_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let private = |suffix: &&str| name.strip_suffix(*suffix).is_some_and(|host| host.ends_with('.'));
    name.contains('.') && !PRIVATE_SUFFIXES.iter().any(private)
}

/// Names that never resolve on the public internet (RFC 6761, RFC 6762, RFC 8375) or are used as if they did not.
const PRIVATE_SUFFIXES: &[&str] = &["localhost", "local", "lan", "internal", "home.arpa", "home", "test"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_keeps_its_text_and_joins_below_its_path() {
        let url: PeerUrl = "https://bob.example/peerd".parse().unwrap();
        assert_eq!(url.as_str(), "https://bob.example/peerd");
        assert_eq!(url.base().join("peer/items").unwrap().as_str(), "https://bob.example/peerd/peer/items");
    }

    #[test]
    fn a_url_that_carries_more_than_a_place_is_refused_without_repeating_it() {
        for (text, message) in [
            ("ftp://bob.example/", "the URL of a peer begins with http:// or https://, not ftp:"),
            ("bob.example", "not a URL: relative URL without a base"),
            ("http://", "not a URL: empty host"),
            (
                "http://al:pw@bob.example/",
                "the URL of a peer carries no user name or password; a secret belongs in `key` or `headers`",
            ),
            ("http://bob.example/?k=pw", "the URL of a peer carries no query or fragment"),
            ("http://bob.example/#x", "the URL of a peer carries no query or fragment"),
        ] {
            assert_eq!(text.parse::<PeerUrl>().unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn plain_http_is_public_unless_the_host_is_on_a_private_network() {
        for (text, public) in [
            ("https://bob.example/", false),
            ("http://bob.example/", true),
            ("http://8.8.8.8:5280/", true),
            ("http://[2001:4860::1]/", true),
            ("http://127.0.0.1:5280/", false),
            ("http://192.168.1.4/", false),
            ("http://100.64.0.1/", false),
            ("http://100.128.0.1/", true),
            ("http://[::1]/", false),
            ("http://[fd00::1]/", false),
            ("http://[::ffff:10.0.0.1]/", false),
            ("http://nas/", false),
            ("http://nas.local/", false),
            ("http://notlocal.example/", true),
        ] {
            assert_eq!(text.parse::<PeerUrl>().unwrap().is_plain_and_public(), public, "{text}");
        }
    }
}
