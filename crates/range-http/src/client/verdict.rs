//! What a client asks, and what an answer means for it: the words of [`decide`](super::decide).

use crate::{ByteRange, EntityTag, HttpDate};

/// What was asked for, and what is known about the representation from earlier answers.
///
/// The default is a plain request by somebody who holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Asked<'a> {
    /// The first byte needed: where the bytes held end.
    ///
    /// The range on the wire may have begun earlier, to compare an overlap.
    pub start: u64,
    /// One past the last byte needed; `None` for everything from `start` on.
    pub end: Option<u64>,
    /// Whether the request carried a Range at all.
    pub ranged: bool,
    /// The complete-length, if an earlier answer told it.
    pub complete: Option<u64>,
    /// The entity tag under which the bytes held were received.
    pub etag: Option<&'a EntityTag>,
    /// The Last-Modified under which the bytes held were received, where there was no entity tag and the date was a
    /// strong validator (RFC 9110 §8.8.2.2). Not looked at beside `etag`.
    pub last_modified: Option<HttpDate>,
}

/// What to do with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// A 206 that continues the bytes held, and a strong validator on both sides says so: append it.
    Proven(Part),
    /// A 206 that claims to continue the bytes held, but no strong validator on both sides ties it to them (RFC 9110
    /// §15.3.7.3). Compare an overlap, wait for a digest, or start over; take it if nothing is held.
    Unproven(Part),
    /// A 200: the whole representation is on its way, whatever was asked for. Bytes held before give way to this body,
    /// from its first byte on.
    Whole {
        /// The complete-length, where the answer announces it.
        complete: Option<u64>,
        /// Whether it is the representation held.
        proof: Proof,
    },
    /// Nothing is missing: the representation ends exactly where the bytes held end.
    Complete {
        /// Whether it is the representation held: most servers send no validator with a 416.
        proof: Proof,
    },
    /// The bytes held are of no use with this answer, nor is its body: ask again without Range.
    Restart(Cause),
    /// Nothing of this answer can be used, and it says nothing about the bytes held.
    Refused(Refusal),
}

/// The bytes a 206 brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What to take of the body, whose first byte is `range.start()`: no more than Content-Range and Content-Length
    /// both promise, and nothing from [`Asked::end`] on.
    ///
    /// Begins at [`Asked::start`] or before it, and then what lies before is held already: compare or skip it. May end
    /// earlier than asked. It brings new bytes, with one exception: where the complete-length was not known, it may end
    /// at [`Asked::start`] together with the representation.
    pub range: ByteRange,
    /// The complete-length, from this answer or from before.
    pub complete: Option<u64>,
}

impl Part {
    /// How many bytes at the beginning of the body lie before [`Asked::start`].
    #[must_use]
    pub const fn overlap(&self, asked: &Asked<'_>) -> u64 {
        asked.start.saturating_sub(self.range.start())
    }
}

/// What the validators of an answer say about the bytes held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// The same strong validator on both sides: the same representation (RFC 9110 §8.8.1).
    Same,
    /// Another validator, or none that can be read, where one is known; or a weak one in the place of a strong one.
    Different,
    /// One side has no validator, or only a weak one: neither a yes nor a no.
    Missing,
}

/// Why the bytes held cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A 206 whose Content-Range is missing, invalid, or does not continue the bytes held; or a 200 that has one.
    ContentRangeMismatch,
    /// A 206 with several parts although one range was asked for.
    Multipart,
    /// A complete-length other than the one known.
    LengthChanged,
    /// A validator other than the one known, or a weak one in its place.
    ValidatorChanged,
    /// A body under a content coding, whose bytes are not those of the representation held.
    ContentEncoding,
    /// A 416: the representation does not end where the bytes held do, or not where it ended before.
    NotSatisfiable {
        /// Where it ends now, if the answer says so.
        complete: Option<u64>,
    },
    /// A 412: the representation changed.
    PreconditionFailed,
}

/// Why an answer says nothing about the bytes held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// Content-Length contradicts itself, Transfer-Encoding, or the range it stands beside (RFC 9112 §6.3): where this
    /// body ends nobody knows.
    Framing,
    /// Part of a representation in answer to a plain request.
    UnaskedPart,
    /// A content coding nobody asked for, in answer to a plain request.
    ContentEncoding,
    /// The status is of another kind: a redirect, an error, a success without the representation.
    Status,
}
