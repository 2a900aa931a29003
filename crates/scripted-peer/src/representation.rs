//! What a path names right now: bytes, validators and the header fields that describe them (RFC 9110 §3.2, §8).

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::seeded::seeded_bytes;

/// The bytes a path names, with their validators.
///
/// Cheap to clone. Without further words it has no ETag and no Last-Modified, and honours ranges.
#[derive(Clone, Debug)]
pub struct Representation {
    content: Content,
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    pub(crate) content_type: String,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) honours_ranges: bool,
}

#[derive(Clone, Debug)]
enum Content {
    Seeded { seed: u64, length: u64 },
    Fixed(Bytes),
    FlippedAt(Arc<Content>, u64),
}

impl Representation {
    /// The first `length` bytes of the stream of `seed` (see [`seeded_bytes`]); any length costs nothing.
    pub fn seeded(seed: u64, length: u64) -> Self {
        Self::of(Content::Seeded { seed, length })
    }

    /// Exactly these bytes.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Content::Fixed(bytes.into()))
    }

    /// Sets the entity tag as it goes on the wire, quotes and `W/` included.
    pub fn etag(self, etag: impl Into<String>) -> Self {
        Self { etag: Some(etag.into()), ..self }
    }

    /// Sets `Last-Modified` as it goes on the wire.
    pub fn last_modified(self, date: impl Into<String>) -> Self {
        Self { last_modified: Some(date.into()), ..self }
    }

    /// Sets `Content-Type`; `application/octet-stream` without it.
    pub fn content_type(self, media_type: impl Into<String>) -> Self {
        Self { content_type: media_type.into(), ..self }
    }

    /// Adds a header field to every answer that carries this representation.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.fields.push((name.into(), value.into()));
        self
    }

    /// Never answers with a part: no `Accept-Ranges`, and a Range is ignored.
    pub fn without_ranges(self) -> Self {
        Self { honours_ranges: false, ..self }
    }

    /// The same with the lowest bit of the byte at `offset` flipped.
    pub fn flipped_at(self, offset: u64) -> Self {
        Self { content: Content::FlippedAt(Arc::new(self.content), offset), ..self }
    }

    /// Its complete-length in bytes.
    pub fn complete_length(&self) -> u64 {
        self.content.length()
    }

    /// The bytes of `range`, which must lie within the complete-length.
    pub fn read(&self, range: Range<u64>) -> Bytes {
        assert!(range.end <= self.complete_length(), "{range:?} of {} bytes", self.complete_length());
        self.content.read(range)
    }

    fn of(content: Content) -> Self {
        Self {
            content,
            etag: None,
            last_modified: None,
            content_type: "application/octet-stream".to_owned(),
            fields: Vec::new(),
            honours_ranges: true,
        }
    }
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Self::Seeded { length, .. } => *length,
            Self::Fixed(bytes) => bytes.len() as u64,
            Self::FlippedAt(content, _) => content.length(),
        }
    }

    fn read(&self, range: Range<u64>) -> Bytes {
        match self {
            Self::Seeded { seed, .. } => seeded_bytes(*seed, range).into(),
            Self::Fixed(bytes) => bytes.slice(range.start as usize..range.end as usize),
            Self::FlippedAt(content, offset) => {
                let mut bytes = content.read(range.clone()).to_vec();
                if range.contains(offset) {
                    bytes[(offset - range.start) as usize] ^= 1;
                }
                bytes.into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_byte_shows_in_every_window_that_holds_it_and_in_no_other() {
        let honest = Representation::seeded(1, 100);
        let flipped = honest.clone().flipped_at(40);
        assert_eq!(flipped.read(0..40), honest.read(0..40));
        assert_eq!(flipped.read(41..100), honest.read(41..100));
        assert_eq!(flipped.read(40..41)[0], honest.read(40..41)[0] ^ 1);
    }

    #[test]
    fn fixed_and_seeded_bytes_read_alike() {
        let fixed = Representation::bytes(seeded_bytes(9, 0..50));
        assert_eq!(fixed.complete_length(), 50);
        assert_eq!(fixed.read(13..29), Representation::seeded(9, 50).read(13..29));
    }
}
