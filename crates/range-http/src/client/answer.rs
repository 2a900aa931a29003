//! The facts of a response head that decide about its bytes, each read once.

use crate::scan::{take_decimal, trim_ows};
use crate::{ContentRange, EntityTag, HttpDate, field};

/// What the head of an answer says, as far as it matters for bytes already held.
///
/// Nothing here is an error: what cannot be read, or stands there twice, is a fact of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerHead {
    /// The status code.
    pub status: u16,
    /// Content-Range.
    pub content_range: ContentRangeField,
    /// Content-Length: the bytes of this body.
    pub length: LengthField,
    /// The body is delimited by Transfer-Encoding rather than by a length or the end of the connection.
    pub chunked: bool,
    /// A content coding other than identity is in force: these are not the representation's own bytes.
    pub encoded: bool,
    /// The body is of a multipart type.
    pub multipart: bool,
    /// ETag.
    pub etag: EntityTagField,
    /// Last-Modified, if there is one and it can be read.
    pub last_modified: Option<HttpDate>,
}

/// State of the Content-Range field of an answer (RFC 9110 §14.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ContentRangeField {
    /// Not sent.
    #[default]
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

/// State of the Content-Length field of an answer (RFC 9110 §8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LengthField {
    /// Not sent.
    #[default]
    Absent,
    /// Announced, in bytes.
    Known(u64),
    /// Not a number of 64 bits, or two that differ: the framing cannot be trusted.
    Invalid,
}

/// State of the ETag field of an answer (RFC 9110 §8.8.3).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EntityTagField {
    /// Not sent.
    #[default]
    Absent,
    /// One entity tag, strong or weak.
    Valid(EntityTag),
    /// Sent twice, or without its quotes. It cannot be the one that is known.
    Invalid,
}

impl AnswerHead {
    /// Reads a head from its status and its fields, names in any case and lines in the order received.
    ///
    /// ```
    /// use range_http::client::{AnswerHead, LengthField};
    ///
    /// let head = AnswerHead::read(206, [("Content-Range", &b"bytes 4-8/17"[..]), ("Content-Length", b"5")]);
    /// assert_eq!((head.status, head.length), (206, LengthField::Known(5)));
    /// ```
    #[must_use]
    pub fn read<'a>(status: u16, fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Self {
        let mut head = Self { status, ..Self::default() };
        let mut dates = 0;
        for (name, value) in fields {
            let (is, value) = (|known: &str| name.eq_ignore_ascii_case(known), trim_ows(value));
            if is(field::CONTENT_RANGE) {
                head.content_range = head.content_range.and(value);
            } else if is(field::CONTENT_LENGTH) {
                head.length = head.length.and(value);
            } else if is(field::TRANSFER_ENCODING) {
                head.chunked = true;
            } else if is(field::CONTENT_ENCODING) {
                head.encoded |= !value.is_empty() && !value.eq_ignore_ascii_case(b"identity");
            } else if is(field::CONTENT_TYPE) {
                head.multipart |= is_multipart(value);
            } else if is(field::ETAG) {
                head.etag = head.etag.and(value);
            } else if is(field::LAST_MODIFIED) {
                dates += 1;
                head.last_modified = HttpDate::parse(value).filter(|_| dates == 1);
            }
        }
        head
    }
}

impl ContentRangeField {
    fn and(self, value: &[u8]) -> Self {
        match (self, ContentRange::parse(value)) {
            (Self::Absent, Ok(content_range)) => Self::Valid(content_range),
            (Self::Absent, Err(_)) => match ContentRange::past_the_end(value) {
                Some(complete) => Self::PastTheEnd { complete },
                None => Self::Invalid,
            },
            _ => Self::Invalid,
        }
    }
}

impl LengthField {
    /// The length, where one can be trusted.
    #[must_use]
    pub const fn known(self) -> Option<u64> {
        match self {
            Self::Known(length) => Some(length),
            Self::Absent | Self::Invalid => None,
        }
    }

    fn and(self, value: &[u8]) -> Self {
        // Some stacks join repeated lengths with a comma; equal repetitions are harmless (RFC 9110 §8.6).
        value.split(|byte| *byte == b',').fold(self, |before, part| {
            match (before, take_decimal(trim_ows(part))) {
                (Self::Invalid, _) => Self::Invalid,
                (before, Some((number, []))) => match number.exact() {
                    Some(length) if before == Self::Absent || before == Self::Known(length) => {
                        Self::Known(length)
                    }
                    _ => Self::Invalid,
                },
                _ => Self::Invalid,
            }
        })
    }
}

