//! What a server knows about the bytes it is asked for.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::field::{self, clean};
use crate::{EntityTag, HttpDate};

/// The selected representation: its length, its validators and the fields a 200 would carry.
///
/// Field values are cleaned of control characters, so what a user typed cannot end a line.
///
/// ```
/// use range_http::{EntityTag, Representation};
///
/// let representation = Representation::new(1_234)
///     .with_etag(EntityTag::strong("v7").expect("no quotes inside"))
///     .with_content_type("video/mp4")
///     .with_cache_control("private, no-transform");
/// assert_eq!(representation.len(), 1_234);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Representation {
    len: u64,
    etag: Option<EntityTag>,
    last_modified: Option<HttpDate>,
    settled: bool,
    content_type: Option<Cow<'static, str>>,
    fields: Vec<(&'static str, Cow<'static, str>)>,
}

impl Representation {
    /// A representation of `len` bytes after content coding (RFC 9110 §14.1.2), without validators.
    #[must_use]
    pub const fn new(len: u64) -> Self {
        Self { len, etag: None, last_modified: None, settled: false, content_type: None, fields: Vec::new() }
    }

    /// Sets the entity tag. Only a strong one lets clients resume by it.
    #[must_use]
    pub fn with_etag(mut self, etag: impl Into<Option<EntityTag>>) -> Self {
        self.etag = etag.into();
        self
    }

    /// Sets Last-Modified; `None` for a moment the format cannot write.
    #[must_use]
    pub fn with_last_modified(mut self, date: impl Into<Option<HttpDate>>) -> Self {
        self.last_modified = date.into();
        self
    }

    /// Says whether Last-Modified is a strong validator: the representation cannot have changed twice within that
    /// second (RFC 9110 §8.8.2.2), for example because it has been left alone for two seconds. `false` by default.
    #[must_use]
    pub const fn with_settled(mut self, settled: bool) -> Self {
        self.settled = settled;
        self
    }

    /// Sets Content-Type, in the answer or in each of its parts.
    #[must_use]
    pub fn with_content_type(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.content_type = Some(clean(value.into()));
        self
    }

    /// Sets Cache-Control.
    #[must_use]
    pub fn with_cache_control(self, value: impl Into<Cow<'static, str>>) -> Self {
        self.with_field(field::CACHE_CONTROL, value)
    }

    /// Sets Content-Disposition, from a [`ContentDisposition`](crate::ContentDisposition) or as text.
    #[must_use]
    pub fn with_content_disposition(self, value: impl Into<Cow<'static, str>>) -> Self {
        self.with_field(field::CONTENT_DISPOSITION, value)
    }

    /// Sets Repr-Digest, from a [`ReprDigest`](crate::ReprDigest) or as text.
    #[must_use]
    pub fn with_repr_digest(self, value: impl Into<Cow<'static, str>>) -> Self {
        self.with_field(field::REPR_DIGEST, value)
    }

    /// Adds any other field of the 200: Vary, Expires, Content-Location, Content-Language, `Access-Control-*`, ...
    ///
    /// It is repeated on a 206 and, unless it describes the content, on a 304 and on a 206 after If-Range.
    ///
    /// # Panics
    /// If `name` is not a token in lower case, or one of the fields computed here (Content-Length, Content-Range,
    /// Accept-Ranges, ETag, Last-Modified, Content-Type).
    #[must_use]
    pub fn with_field(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let lower_token =
            name.bytes().all(|byte| crate::scan::is_token_byte(byte) && !byte.is_ascii_uppercase());
        assert!(lower_token && !name.is_empty(), "{name:?} is not a field name in lower case");
        assert!(!COMPUTED.contains(&name), "{name} is computed");
        self.fields.push((name, clean(value.into())));
        self
    }

    /// The complete-length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length in bytes, not a collection")]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// The entity tag.
    #[must_use]
    pub const fn etag(&self) -> Option<&EntityTag> {
        self.etag.as_ref()
    }

    /// Last-Modified.
    #[must_use]
    pub const fn last_modified(&self) -> Option<HttpDate> {
        self.last_modified
    }

    /// Whether Last-Modified is a strong validator.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.settled
    }

    /// Content-Type.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The other fields of the 200.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.fields.iter().map(|(name, value)| (*name, &**value))
    }
}

const COMPUTED: [&str; 6] = [
    field::CONTENT_LENGTH,
    field::CONTENT_RANGE,
    field::ACCEPT_RANGES,
    field::ETAG,
    field::LAST_MODIFIED,
    field::CONTENT_TYPE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_end_its_line() {
        let representation =
            Representation::new(0).with_content_type("a\r\nSet-Cookie: b").with_field("vary", "x\0y\tz");
        assert_eq!(representation.content_type(), Some("a  Set-Cookie: b"));
        assert_eq!(representation.fields().next(), Some(("vary", "x y\tz")));
    }

    #[test]
    #[should_panic(expected = "computed")]
    fn computed_fields_cannot_be_set() {
        let _ = Representation::new(0).with_field("content-length", "7");
    }
}
