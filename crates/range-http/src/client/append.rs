//! May this answer be appended to what is already held? (RFC 9110 §14.4, §15.3.7, §15.5.17)

use crate::{ByteRange, ContentRange, EntityTag};

/// What was asked for, and what is known about the representation from earlier answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The first byte asked for: where the bytes held end.
    pub start: u64,
    /// One past the last byte asked for; `None` for everything from `start` on.
    pub end: Option<u64>,
    /// The complete-length, if an earlier answer told it.
    pub complete: Option<u64>,
    /// The entity tag under which the bytes held were received.
    pub etag: Option<&'a EntityTag>,
}

/// The parts of a response head that decide. Fill in what was received, unparsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AnswerHead<'a> {
    /// The status code.
    pub status: u16,
    /// Content-Range. Two lines of it are no Content-Range: join them with a comma.
    pub content_range: Option<&'a [u8]>,
    /// Content-Type.
    pub content_type: Option<&'a [u8]>,
    /// Content-Encoding.
    pub content_encoding: Option<&'a [u8]>,
    /// Content-Length, where the message has one.
    pub content_length: Option<u64>,
    /// ETag.
    pub etag: Option<&'a [u8]>,
}

/// What to do with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Append {
    /// The body is `range` of the same representation: append it.
    Proven {
        /// What the body holds. Begins at [`Asked::start`], and may end earlier than asked.
        range: ByteRange,
        /// The complete-length, from this answer or from before.
        complete: Option<u64>,
    },
    /// The body claims to be `range`, but no strong validator on both sides ties it to the bytes held (RFC 9110
    /// §15.3.7.3). Compare an overlap, wait for a digest, or start over.
    Unproven {
        /// What the body claims to hold; begins at [`Asked::start`].
        range: ByteRange,
        /// The complete-length, from this answer or from before.
        complete: Option<u64>,
    },
    /// Nothing is missing: the representation ends exactly where the bytes held end.
    Complete,
    /// The bytes held are of no use with this answer.
    Restart(Cause),
    /// The answer says nothing about the bytes held: a redirect, an error.
    Refused,
}

/// Why the bytes held cannot be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A 200: the whole representation is on its way, so start over with this very body.
    RangeIgnored,
    /// A 206 whose Content-Range is missing, invalid, or not what was asked for; or whose Content-Length contradicts
    /// it.
    ContentRangeMismatch,
    /// A 206 with several parts although one range was asked for.
    Multipart,
    /// A complete-length other than the one known.
    LengthChanged,
    /// A validator other than the one known, or a weak one in its place.
    ValidatorChanged,
    /// A body under a content coding, whose bytes are not those of the representation held.
    ContentEncoding,
    /// A 416: the bytes held reach past the representation, or it did not say how long it is.
    NotSatisfiable,
    /// A 412: the representation changed.
    PreconditionFailed,
}

/// Decides what an answer to a request for `asked` means. A pure function over the head; no byte of the body may be
/// written before it.
///
/// If-Range is no proof: some servers ignore it and answer 206 all the same, so validators are compared here again.
///
/// ```
/// use range_http::client::{AnswerHead, Append, Asked, decide};
/// use range_http::{ByteRange, EntityTag};
///
/// let etag = EntityTag::strong("a");
/// let asked = Asked { start: 400, end: None, complete: Some(1000), etag: etag.as_ref() };
/// let answer = AnswerHead {
///     status: 206,
///     content_range: Some(b"bytes 400-999/1000"),
///     content_length: Some(600),
///     etag: Some(b"\"a\""),
///     ..AnswerHead::default()
/// };
/// let range = ByteRange::new(400, 1000).expect("600 bytes");
/// assert_eq!(decide(&asked, &answer), Append::Proven { range, complete: Some(1000) });
/// ```
#[must_use]
pub fn decide(asked: &Asked<'_>, answer: &AnswerHead<'_>) -> Append {
    match answer.status {
        206 => decide_partial(asked, answer),
        200 => Append::Restart(Cause::RangeIgnored),
        416 => decide_unsatisfied(asked, answer),
        412 => Append::Restart(Cause::PreconditionFailed),
        _ => Append::Refused,
    }
}

