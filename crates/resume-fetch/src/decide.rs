//! **The decision**: what a peer's answer means for the bytes we hold (RFC 9110 §14.4, §15.3.7, §15.5.17).
//!
//! One pure function judges every answer, whether it fills a whole file or one chunk, before a single byte is written.
//! What the head of an answer says about a range, its framing, content coding, `Content-Range`, validators,
//! complete-length and position, in this order, is [`range_http::client::decide`]'s to tell. What we make of it is told
//! here: how large a file may be, what counts as evidence where there is no strong validator, when a digest has the last
//! word, and when to start over with the body in hand. `docs/resume.md` shows the whole table for people.

mod asked;

use http::StatusCode;
use range_http::client::{self, Append, Cause, Part, Proof, Refusal};

pub use self::asked::Asked;
use crate::answer::AnswerHead;
use crate::error::AnswerError;
use crate::identity::{Identity, TotalSource, Validator};
use crate::restart_reason::RestartReason;

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
    match client::decide(&asked.of_ranges(), &answer.facts) {
        Append::Whole { complete, proof } => decide_whole(asked, answer, complete, proof),
        Append::Proven(part) => decide_part(asked, answer, part, true),
        Append::Unproven(part) => decide_part(asked, answer, part, false),
        Append::Complete { proof } => decide_complete(asked, proof),
        Append::Restart(cause) => decide_restart(asked, cause),
        Append::Refused(Refusal::Status) => decide_status(asked, answer),
        Append::Refused(Refusal::UnaskedPart) => Decision::Refuse(AnswerError::UnaskedPartial),
        Append::Refused(Refusal::ContentEncoding) => Decision::Refuse(AnswerError::Encoded),
        Append::Refused(_) => Decision::Refuse(AnswerError::Framing),
    }
}

/// A 200: the whole representation, whatever was asked.
fn decide_whole(asked: &Asked<'_>, answer: &AnswerHead, length: Option<u64>, proof: Proof) -> Decision {
    if let Some(refusal) = length.or(asked.expected_total).and_then(|total| asked.size_refused(total)) {
        return Decision::Refuse(refusal);
    }
    let known = asked.identity;
    let same = proof == Proof::Same;
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
    match proof {
        // Nothing is lost with a peer that ignores ranges when nothing is held.
        _ if !asked.ranged || asked.fresh => Decision::Take(take),
        Proof::Different => Decision::Restart(RestartReason::ValidatorChanged, Some(take)),
        // The peer ignored our range and is already sending the whole representation: start over with this body
        // instead of paying for a second request.
        Proof::Same | Proof::Missing => Decision::Restart(RestartReason::RangeIgnored, Some(take)),
    }
}

/// A 206 that continues what is held, as far as its head tells.
fn decide_part(asked: &Asked<'_>, answer: &AnswerHead, part: Part, proven: bool) -> Decision {
    if asked.repr_digest.is_some_and(|ours| answer.repr_digest.is_some_and(|theirs| theirs != ours)) {
        return restart(RestartReason::ValidatorChanged);
    }
    let known = asked.identity;
    let learnt = part.complete.filter(|_| known.total.is_none());
    if let Some(refusal) = part.complete.and_then(|total| asked.size_refused(total)) {
        return Decision::Refuse(refusal);
    }
    if asked.fresh {
        return decide_first_part(asked, answer, part);
    }
    let overlaps = asked.compare || !known.is_proof();
    if overlaps && (part.range.start() > asked.wire_from || asked.held_from == asked.from) {
        // Only the overlap could show that these bytes continue ours, and there is none.
        return restart(RestartReason::OverlapMismatch);
    }
    if known.total.is_none() && !(proven || asked.digest || overlaps && learnt.is_some()) {
        // A complete-length is taken over only with evidence that it is that of our representation.
        return restart(RestartReason::ContentRangeMismatch);
    }
    Decision::Take(Take {
        body_from: part.range.start(),
        compare_from: part.range.start().max(asked.held_from).min(asked.from),
        write_from: asked.from,
        until: Some(part.range.end()),
        identity: Identity {
            total: part.complete,
            total_source: known.total_source.or(learnt.map(|_| TotalSource::ContentRange)),
            // A better validator learnt now does not vouch for the bytes that came before it.
            validator: known.validator.clone(),
        },
    })
}

