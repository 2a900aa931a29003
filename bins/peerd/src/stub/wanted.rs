//! What a stub asks for.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// An item of a peer, or a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Wanted {
    /// An item of a peer.
    Item {
        /// The peer's name here, or the first eight hex digits of the SHA-256 of its configured URL.
        peer: String,
        /// The peer's name for the item. It is opaque, and may contain `:` and `/`.
        item: String,
    },
    /// An http or https URL; not checked further.
    Url(String),
}

/// Why a text asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotWanted {
    /// Neither form.
    #[error("neither PEER/ITEM nor an http(s) URL")]
    Neither,
    /// The peer is not a name.
    #[error("the name of a peer has 1 to {MAX_PEER} characters, none of them a control character")]
    Peer,
    /// The item is not a name.
    #[error("the name of an item has 1 to {MAX_ITEM} bytes, none of them a control character")]
    Item,
    /// The URL is none.
    #[error("a URL has at most {MAX_ITEM} bytes, none of them a control character")]
    Url,
    /// The URL holds a user name or a password: it would stand in the registry and in the log.
    #[error("a URL must not hold a user name or a password")]
    Login,
}

impl Wanted {
    /// An item of a peer, if both could be names.
    ///
    /// # Errors
    /// [`NotWanted`] names the one that could not.
    pub fn item(peer: &str, item: &str) -> Result<Self, NotWanted> {
        if !is_name(peer, MAX_PEER) {
            return Err(NotWanted::Peer);
        }
        if !is_name(item, MAX_ITEM) {
            return Err(NotWanted::Item);
        }
        Ok(Self::Item { peer: peer.to_owned(), item: item.to_owned() })
    }
}

/// `PEER/ITEM`, or a URL. What follows the first slash is the item.
impl FromStr for Wanted {
    type Err = NotWanted;

    fn from_str(text: &str) -> Result<Self, NotWanted> {
        if is_url(text) {
            return match is_name(text, MAX_ITEM) {
                true if holds_login(text) => Err(NotWanted::Login),
                true => Ok(Self::Url(text.to_owned())),
                false => Err(NotWanted::Url),
            };
        }
        match text.split_once('/') {
            Some((peer, item)) if !peer.is_empty() && !item.is_empty() => Self::item(peer, item),
            _ => Err(NotWanted::Neither),
        }
    }
}

/// As it is read.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Item { peer, item } => write!(f, "{peer}/{item}"),
            Self::Url(url) => f.write_str(url),
        }
    }
}

fn is_url(text: &str) -> bool {
    let begins =
        |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    begins("http://") || begins("https://")
}

/// Whether something stands before an `@` in front of the host, as whoever parses the URL later would see it: one
/// slash, or three, or the other slash, are as good as two (WHATWG URL, "special authority ignore slashes state").
fn holds_login(url: &str) -> bool {
    let rest = url.split_once(':').map_or(url, |(_, rest)| rest).trim_start_matches(['/', '\\']);
    rest.split(['/', '\\', '?', '#']).next().is_some_and(|authority| authority.contains('@'))
}

fn is_name(text: &str, most: usize) -> bool {
    !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control)
}

const MAX_PEER: usize = 64;
const MAX_ITEM: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_a_url_is_refused_does_not_tell_the_password_in_it() {
        let why = "http://user:secret@host/f".parse::<Wanted>().unwrap_err();
        assert!(!why.to_string().contains("secret"), "{why}");
    }

    #[test]
    fn what_follows_the_first_slash_is_the_item() {
        let item = |peer: &str, item: &str| Ok(Wanted::Item { peer: peer.to_owned(), item: item.to_owned() });
        let url = |text: &str| Ok(Wanted::Url(text.to_owned()));
        let (long_peer, long_item) = ("p".repeat(65), format!("p/{}", "i".repeat(4097)));
        for (text, expected) in [
            ("bob/films:abc", item("bob", "films:abc")),
            ("33cf6f5d/a/b c:d", item("33cf6f5d", "a/b c:d")),
            ("http://bob.example/x", url("http://bob.example/x")),
            ("HTTPS://bob.example/x", url("HTTPS://bob.example/x")),
            ("http://bob.example/@x?a=b@c#d@e", url("http://bob.example/@x?a=b@c#d@e")),
            ("http://user:pw@host/f", Err(NotWanted::Login)),
            ("https://token@host?x", Err(NotWanted::Login)),
            ("http:///user:p@w@host", Err(NotWanted::Login)),
            ("HTTP://\\user:pw@host\\f", Err(NotWanted::Login)),
            ("http://user:pw@", Err(NotWanted::Login)),
            ("bob", Err(NotWanted::Neither)),
            ("/item", Err(NotWanted::Neither)),
            ("bob/", Err(NotWanted::Neither)),
            ("", Err(NotWanted::Neither)),
            ("bob/a\u{7}b", Err(NotWanted::Item)),
            ("b\tob/a", Err(NotWanted::Peer)),
            ("http://bob/\u{1b}[31m", Err(NotWanted::Url)),
            (&format!("{long_peer}/i"), Err(NotWanted::Peer)),
            (&long_item, Err(NotWanted::Item)),
        ] {
            assert_eq!(text.parse::<Wanted>(), expected, "{text}");
            if let Ok(wanted) = expected {
                assert_eq!(wanted.to_string(), text);
            }
        }
    }
}
