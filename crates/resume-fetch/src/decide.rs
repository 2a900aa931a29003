//! **The decision**: what a peer's answer means for the bytes we hold (RFC 9110 §14.4, §15.3.7, §15.5.17).
//!
//! One pure function judges every answer, whether it fills a whole file or one chunk, before a single byte is written.
//! The order of the checks is: framing, status, content coding, `Content-Range`, validators and complete-length,
//! position. `docs/resume.md` shows the same table for people.

use http::StatusCode;
use range_http::ContentRange;

use crate::answer::{AnswerHead, ContentRangeField, LengthField};
use crate::digest::Digest;
use crate::error::AnswerError;
use crate::identity::{Identity, TotalSource, Validator};
use crate::restart_reason::RestartReason;

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

/// What happens next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Write this body.
    Take(Take),
    /// The bytes we hold do not belong to what the peer has now. With `Some`, this very body starts the new
    /// generation; with `None`, drop it and ask again without a range.
    Restart(RestartReason, Option<Take>),
    /// We hold everything there is.
    Complete {
        /// The complete-length the peer confirmed.
        total: u64,
    },
    /// Look elsewhere (RFC 9110 §15.4).
    Redirect,
    /// Nothing of this answer can be used.
    Refuse(AnswerError),
}

/// Which bytes of a body go where.
///
/// `body_from ≤ compare_from ≤ write_from`: first come bytes we cannot compare, then bytes we hold, then new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// Offset of the body's first byte.
    pub body_from: u64,
    /// Offset from which bytes are compared with what we hold.
    pub compare_from: u64,
    /// Offset from which bytes are new.
    pub write_from: u64,
    /// One past the last byte to take; `None` while nobody has said how long the body is.
    pub until: Option<u64>,
    /// What the answer adds to the identity (or starts it with).
    pub identity: Identity,
}

/// Decides what `answer` means for the bytes we hold.
pub fn decide(asked: &Asked<'_>, answer: &AnswerHead) -> Decision {
    if answer.length == LengthField::Invalid || (answer.chunked && answer.length != LengthField::Absent) {
        // Both lengths on one message is how bodies get smuggled and cut (RFC 9112 §6.3): trust neither.
        return Decision::Refuse(AnswerError::Framing);
    }
    match answer.status {
        StatusCode::OK => decide_whole(asked, answer),
        // Somebody on the way transformed it (RFC 9110 §15.3.4); only a digest can tell whether into something else.
        StatusCode::NON_AUTHORITATIVE_INFORMATION if asked.digest && !asked.ranged => {
            decide_whole(asked, answer)
        }
        StatusCode::PARTIAL_CONTENT if asked.ranged => decide_partial(asked, answer),
        StatusCode::PARTIAL_CONTENT => Decision::Refuse(AnswerError::UnaskedPartial),
        StatusCode::RANGE_NOT_SATISFIABLE if asked.ranged => {
            let complete = match answer.content_range {
                ContentRangeField::Valid(ContentRange::Unsatisfied { complete }) => Some(complete),
                _ => None,
            };
            decide_past_the_end(asked, answer, complete)
        }
        // We never send If-Match; a peer or proxy that answers 412 still says "not the one you know".
        StatusCode::PRECONDITION_FAILED if asked.ranged => restart(RestartReason::ValidatorChanged),
        StatusCode::NOT_MODIFIED => Decision::Refuse(AnswerError::UnaskedStatus(answer.status)),
        // 305 and 306 are redirects nobody must follow any more (RFC 9110 §15.4.6, §15.4.7).
        status if matches!(status.as_u16(), 300..=303 | 307 | 308) => Decision::Redirect,
        status => Decision::Refuse(AnswerError::Status(status)),
    }
}

