//! May this answer be appended to what is already held? (RFC 9110 §14.4, §15.3.7, §15.5.17)
//!
//! The order of the checks is: framing, status, content coding, Content-Range, validators and complete-length,
//! position.

use super::answer::{AnswerHead, ContentRangeField, EntityTagField, LengthField};
use super::verdict::{Append, Asked, Cause, Part, Proof, Refusal};
use crate::{ByteRange, ContentRange};

/// Decides what an answer to a request for `asked` means. A pure function over the head; no byte of the body may be
/// written before it.
///
/// If-Range is no proof: some servers ignore it and answer 206 all the same, so validators are compared here again.
/// What is left to the caller is taste: how much evidence will do where there is no [`Proof`], how large a
/// representation may be, and whether to go on at all.
///
/// ```
/// use range_http::client::{AnswerHead, Append, Asked, Part, decide};
/// use range_http::{ByteRange, EntityTag};
///
/// let etag = EntityTag::strong("a");
/// let asked = Asked { start: 400, ranged: true, complete: Some(1000), etag: etag.as_ref(), ..Asked::default() };
/// let fields = [
///     ("Content-Range", &b"bytes 400-999/1000"[..]),
///     ("Content-Length", b"600"),
///     ("ETag", b"\"a\""),
/// ];
/// let range = ByteRange::new(400, 1000).expect("600 bytes");
/// let part = Part { range, complete: Some(1000) };
/// assert_eq!(decide(&asked, &AnswerHead::read(206, fields)), Append::Proven(part));
/// ```
#[must_use]
pub fn decide(asked: &Asked<'_>, answer: &AnswerHead) -> Append {
    if answer.length == LengthField::Invalid || (answer.chunked && answer.length != LengthField::Absent) {
        // Both lengths on one message is how bodies get smuggled and cut: trust neither.
        return Append::Refused(Refusal::Framing);
    }
    match answer.status {
        200 => decide_whole(asked, answer),
        206 if asked.ranged => decide_partial(asked, answer),
        206 => Append::Refused(Refusal::UnaskedPart),
        416 if asked.ranged => {
            let complete = match answer.content_range {
                ContentRangeField::Valid(ContentRange::Unsatisfied { complete }) => Some(complete),
                _ => None,
            };
            decide_past_the_end(asked, answer, complete)
        }
        412 if asked.ranged => Append::Restart(Cause::PreconditionFailed),
        _ => Append::Refused(Refusal::Status),
    }
}

/// A 200: the whole representation, whatever was asked.
fn decide_whole(asked: &Asked<'_>, answer: &AnswerHead) -> Append {
    if answer.encoded {
        return match asked.ranged {
            true => Append::Restart(Cause::ContentEncoding),
            false => Append::Refused(Refusal::ContentEncoding),
        };
    }
    if asked.ranged && answer.content_range != ContentRangeField::Absent {
        // A 206 in a 200's clothes. The status wins, and it makes no sense: ask for the whole.
        return Append::Restart(Cause::ContentRangeMismatch);
    }
    if claims_to_be_a_part(answer) {
        return Append::Refused(Refusal::UnaskedPart);
    }
    let (complete, proof) = (answer.length.known(), proof(asked, answer));
    if proof == Proof::Same && differ(complete, asked.complete) {
        // The validator says nothing changed, the length says it did: one plain request decides.
        return Append::Restart(Cause::LengthChanged);
    }
    Append::Whole { complete, proof }
}

/// A 206 to a request that carried a range.
fn decide_partial(asked: &Asked<'_>, answer: &AnswerHead) -> Append {
    if answer.encoded {
        return Append::Restart(Cause::ContentEncoding);
    }
    if answer.multipart {
        return Append::Restart(Cause::Multipart);
    }
    let (range, told) = match answer.content_range {
        ContentRangeField::Valid(ContentRange::Range { range, complete }) => (range, complete),
        ContentRangeField::PastTheEnd { complete } => {
            return decide_past_the_end(asked, answer, Some(complete));
        }
        _ => return Append::Restart(Cause::ContentRangeMismatch),
    };
    let proof = proof(asked, answer);
    if proof == Proof::Different {
        return Append::Restart(Cause::ValidatorChanged);
    }
    if differ(told, asked.complete) {
        return Append::Restart(Cause::LengthChanged);
    }
    let complete = asked.complete.or(told);
    let past_the_end = complete.is_some_and(|complete| range.end() > complete);
    let leaves_a_gap = range.start() > asked.start;
    // A body that ends where the bytes held do is of use only when it says that this is the end of everything.
    let ends_it = asked.complete.is_none() && range.end() == asked.start && told == Some(asked.start);
    let nothing_new = range.end() <= asked.start && !ends_it;
    if past_the_end || leaves_a_gap || nothing_new {
        return Append::Restart(Cause::ContentRangeMismatch);
    }
    // A length that differs from the range: take no more than both promise; what is missing can be asked for again.
    let framed = answer.length.known().map_or(u64::MAX, |length| range.start().saturating_add(length));
    let end = range.end().min(framed).min(asked.end.unwrap_or(u64::MAX));
    if end < range.end().min(asked.start.saturating_add(1)) {
        // A range of bytes, and a length that leaves none of the new ones.
        return Append::Refused(Refusal::Framing);
    }
    let range = ByteRange::new(range.start(), end).unwrap_or(range);
    match proof {
        Proof::Same => Append::Proven(Part { range, complete }),
        _ => Append::Unproven(Part { range, complete }),
    }
}

/// The answer says that nothing is left where we asked: a 416, or a 206 with an empty range.
fn decide_past_the_end(asked: &Asked<'_>, answer: &AnswerHead, complete: Option<u64>) -> Append {
    match proof(asked, answer) {
        Proof::Different => Append::Restart(Cause::ValidatorChanged),
        proof if complete == Some(asked.start) && !differ(complete, asked.complete) => {
            Append::Complete { proof }
        }
        _ => Append::Restart(Cause::NotSatisfiable { complete }),
    }
}

fn proof(asked: &Asked<'_>, answer: &AnswerHead) -> Proof {
    match (asked.etag, &answer.etag) {
        (Some(_), EntityTagField::Absent) => Proof::Missing,
        (Some(known), EntityTagField::Valid(told)) if known.strong_eq(told) => Proof::Same,
        (Some(known), EntityTagField::Valid(told)) if known.is_weak() && known.weak_eq(told) => {
            Proof::Missing
        }
        // What is no tag cannot contradict a weak one, which proves nothing anyway.
        (Some(known), EntityTagField::Invalid) if known.is_weak() => Proof::Missing,
        (Some(_), _) => Proof::Different,
        (None, _) => match (asked.last_modified, answer.last_modified) {
            (Some(known), Some(told)) if known == told => Proof::Same,
            (Some(_), Some(_)) => Proof::Different,
            _ => Proof::Missing,
        },
    }
}

/// Whether a 200 has a Content-Range that says it is not everything.
fn claims_to_be_a_part(answer: &AnswerHead) -> bool {
    match answer.content_range {
        ContentRangeField::Valid(ContentRange::Range { range, complete }) => {
            let whole = complete.or(answer.length.known());
            range.start() > 0 || whole.is_some_and(|whole| range.end() < whole)
        }
        _ => false,
    }
}

/// Whether both are known and not equal.
fn differ(a: Option<u64>, b: Option<u64>) -> bool {
    a.is_some() && b.is_some() && a != b
}

#[cfg(test)]
mod tests;