impl EntityTagField {
    /// The tag, where there is exactly one.
    #[must_use]
    pub const fn valid(&self) -> Option<&EntityTag> {
        match self {
            Self::Valid(tag) => Some(tag),
            Self::Absent | Self::Invalid => None,
        }
    }

    fn and(self, value: &[u8]) -> Self {
        match (self, EntityTag::parse(value)) {
            (Self::Absent, Some(tag)) => Self::Valid(tag),
            _ => Self::Invalid,
        }
    }
}

fn is_multipart(content_type: &[u8]) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    content_type.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> AnswerHead {
        AnswerHead::read(200, fields.iter().map(|(name, value)| (*name, value.as_bytes())))
    }

    #[test]
    fn a_length_is_trusted_only_when_every_copy_says_the_same_number() {
        let length = |values: &[&str]| {
            head(&values.iter().map(|value| ("Content-Length", *value)).collect::<std::vec::Vec<_>>()).length
        };
        assert_eq!(length(&[]), LengthField::Absent);
        assert_eq!(length(&["0"]), LengthField::Known(0));
        assert_eq!(length(&[" 10 , 10\t", "010"]), LengthField::Known(10));
        for bad in ["", "+1", "-1", "0x10", "1 0", "10, 11", "10,", "99999999999999999999"] {
            assert_eq!(length(&[bad]), LengthField::Invalid, "{bad:?}");
        }
        assert_eq!(length(&["10", "11"]), LengthField::Invalid);
        assert_eq!(length(&["x", "11"]), LengthField::Invalid);
    }

    #[test]
    fn two_content_ranges_are_none_that_can_be_used() {
        let read = |values: &[&str]| {
            let fields: std::vec::Vec<_> = values.iter().map(|value| ("content-range", *value)).collect();
            head(&fields).content_range
        };
        assert_eq!(read(&[]), ContentRangeField::Absent);
        assert!(matches!(read(&["bytes 0-4/10"]), ContentRangeField::Valid(_)));
        assert_eq!(read(&["bytes 0-4/10", "bytes 0-4/10"]), ContentRangeField::Invalid);
        assert_eq!(read(&["bytes 10-9/10"]), ContentRangeField::PastTheEnd { complete: 10 });
        for bad in
            ["bytes 4-0/10", "bytes 10-9/11", "bytes 10-9/*", "bytes +10-9/10", "bytes 0--1/0", "10-9/10"]
        {
            assert_eq!(read(&[bad]), ContentRangeField::Invalid, "{bad}");
        }
        assert_eq!(read(&["items 10-9/10"]), ContentRangeField::Invalid, "of another unit");
    }

    #[test]
    fn an_entity_tag_counts_only_when_there_is_one_and_it_has_its_quotes() {
        assert_eq!(head(&[]).etag, EntityTagField::Absent);
        assert_eq!(head(&[("ETag", "\"a\"")]).etag.valid(), EntityTag::strong("a").as_ref());
        for bad in [&[("etag", "a")][..], &[("etag", "\"a\""), ("etag", "\"a\"")], &[("etag", "w/\"a\"")]] {
            assert_eq!(head(bad).etag, EntityTagField::Invalid, "{bad:?}");
        }
    }

    #[test]
    fn two_dates_are_no_date() {
        const DATE: (&str, &str) = ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(head(&[DATE]).last_modified, HttpDate::from_unix(0));
        for none in [&[DATE, DATE][..], &[DATE, DATE, DATE], &[("last-modified", "yesterday"), DATE]] {
            assert_eq!(head(none).last_modified, None, "{none:?}");
        }
    }

    #[test]
    fn codings_types_and_framings_are_told_in_any_case() {
        for (name, value, encoded) in [
            ("Content-Encoding", "Identity", false),
            ("content-encoding", "", false),
            ("CONTENT-ENCODING", "gzip", true),
            ("content-encoding", "identity, gzip", true),
        ] {
            assert_eq!(head(&[(name, value)]).encoded, encoded, "{value:?}");
        }
        assert!(head(&[("content-encoding", "gzip"), ("content-encoding", "identity")]).encoded);
        assert!(head(&[("content-type", " Multipart/byteranges; boundary=x")]).multipart);
        assert!(!head(&[("content-type", "text/multipart/")]).multipart);
        assert!(head(&[("Transfer-Encoding", "chunked")]).chunked);
    }
}