/// A 200: the whole representation, whatever was asked.
fn decide_whole(asked: &Asked<'_>, answer: &AnswerHead) -> Decision {
    if answer.encoded {
        return match asked.ranged {
            true => restart(RestartReason::UnexpectedEncoding),
            false => Decision::Refuse(AnswerError::Encoded),
        };
    }
    let length = answer.length.known();
    if let Some(refusal) = length.or(asked.expected_total).and_then(|total| size_refused(asked, total)) {
        return Decision::Refuse(refusal);
    }
    let known = asked.identity;
    let same = asked.ranged && confirmed(known, answer);
    if asked.ranged && answer.content_range != ContentRangeField::Absent {
        // A 206 in a 200's clothes. The status wins, and it makes no sense: ask for the whole.
        return restart(RestartReason::ContentRangeMismatch);
    }
    if claims_to_be_a_part(answer) {
        return Decision::Refuse(AnswerError::UnaskedPartial);
    }
    if same && length.is_some() && known.total.is_some() && length != known.total {
        // The tag says nothing changed, the length says it did: one plain request decides.
        return restart(RestartReason::ContentRangeMismatch);
    }
    let (total, total_source) = match (length, asked.expected_total, known.total.filter(|_| same)) {
        (Some(length), ..) => (Some(length), Some(TotalSource::ContentLength)),
        (None, Some(expected), _) => (Some(expected), Some(TotalSource::Request)),
        (None, None, Some(known_total)) => (Some(known_total), known.total_source),
        (None, None, None) => (None, None),
    };
    if total.is_none() && !answer.chunked && !asked.digest {
        // Delimited by the end of the connection: a cut and an end look alike (RFC 9112 §6.3 rule 8).
        return Decision::Refuse(AnswerError::LengthUnknown);
    }
    if same && asked.ignores_ranges && !asked.compare && total.is_some() && total == known.total {
        // It will not skip what we hold, so we do: compared on the way, and nothing is lost if it is cut again.
        let identity = known.clone();
        let compare_from = asked.held_from;
        return Decision::Take(Take {
            body_from: 0,
            compare_from,
            write_from: asked.from,
            until: total,
            identity,
        });
    }
    let identity = Identity { total, total_source, validator: validator(answer) };
    let take = Take { body_from: 0, compare_from: 0, write_from: 0, until: total, identity };
    match () {
        () if !asked.ranged => Decision::Take(take),
        () if contradicted(known, answer) => Decision::Restart(RestartReason::ValidatorChanged, Some(take)),
        // The peer ignored our range and is already sending the whole representation: start over with this body
        // instead of paying for a second request.
        () => Decision::Restart(RestartReason::RangeIgnored, Some(take)),
    }
}

/// A 206 to a request that carried a range.
fn decide_partial(asked: &Asked<'_>, answer: &AnswerHead) -> Decision {
    if answer.encoded {
        return restart(RestartReason::UnexpectedEncoding);
    }
    if answer.multipart {
        return restart(RestartReason::ContentRangeMismatch);
    }
    let (range, complete) = match answer.content_range {
        ContentRangeField::Valid(ContentRange::Range { range, complete }) => (range, complete),
        ContentRangeField::PastTheEnd { complete } => {
            return decide_past_the_end(asked, answer, Some(complete));
        }
        _ => return restart(RestartReason::ContentRangeMismatch),
    };
    let known = asked.identity;
    if contradicted(known, answer)
        || asked.repr_digest.is_some_and(|ours| answer.repr_digest.is_some_and(|d| d != ours))
    {
        return restart(RestartReason::ValidatorChanged);
    }
    if known.total.is_some() && complete.is_some() && complete != known.total {
        return restart(RestartReason::ContentRangeMismatch);
    }
    if let Some(refusal) = complete.and_then(|total| size_refused(asked, total)) {
        return Decision::Refuse(refusal);
    }
    let (start, end) = (range.start(), range.end());
    let total = known.total.or(complete);
    let overlaps = asked.compare || !known.is_proof();
    let past_total = total.is_some_and(|total| end > total);
    let leaves_a_gap = start > asked.from;
    // A body that ends where ours does is of use only when it says that this is the end of everything.
    let nothing_new = end <= asked.from && !(known.total.is_none() && complete == Some(asked.from));
    if past_total || leaves_a_gap || nothing_new {
        return restart(RestartReason::ContentRangeMismatch);
    }
    if overlaps && (start > asked.wire_from || asked.held_from == asked.from) {
        // Only the overlap could show that these bytes continue ours, and there is none.
        return restart(RestartReason::OverlapMismatch);
    }
    if known.total.is_none() && !(confirmed(known, answer) || asked.digest || overlaps && total.is_some()) {
        // A complete-length is taken over only with evidence that it is that of our representation.
        return restart(RestartReason::ContentRangeMismatch);
    }
    // A length that differs from the range: take no more than both promise; what is missing is asked for again.
    let end = answer.length.known().map_or(end, |length| end.min(start.saturating_add(length)));
    let until = asked.until.map_or(end, |until| end.min(until));
    if until < range.end().min(asked.from.saturating_add(1)) {
        // A range of bytes and a length that leaves none of the new ones.
        return Decision::Refuse(AnswerError::Framing);
    }
    let identity = Identity {
        total,
        total_source: known.total_source.or(complete.map(|_| TotalSource::ContentRange)),
        // A better validator learnt now does not vouch for the bytes that came before it.
        validator: known.validator.clone(),
    };
    let compare_from = start.max(asked.held_from).min(asked.from);
    Decision::Take(Take {
        body_from: start,
        compare_from,
        write_from: asked.from,
        until: Some(until),
        identity,
    })
}

