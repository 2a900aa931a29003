//! What to write after the head of an answer.

use crate::ByteRange;
use crate::multipart::Parts;

/// The body of an answer, as pieces of text and ranges of the representation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyPlan(Pieces);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pieces {
    Range(Option<ByteRange>),
    Parts(Parts),
}

/// One piece of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Write these bytes.
    Bytes(&'a [u8]),
    /// Write this range of the representation.
    Source(ByteRange),
}

impl BodyPlan {
    /// A body without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self(Pieces::Range(None))
    }

    pub(crate) const fn one(range: Option<ByteRange>) -> Self {
        Self(Pieces::Range(range))
    }

    pub(crate) const fn parts(parts: Parts) -> Self {
        Self(Pieces::Parts(parts))
    }

    pub(crate) const fn is_multipart(&self) -> bool {
        matches!(self.0, Pieces::Parts(_))
    }

    /// The exact length in bytes, part heads and boundaries included.
    #[must_use]
    pub fn len(&self) -> u64 {
        match &self.0 {
            Pieces::Range(range) => range.map_or(0, ByteRange::len),
            Pieces::Parts(parts) => parts.len(),
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        (0..).map_while(|place| self.segment(place))
    }

    /// The piece at `place`, counted from zero.
    #[must_use]
    pub fn segment(&self, place: usize) -> Option<Segment<'_>> {
        match &self.0 {
            Pieces::Range(range) => range.filter(|_| place == 0).map(Segment::Source),
            Pieces::Parts(parts) => match (parts.piece(place / 2)?, place % 2) {
                ((text, _), 0) => Some(Segment::Bytes(text.as_bytes())),
                ((_, range), _) => range.map(Segment::Source),
            },
        }
    }
}
