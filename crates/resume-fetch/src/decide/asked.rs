//! Our side of the judgement.

use range_http::client;

use crate::digest::Digest;
use crate::error::AnswerError;
use crate::identity::{Identity, Validator};

/// What we asked for and what we know, the facts on our side of the judgement.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The representation our bytes belong to; empty before the first answer.
    pub identity: &'a Identity,
    /// First offset we need.
    pub from: u64,
    /// One past the last offset we need; `None` up to the end, wherever that is.
    pub until: Option<u64>,
    /// Where the run of held bytes that ends at `from` begins; equal to `from` when nothing is held before it.
    pub held_from: u64,
    /// Offset of the first byte asked for on the wire; below `from` when bytes overlap to be compared.
    pub wire_from: u64,
    /// Whether the request carried a `Range` at all.
    pub ranged: bool,
    /// Nothing is held and nothing known: this answer starts the generation, there is nothing to splice.
    pub fresh: bool,
    /// A validator alone does not join these bytes to ours: the answer comes from another origin, where an equal tag
    /// may be a coincidence, or nobody vouches for the bytes we hold. The overlap has to be equal as well.
    pub compare: bool,
    /// The peer has ignored a range before: starting over a second time would bring us nowhere.
    pub ignores_ranges: bool,
    /// A digest from the caller will judge the whole.
    pub digest: bool,
    /// What the peer itself said before about the digest of this representation.
    pub repr_digest: Option<Digest>,
    /// Complete-length the caller insists on.
    pub expected_total: Option<u64>,
    /// Largest complete-length accepted; `None` for any.
    pub max_size: Option<u64>,
}

impl<'a> Asked<'a> {
    /// The part of it that is about ranges. To a plain request nothing we know matters: its answer starts over.
    pub(super) fn of_ranges(&self) -> client::Asked<'a> {
        if !self.ranged {
            return client::Asked::default();
        }
        let (etag, last_modified) = match &self.identity.validator {
            Some(Validator::Tag(tag)) => (Some(tag), None),
            Some(Validator::Date(date)) => (None, Some(*date)),
            None => (None, None),
        };
        let Identity { total: complete, .. } = *self.identity;
        client::Asked { start: self.from, end: self.until, ranged: true, complete, etag, last_modified }
    }

    /// Why a representation of this complete-length is not wanted.
    pub(super) fn size_refused(&self, total: u64) -> Option<AnswerError> {
        let max = self.max_size.unwrap_or(LARGEST_FILE).min(LARGEST_FILE);
        match self.expected_total {
            Some(expected) if expected != total => {
                Some(AnswerError::SizeMismatch { expected, actual: total })
            }
            _ => (total > max).then_some(AnswerError::TooLarge { size: total, max }),
        }
    }
}

/// Offsets in a file are signed.
const LARGEST_FILE: u64 = i64::MAX as u64;