/// The peer says that nothing is left where we asked: a 416, or a 206 with an empty range.
fn decide_past_the_end(asked: &Asked<'_>, answer: &AnswerHead, complete: Option<u64>) -> Decision {
    let known = asked.identity;
    if contradicted(known, answer) {
        return restart(RestartReason::ValidatorChanged);
    }
    match complete {
        // The end we asked from is the end there is, and it is the end of our representation.
        Some(total)
            if total == asked.from
                && asked.held_from == 0
                && known.total.is_none_or(|ours| ours == total)
                && (asked.digest || !asked.compare && confirmed(known, answer)) =>
        {
            size_refused(asked, total).map_or(Decision::Complete { total }, Decision::Refuse)
        }
        _ => restart(RestartReason::RangeNotSatisfiable),
    }
}

/// Drop the body, ask again for the whole.
fn restart(reason: RestartReason) -> Decision {
    Decision::Restart(reason, None)
}

fn size_refused(asked: &Asked<'_>, total: u64) -> Option<AnswerError> {
    let max = asked.max_size.unwrap_or(LARGEST_FILE).min(LARGEST_FILE);
    match asked.expected_total {
        Some(expected) if expected != total => Some(AnswerError::SizeMismatch { expected, actual: total }),
        _ => (total > max).then_some(AnswerError::TooLarge { size: total, max }),
    }
}

/// A 200 whose `Content-Range` says that it is not everything.
fn claims_to_be_a_part(answer: &AnswerHead) -> bool {
    match answer.content_range {
        ContentRangeField::Valid(ContentRange::Range { range, complete }) => {
            let whole = complete.or(answer.length.known());
            range.start() > 0 || whole.is_some_and(|whole| range.end() < whole)
        }
        _ => false,
    }
}

fn validator(answer: &AnswerHead) -> Option<Validator> {
    Validator::of_answer(answer.etag.as_ref(), answer.last_modified, answer.date)
}

fn confirmed(known: &Identity, answer: &AnswerHead) -> bool {
    let ours = known.validator.as_ref();
    ours.is_some_and(|ours| ours.confirmed_by(answer.etag.as_ref(), answer.last_modified))
}

fn contradicted(known: &Identity, answer: &AnswerHead) -> bool {
    let Some(ours) = &known.validator else { return false };
    ours.contradicted_by(answer.etag.as_ref(), answer.last_modified)
        || (answer.etag_unusable && matches!(ours, Validator::Tag(tag) if !tag.is_weak()))
}

/// Offsets in a file are signed.
const LARGEST_FILE: u64 = i64::MAX as u64;

#[cfg(test)]
mod tests;
