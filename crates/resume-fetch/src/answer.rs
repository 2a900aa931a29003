//! The few facts of a response head that we judge, parsed once.

use std::ops::Deref;

use http::{HeaderMap, HeaderName, StatusCode, header};
use range_http::HttpDate;
use range_http::client;
pub use range_http::client::{ContentRangeField, LengthField};

use crate::digest::Digest;

/// What a peer's response head says, as far as it matters for the bytes we hold.
///
/// The facts that place bytes are those every client of ranges reads, and can be named here directly: `head.length`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// What decides whether this body continues the bytes we hold.
    pub facts: client::AnswerHead,
    /// The status code.
    pub status: StatusCode,
    /// Date: the peer's own clock.
    pub date: Option<HttpDate>,
    /// SHA-256 of the whole representation, from `Repr-Digest` (RFC 9530 §3); the same on a 200 and a 206.
    pub repr_digest: Option<Digest>,
}

impl AnswerHead {
    /// Reads the facts from a status and its header fields. Never fails: what cannot be read is a fact of its own.
    pub fn parse(status: StatusCode, headers: &HeaderMap) -> Self {
        Self {
            facts: client::AnswerHead::of(status, headers),
            status,
            date: single(headers, &header::DATE).and_then(HttpDate::parse),
            repr_digest: Digest::of_field(values(headers, &REPR_DIGEST)),
        }
    }
}

impl Deref for AnswerHead {
    type Target = client::AnswerHead;

    fn deref(&self) -> &client::AnswerHead {
        &self.facts
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = values(headers, name);
    values.next().filter(|_| values.next().is_none())
}

fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().map(|value| value.as_bytes().trim_ascii())
}

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn head(fields: &[(&'static str, &'static str)]) -> AnswerHead {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        AnswerHead::parse(StatusCode::OK, &headers)
    }

    #[test]
    fn every_fact_is_read_from_where_it_stands() {
        const DATE: (&str, &str) = ("date", "Thu, 01 Jan 1970 00:00:01 GMT");
        let zeros = "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:";
        let read = head(&[DATE, ("content-length", "10"), ("repr-digest", zeros)]);
        assert_eq!((read.status, read.length), (StatusCode::OK, LengthField::Known(10)));
        assert_eq!(read.date, HttpDate::from_unix(1));
        assert_eq!(read.repr_digest, Digest::sha256(&"00".repeat(32)).ok());
        assert_eq!(head(&[DATE, DATE]).date, None, "two clocks are none");
    }
}
