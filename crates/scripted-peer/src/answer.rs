//! One answer of the script: the honest one, with what is wrong about it.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::deviation::{Claims, Edit, Ending, Framing, How, RangeConduct, Status, Total};
use crate::gate::Gate;
use crate::pacer::Pace;
use crate::representation::Representation;

/// How the peer answers one GET.
///
/// Every constructor names one deviation from the honest answer; [`and`](Self::and) joins several, and where two say
/// something about the same thing the later one wins. Byte counts are bytes of *this answer's* body, from zero, unless
/// the text says otherwise.
///
/// ```
/// # use scripted_peer::Answer;
/// let answer = Answer::ignore_range().and(Answer::truncate_at(1000)).header("ETag", "\"other\"");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub(crate) status: Option<Status>,
    pub(crate) body: Option<Bytes>,
    pub(crate) edits: Vec<Edit>,
    pub(crate) range: RangeConduct,
    pub(crate) claims: Claims,
    pub(crate) multipart: bool,
    pub(crate) framing: Option<Framing>,
    pub(crate) extra: Option<Bytes>,
    pub(crate) garbage: Option<Bytes>,
    pub(crate) flip_at: Option<u64>,
    pub(crate) head_pace: Option<Pace>,
    pub(crate) pace: Option<Pace>,
    pub(crate) head_gate: Option<Gate>,
    pub(crate) body_gates: Vec<(u64, Gate)>,
    pub(crate) ending: Option<Ending>,
    pub(crate) then_serve: Option<Representation>,
}

/// What kind of answer it is.
impl Answer {
    /// The honest answer: 200, 206, 304, 412 or 416, as the request deserves.
    pub fn honest() -> Self {
        Self::default()
    }

    /// A bare answer with this status and an empty body (see [`body`](Self::body)), without the representation.
    pub fn status(status: u16) -> Self {
        Self { status: Some(Status::Bare(status)), ..Self::default() }
    }

    /// The honest answer under another status code, e.g. a part labelled 200 or a whole labelled 203.
    pub fn relabel(status: u16) -> Self {
        Self { status: Some(Status::Relabelled(status)), ..Self::default() }
    }

    /// `302` to `location`; for another code `Answer::status(307).header("Location", …)`.
    pub fn redirect(location: impl Into<String>) -> Self {
        Self::status(302).header("Location", location)
    }
}

/// Which bytes are sent.
impl Answer {
    /// Sends the whole representation as 200, whatever Range says.
    pub fn ignore_range() -> Self {
        Self::ranging(RangeConduct { ignore_range: true, ..RangeConduct::default() })
    }

    /// Sends the part although If-Range names another representation.
    pub fn ignore_if_range() -> Self {
        Self::ranging(RangeConduct { ignore_if_range: true, ..RangeConduct::default() })
    }

    /// Sends `range` of the representation as a well-formed 206, whatever was asked, Range or no Range.
    pub fn other_range(range: Range<u64>) -> Self {
        Self::ranging(RangeConduct { other: Some(range), ..RangeConduct::default() })
    }

    /// Sends at most the first `bytes` of the range asked for, as a well-formed, shorter 206.
    pub fn at_most(bytes: u64) -> Self {
        Self::ranging(RangeConduct { at_most: Some(bytes), ..RangeConduct::default() })
    }

    /// Flips one bit of the body byte at `offset`.
    pub fn flip_at(offset: u64) -> Self {
        Self { flip_at: Some(offset), ..Self::default() }
    }

    /// Appends `bytes` to the body; a Content-Length counts them, a Content-Range does not.
    pub fn extra(bytes: impl Into<Bytes>) -> Self {
        Self { extra: Some(bytes.into()), ..Self::default() }
    }

    /// From this answer on the path names another representation; this answer still carries the old one.
    pub fn then_serve(representation: Representation) -> Self {
        Self { then_serve: Some(representation), ..Self::default() }
    }
}

/// What the head says against the truth.
impl Answer {
    /// Changes the first-pos in Content-Range and nothing else.
    pub fn claim_start(first_pos: u64) -> Self {
        Self::claiming(Claims { start: Some(first_pos), ..Claims::default() })
    }

    /// Changes the last-pos in Content-Range (inclusive, as on the wire) and nothing else.
    pub fn claim_end(last_pos: u64) -> Self {
        Self::claiming(Claims { end: Some(last_pos), ..Claims::default() })
    }

    /// Changes the complete-length in Content-Range, of a 206 or a 416, and nothing else.
    pub fn claim_total(complete_length: u64) -> Self {
        Self::claiming(Claims { total: Some(Total::Is(complete_length)), ..Claims::default() })
    }

    /// Says `*` for the complete-length in Content-Range.
    pub fn claim_unknown_total() -> Self {
        Self::claiming(Claims { total: Some(Total::Unknown), ..Claims::default() })
    }

    /// Wraps a part in multipart/byteranges (RFC 9110 §14.6), although one range was asked for.
    pub fn multipart() -> Self {
        Self { multipart: true, ..Self::default() }
    }

    /// Labels the body with a content coding. The bytes stay as they are.
    pub fn encoding(coding: impl Into<String>) -> Self {
        Self::honest().header("Content-Encoding", coding)
    }
}

/// How the end of the body is marked.
impl Answer {
    /// Neither Content-Length nor chunks: the body ends with the connection.
    pub fn without_length() -> Self {
        Self::framed(Framing::UntilClose)
    }

    /// Transfer-Encoding: chunked, without Content-Length. A truncated one lacks its last chunk.
    pub fn chunked() -> Self {
        Self::framed(Framing::Chunked)
    }