/// A 206 while nothing is held: it says itself what its bytes belong to.
fn decide_first_part(asked: &Asked<'_>, answer: &AnswerHead, part: Part) -> Decision {
    if part.complete.is_none() || !part.range.contains(asked.from) {
        // Chunks are placed within a complete-length; a whole body needs none beforehand.
        return restart(RestartReason::ContentRangeMismatch);
    }
    Decision::Take(Take {
        body_from: part.range.start(),
        compare_from: asked.from,
        write_from: asked.from,
        until: Some(part.range.end()),
        identity: Identity {
            total: part.complete,
            total_source: Some(TotalSource::ContentRange),
            validator: validator(answer),
        },
    })
}

/// The representation ends where we asked from. Whether that is the end of *our* representation needs evidence.
fn decide_complete(asked: &Asked<'_>, proof: Proof) -> Decision {
    let total = asked.from;
    if asked.fresh {
        return decide_past_the_end(asked, Some(total));
    }
    let ours = asked.digest || !asked.compare && proof == Proof::Same;
    match asked.held_from == 0 && ours {
        true => asked.size_refused(total).map_or(Decision::Complete { total }, Decision::Refuse),
        false => restart(RestartReason::RangeNotSatisfiable),
    }
}

fn decide_restart(asked: &Asked<'_>, cause: Cause) -> Decision {
    restart(match cause {
        Cause::ValidatorChanged | Cause::PreconditionFailed => RestartReason::ValidatorChanged,
        Cause::ContentEncoding => RestartReason::UnexpectedEncoding,
        Cause::NotSatisfiable { complete } => return decide_past_the_end(asked, complete),
        _ => RestartReason::ContentRangeMismatch,
    })
}

/// Nothing is left where we asked.
fn decide_past_the_end(asked: &Asked<'_>, complete: Option<u64>) -> Decision {
    match complete {
        // With nothing held, no answer could ever have brought that byte. From byte 0 a whole body may still come: an
        // empty one, or that of a peer which does not know its own length.
        Some(total) if asked.fresh && asked.from > 0 && asked.from >= total => {
            Decision::Refuse(AnswerError::Status(StatusCode::RANGE_NOT_SATISFIABLE))
        }
        _ => restart(RestartReason::RangeNotSatisfiable),
    }
}

/// An answer that says nothing about the bytes we hold.
fn decide_status(asked: &Asked<'_>, answer: &AnswerHead) -> Decision {
    match answer.status {
        // Somebody on the way transformed it (RFC 9110 §15.3.4); only a digest can tell whether into something else.
        StatusCode::NON_AUTHORITATIVE_INFORMATION if asked.digest && !asked.ranged => {
            let facts = client::AnswerHead { status: StatusCode::OK.as_u16(), ..answer.facts.clone() };
            decide(asked, &AnswerHead { status: StatusCode::OK, facts, ..answer.clone() })
        }
        StatusCode::NOT_MODIFIED => Decision::Refuse(AnswerError::UnaskedStatus(answer.status)),
        // 305 and 306 are redirects nobody must follow any more (RFC 9110 §15.4.6, §15.4.7).
        status if matches!(status.as_u16(), 300..=303 | 307 | 308) => Decision::Redirect,
        status => Decision::Refuse(AnswerError::Status(status)),
    }
}

/// Drop the body, ask again for the whole.
fn restart(reason: RestartReason) -> Decision {
    Decision::Restart(reason, None)
}

fn validator(answer: &AnswerHead) -> Option<Validator> {
    Validator::of_answer(answer.etag.valid(), answer.last_modified, answer.date)
}

#[cfg(test)]
mod tests;
