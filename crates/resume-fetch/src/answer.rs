//! The few facts of a response head that we judge, parsed once.

use http::{HeaderMap, HeaderName, StatusCode, header};
use range_http::{ContentRange, EntityTag, HttpDate};

use crate::digest::Digest;

/// What a peer's response head says, as far as it matters for the bytes we hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerHead {
    /// The status code.
    pub status: StatusCode,
    /// `Content-Range`, if it can be understood at all.
    pub content_range: ContentRangeField,
    /// Announced length of this body in bytes.
    pub length: LengthField,
    /// The body is delimited by `Transfer-Encoding` rather than a length or the end of the connection.
    pub chunked: bool,
    /// A content coding other than identity is in force: these are not the representation's own bytes.
    pub encoded: bool,
    /// The body is `multipart/byteranges`.
    pub multipart: bool,
    /// The entity tag, strong or weak.
    pub etag: Option<EntityTag>,
    /// An `ETag` was sent that is none: two of them, or without its quotes. It cannot be the one we know.
    pub etag_unusable: bool,
    /// Last-Modified.
    pub last_modified: Option<HttpDate>,
    /// Date: the peer's own clock.
    pub date: Option<HttpDate>,
    /// SHA-256 of the whole representation, from `Repr-Digest` (RFC 9530 §3); the same on a 200 and a 206.
    pub repr_digest: Option<Digest>,
}

/// State of the `Content-Range` field of an answer (RFC 9110 §14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentRangeField {
    /// Not sent.
    Absent,
    /// One valid value.
    Valid(ContentRange),
    /// `bytes N-(N-1)/N`, no valid range: how some caches say that nothing is left after byte N.
    PastTheEnd {
        /// The N.
        complete: u64,
    },
    /// Not understandable, or sent more than once: must not be acted on.
    Invalid,
}

/// State of the `Content-Length` field of an answer (RFC 9110 §8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthField {
    /// Not sent.
    Absent,
    /// Announced, in bytes.
    Known(u64),
    /// Not a number, or two that differ: the framing cannot be trusted.
    Invalid,
}

impl LengthField {
    /// The length, where one can be trusted.
    pub fn known(self) -> Option<u64> {
        match self {
            LengthField::Known(length) => Some(length),
            LengthField::Absent | LengthField::Invalid => None,
        }
    }
}

impl AnswerHead {
    /// Reads the facts from a status and its header fields. Never fails: what cannot be read is a fact of its own.
    pub fn parse(status: StatusCode, headers: &HeaderMap) -> Self {
        Self {
            status,
            content_range: content_range(headers),
            length: length(headers),
            chunked: headers.contains_key(header::TRANSFER_ENCODING),
            encoded: values(headers, &header::CONTENT_ENCODING)
                .any(|value| !value.is_empty() && !value.eq_ignore_ascii_case(b"identity")),
            multipart: values(headers, &header::CONTENT_TYPE)
                .any(|value| value.get(..10).is_some_and(|kind| kind.eq_ignore_ascii_case(b"multipart/"))),
            etag: single(headers, &header::ETAG).and_then(EntityTag::parse),
            etag_unusable: headers.contains_key(header::ETAG)
                && single(headers, &header::ETAG).and_then(EntityTag::parse).is_none(),
            last_modified: date(headers, &header::LAST_MODIFIED),
            date: date(headers, &header::DATE),
            repr_digest: Digest::of_field(values(headers, &REPR_DIGEST)),
        }
    }
}

fn content_range(headers: &HeaderMap) -> ContentRangeField {
    let mut values = values(headers, &header::CONTENT_RANGE);
    match (values.next(), values.next()) {
        (None, _) => ContentRangeField::Absent,
        (Some(value), None) => match ContentRange::parse(value) {
            Ok(range) => ContentRangeField::Valid(range),
            Err(_) => past_the_end(value).unwrap_or(ContentRangeField::Invalid),
        },
        (Some(_), Some(_)) => ContentRangeField::Invalid,
    }
}

fn past_the_end(value: &[u8]) -> Option<ContentRangeField> {
    let (range, complete) = std::str::from_utf8(value).ok()?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, complete) = (number(first)?, number(last)?, number(complete)?);
    (first == complete && last.checked_add(1) == Some(first))
        .then_some(ContentRangeField::PastTheEnd { complete })
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn length(headers: &HeaderMap) -> LengthField {
    // Some stacks join repeated lengths with a comma; equal repetitions are harmless (RFC 9110 §8.6).
    let mut found = None;
    for part in values(headers, &header::CONTENT_LENGTH).flat_map(|value| value.split(|byte| *byte == b',')) {
        match (std::str::from_utf8(part.trim_ascii()).ok().and_then(number), found) {
            (None, _) => return LengthField::Invalid,
            (Some(number), Some(before)) if number != before => return LengthField::Invalid,
            (Some(number), _) => found = Some(number),
        }
    }
    found.map_or(LengthField::Absent, LengthField::Known)
}

fn date(headers: &HeaderMap, name: &HeaderName) -> Option<HttpDate> {
    single(headers, name).and_then(HttpDate::parse)
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
    fn a_length_is_trusted_only_when_every_copy_says_the_same_number() {
        assert_eq!(head(&[("content-length", "10")]).length, LengthField::Known(10));
        assert_eq!(head(&[("content-length", "10, 10")]).length, LengthField::Known(10));
        for bad in ["", "+1", "-1", "0x10", "1 0", "10, 11", "99999999999999999999"] {
            assert_eq!(head(&[("content-length", bad)]).length, LengthField::Invalid, "{bad:?}");
        }
        let two = head(&[("content-length", "10"), ("content-length", "11")]);
        assert_eq!(two.length, LengthField::Invalid);
    }

    #[test]
    fn two_content_ranges_are_none_that_can_be_used() {
        assert_eq!(head(&[]).content_range, ContentRangeField::Absent);
        let one = ("content-range", "bytes 0-4/10");
        assert!(matches!(head(&[one]).content_range, ContentRangeField::Valid(_)));
        assert_eq!(head(&[one, one]).content_range, ContentRangeField::Invalid);
        for bad in ["bytes 4-0/10", "bytes 10-9/11", "bytes +10-9/10", "bytes 0--1/0", "10-9/10"] {
            assert_eq!(head(&[("content-range", bad)]).content_range, ContentRangeField::Invalid, "{bad}");
        }
        let end = head(&[("content-range", "bytes 10-9/10")]).content_range;
        assert_eq!(
            end,
            ContentRangeField::PastTheEnd { complete: 10 },
            "a cache that has nothing left to send"
        );
    }

    #[test]
    fn an_entity_tag_counts_only_when_there_is_one_and_it_has_its_quotes() {
        let one = head(&[("etag", "\"a\"")]);
        assert!(one.etag.is_some() && !one.etag_unusable);
        for bad in [&[("etag", "a")][..], &[("etag", "\"a\""), ("etag", "\"a\"")], &[("etag", "w/\"a\"")]] {
            let bad = head(bad);
            assert!(bad.etag.is_none() && bad.etag_unusable, "{bad:?}");
        }
        assert!(!head(&[]).etag_unusable);
    }

    #[test]
    fn identity_is_no_coding_and_anything_else_is() {
        assert!(!head(&[("content-encoding", "identity")]).encoded);
        assert!(!head(&[("content-encoding", "")]).encoded);
        assert!(head(&[("content-encoding", "gzip")]).encoded);
    }
}