    /// Content-Length and Transfer-Encoding both, which no recipient should trust (RFC 9112 §6.3).
    pub fn both_length_and_chunked() -> Self {
        Self::framed(Framing::LengthAndChunked)
    }

    /// Sends `bytes` after the end of the message, where the next answer would begin, then closes.
    pub fn garbage_after(bytes: impl Into<Bytes>) -> Self {
        Self { garbage: Some(bytes.into()), ..Self::default() }
    }
}

/// How it ends.
impl Answer {
    /// Closes the connection in order (FIN) after `bytes` of the body, or after all of a shorter one.
    pub fn truncate_at(bytes: u64) -> Self {
        Self::ending(Some(bytes), How::Close)
    }

    /// Resets the connection (RST) after `bytes` of the body, or after all of a shorter one.
    ///
    /// On Linux the reset goes out once the client's kernel holds them all; elsewhere it may overtake the last ones.
    pub fn reset_at(bytes: u64) -> Self {
        Self::ending(Some(bytes), How::Reset)
    }

    /// Sends `bytes` of the body and then nothing, with the connection open until the client leaves it.
    pub fn stall_at(bytes: u64) -> Self {
        Self::ending(Some(bytes), How::Stall)
    }

    /// Closes the connection without a byte of an answer.
    pub fn close_before_head() -> Self {
        Self::ending(None, How::Close)
    }

    /// Resets the connection without a byte of an answer.
    pub fn reset_before_head() -> Self {
        Self::ending(None, How::Reset)
    }

    /// Never answers, with the connection open until the client leaves it.
    pub fn stall_before_head() -> Self {
        Self::ending(None, How::Stall)
    }
}

/// When it comes.
impl Answer {
    /// Sends the body `bytes` at a time, `every` apart, the first at once.
    pub fn drip(bytes: u64, every: Duration) -> Self {
        Self { pace: Some(Pace { bytes, every }), ..Self::default() }
    }

    /// Sends the head `bytes` at a time, `every` apart, the first at once.
    pub fn drip_head(bytes: u64, every: Duration) -> Self {
        Self { head_pace: Some(Pace { bytes, every }), ..Self::default() }
    }

    /// Sends the body at about `bytes_per_second`, in a hundred steps a second.
    pub fn rate(bytes_per_second: u64) -> Self {
        Self::drip((bytes_per_second / 100).max(1), Duration::from_millis(10))
    }

    /// Parks at `gate` before the head. What the path names is looked up when the gate lets it pass.
    pub fn hold_head(gate: &Gate) -> Self {
        Self { head_gate: Some(gate.clone()), ..Self::default() }
    }

    /// Parks at `gate` once `bytes` of the body have been sent; 0 is after the head. Several may be joined.
    ///
    /// A body that ends earlier never comes to the gate.
    pub fn hold_at(bytes: u64, gate: &Gate) -> Self {
        Self { body_gates: vec![(bytes, gate.clone())], ..Self::default() }
    }
}

/// Joining and detail.
impl Answer {
    /// Joins two answers; where both speak of the same thing, `other` wins.
    pub fn and(mut self, other: Self) -> Self {
        self.edits.extend(other.edits);
        self.body_gates.extend(other.body_gates);
        Self {
            status: other.status.or(self.status),
            body: other.body.or(self.body),
            edits: self.edits,
            range: RangeConduct {
                ignore_range: self.range.ignore_range || other.range.ignore_range,
                ignore_if_range: self.range.ignore_if_range || other.range.ignore_if_range,
                other: other.range.other.or(self.range.other),
                at_most: other.range.at_most.or(self.range.at_most),
            },
            claims: Claims {
                start: other.claims.start.or(self.claims.start),
                end: other.claims.end.or(self.claims.end),
                total: other.claims.total.or(self.claims.total),
            },
            multipart: self.multipart || other.multipart,
            framing: other.framing.or(self.framing),
            extra: other.extra.or(self.extra),
            garbage: other.garbage.or(self.garbage),
            flip_at: other.flip_at.or(self.flip_at),
            head_pace: other.head_pace.or(self.head_pace),
            pace: other.pace.or(self.pace),
            head_gate: other.head_gate.or(self.head_gate),
            body_gates: self.body_gates,
            ending: other.ending.or(self.ending),
            then_serve: other.then_serve.or(self.then_serve),
        }
    }

    /// Replaces the body by these bytes.
    pub fn body(self, bytes: impl Into<Bytes>) -> Self {
        Self { body: Some(bytes.into()), ..self }
    }

    /// Sets a header field, in place of the honest one of that name, Content-Length and Date included.
    pub fn header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.edit(Edit::Set(name.into(), value.into()))
    }

    /// Adds one more line of that name.
    pub fn add_header(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.edit(Edit::Add(name.into(), value.into()))
    }

    /// Leaves a header field out.
    pub fn without_header(self, name: impl Into<String>) -> Self {
        self.edit(Edit::Remove(name.into()))
    }

    fn edit(mut self, edit: Edit) -> Self {
        self.edits.push(edit);
        self
    }

    fn ranging(range: RangeConduct) -> Self {
        Self { range, ..Self::default() }
    }

    fn claiming(claims: Claims) -> Self {
        Self { claims, ..Self::default() }
    }

    fn framed(framing: Framing) -> Self {
        Self { framing: Some(framing), ..Self::default() }
    }

    fn ending(at: Option<u64>, how: How) -> Self {
        Self { ending: Some(Ending { at, how }), ..Self::default() }
    }
}