fn decide_partial(asked: &Asked<'_>, answer: &AnswerHead<'_>) -> Append {
    if answer
        .content_encoding
        .is_some_and(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    {
        return Append::Restart(Cause::ContentEncoding);
    }
    if answer.content_type.is_some_and(is_multipart) {
        return Append::Restart(Cause::Multipart);
    }
    let Some(Ok(ContentRange::Range { range, complete })) = answer.content_range.map(ContentRange::parse)
    else {
        return Append::Restart(Cause::ContentRangeMismatch);
    };
    if complete.is_some() && asked.complete.is_some() && complete != asked.complete {
        return Append::Restart(Cause::LengthChanged);
    }
    let complete = complete.or(asked.complete);
    let misplaced = range.start() != asked.start
        || asked.end.is_some_and(|end| range.last() >= end)
        || complete.is_some_and(|complete| range.last() >= complete)
        || answer.content_length.is_some_and(|length| length != range.len());
    if misplaced {
        return Append::Restart(Cause::ContentRangeMismatch);
    }
    match proof(asked.etag, answer.etag.and_then(EntityTag::parse).as_ref()) {
        Proof::Same => Append::Proven { range, complete },
        Proof::Different => Append::Restart(Cause::ValidatorChanged),
        Proof::Missing => Append::Unproven { range, complete },
    }
}

fn decide_unsatisfied(asked: &Asked<'_>, answer: &AnswerHead<'_>) -> Append {
    let Some(Ok(ContentRange::Unsatisfied { complete })) = answer.content_range.map(ContentRange::parse)
    else {
        return Append::Restart(Cause::NotSatisfiable);
    };
    let changed = match proof(asked.etag, answer.etag.and_then(EntityTag::parse).as_ref()) {
        Proof::Different => true,
        // A 416 need not carry a validator.
        Proof::Same | Proof::Missing => asked.complete.is_some_and(|known| known != complete),
    };
    if changed {
        Append::Restart(Cause::LengthChanged)
    } else if complete == asked.start {
        Append::Complete
    } else {
        Append::Restart(Cause::NotSatisfiable)
    }
}

enum Proof {
    Same,
    Different,
    /// One side has no validator, or only a weak one.
    Missing,
}

fn proof(known: Option<&EntityTag>, told: Option<&EntityTag>) -> Proof {
    match (known, told) {
        (Some(known), Some(told)) if known.strong_eq(told) => Proof::Same,
        (Some(known), Some(told)) if known.is_weak() && known.weak_eq(told) => Proof::Missing,
        (Some(_), Some(_)) => Proof::Different,
        _ => Proof::Missing,
    }
}

fn is_multipart(content_type: &[u8]) -> bool {
    const MULTIPART: &[u8] = b"multipart/";
    content_type.get(..MULTIPART.len()).is_some_and(|start| start.eq_ignore_ascii_case(MULTIPART))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(
        status: u16,
        content_range: &'static str,
        length: u64,
        etag: &'static str,
    ) -> AnswerHead<'static> {
        let given = |text: &'static str| (!text.is_empty()).then_some(text.as_bytes());
        let content_length = (length > 0).then_some(length);
        AnswerHead {
            status,
            content_range: given(content_range),
            content_length,
            etag: given(etag),
            ..AnswerHead::default()
        }
    }

    fn asked(start: u64, etag: Option<&EntityTag>) -> Asked<'_> {
        Asked { start, end: None, complete: Some(1000), etag }
    }

    fn proven(start: u64, end: u64) -> Append {
        Append::Proven { range: ByteRange::new(start, end).unwrap(), complete: Some(1000) }
    }

    fn unproven(start: u64, end: u64) -> Append {
        Append::Unproven { range: ByteRange::new(start, end).unwrap(), complete: Some(1000) }
    }

    #[test]
    fn only_the_bytes_asked_for_of_the_same_representation_are_appended() {
        use Append::{Complete, Refused, Restart};
        let a = EntityTag::strong("a");
        for (start, answer, expected, because) in [
            (400, answer(206, "bytes 400-999/1000", 600, "\"a\""), proven(400, 1000), "all matches"),
            (
                400,
                answer(206, "bytes 400-999/*", 600, "\"a\""),
                proven(400, 1000),
                "the length is known from before",
            ),
            (
                400,
                answer(206, "bytes 400-499/1000", 100, "\"a\""),
                proven(400, 500),
                "less than asked is progress",
            ),
            (400, answer(206, "bytes 400-999/1000", 0, "\"a\""), proven(400, 1000), "no Content-Length"),
            (400, answer(206, "bytes 400-999/1000", 600, ""), unproven(400, 1000), "no validator"),
            (
                400,
                answer(206, "bytes 400-999/1000", 600, "\"b\""),
                Restart(Cause::ValidatorChanged),
                "If-Range was ignored",
            ),
            (
                400,
                answer(206, "bytes 400-999/1000", 600, "W/\"a\""),
                Restart(Cause::ValidatorChanged),
                "became weak",
            ),
            (
                400,
                answer(206, "bytes 400-1199/1200", 800, "\"a\""),
                Restart(Cause::LengthChanged),
                "other length",
            ),
            (
                400,
                answer(206, "bytes 0-999/1000", 1000, "\"a\""),
                Restart(Cause::ContentRangeMismatch),
                "starts elsewhere",
            ),
            (
                400,
                answer(206, "bytes 400-999/999", 600, "\"a\""),
                Restart(Cause::ContentRangeMismatch),
                "invalid",
            ),
            (
                400,
                answer(206, "items 400-999/1000", 600, "\"a\""),
                Restart(Cause::ContentRangeMismatch),
                "other unit",
            ),
            (
                400,
                answer(206, "bytes 400-1200/*", 801, "\"a\""),
                Restart(Cause::ContentRangeMismatch),
                "past the end",
            ),
            (
                400,
                answer(206, "bytes 400-999/1000", 599, "\"a\""),
                Restart(Cause::ContentRangeMismatch),
                "framing",
            ),
            (400, answer(206, "", 600, "\"a\""), Restart(Cause::ContentRangeMismatch), "no Content-Range"),
            (
                400,
                answer(206, "bytes */1000", 600, "\"a\""),
                Restart(Cause::ContentRangeMismatch),
                "the form of a 416",
            ),
            (400, answer(200, "", 1000, "\"b\""), Restart(Cause::RangeIgnored), "the whole comes"),
            (1000, answer(416, "bytes */1000", 0, ""), Complete, "nothing is missing"),
            (
                1000,
                answer(416, "bytes */1000", 0, "\"b\""),
                Restart(Cause::LengthChanged),
                "of another version",
            ),
            (800, answer(416, "bytes */600", 0, ""), Restart(Cause::LengthChanged), "it shrank"),
            (
                800,
                answer(416, "bytes */1000", 0, ""),
                Restart(Cause::NotSatisfiable),
                "it would have been satisfiable",
            ),
            (800, answer(416, "", 0, ""), Restart(Cause::NotSatisfiable), "no length told"),
            (400, answer(412, "", 0, ""), Restart(Cause::PreconditionFailed), "If-Match failed"),
            (400, answer(503, "", 0, ""), Refused, "says nothing about the bytes"),
            (400, answer(302, "", 0, ""), Refused, "nor does a redirect"),
        ] {
            assert_eq!(decide(&asked(start, a.as_ref()), &answer), expected, "{answer:?}: {because}");
        }
    }

    #[test]
    fn a_weak_tag_proves_nothing() {
        let weak = EntityTag::weak("a");
        let same = answer(206, "bytes 400-999/1000", 600, "W/\"a\"");
        assert_eq!(decide(&asked(400, weak.as_ref()), &same), unproven(400, 1000));
        let other = answer(206, "bytes 400-999/1000", 600, "W/\"b\"");
        assert_eq!(decide(&asked(400, weak.as_ref()), &other), Append::Restart(Cause::ValidatorChanged));
    }

    #[test]
    fn a_coded_or_multipart_body_is_not_the_range_asked_for() {
        let a = EntityTag::strong("a");
        let plain = answer(206, "bytes 400-999/1000", 600, "\"a\"");
        let coded = AnswerHead { content_encoding: Some(b"gzip"), ..plain };
        assert_eq!(decide(&asked(400, a.as_ref()), &coded), Append::Restart(Cause::ContentEncoding));
        let identity = AnswerHead { content_encoding: Some(b"Identity"), ..plain };
        assert_eq!(decide(&asked(400, a.as_ref()), &identity), proven(400, 1000));
        let content_type = Some(&b"Multipart/byteranges; boundary=x"[..]);
        let parts = AnswerHead { content_type, content_range: None, ..plain };
        assert_eq!(decide(&asked(400, a.as_ref()), &parts), Append::Restart(Cause::Multipart));
    }

    #[test]
    fn more_than_asked_is_refused() {
        let a = EntityTag::strong("a");
        let chunk = Asked { end: Some(500), ..asked(400, a.as_ref()) };
        let exact = answer(206, "bytes 400-499/1000", 100, "\"a\"");
        assert_eq!(decide(&chunk, &exact), proven(400, 500));
        let longer = answer(206, "bytes 400-500/1000", 101, "\"a\"");
        assert_eq!(decide(&chunk, &longer), Append::Restart(Cause::ContentRangeMismatch));
    }
}
