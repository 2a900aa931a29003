//! Answers: by the book (RFC 9110 §13.1.5, §14), or with one fault in them.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::response::Builder;
use http::{HeaderMap, Response, header};
use resume_fetch::{BodyStream, NetworkFailure, TransportError};

use crate::faults::{Fault, Mood};
use crate::peer::Open;
use crate::source::Version;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Whole,
    Range { from: u64, until: Option<u64>, guard: Option<String> },
}

impl Asked {
    /// Reads it off a request. What the engine sends is always one range.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).map(|value| value.to_str().expect("text").to_owned());
        let Some(range) = text(header::RANGE) else { return Asked::Whole };
        let (first, last) =
            range.strip_prefix("bytes=").and_then(|spec| spec.split_once('-')).expect("one range");
        let from: u64 = first.parse().expect("a number");
        let until = (!last.is_empty()).then(|| last.parse::<u64>().expect("a number") + 1);
        assert!(until.is_none_or(|until| until > from), "{range}");
        Asked::Range { from, until, guard: text(header::IF_RANGE) }
    }

    /// The bytes of `version` it asks for.
    fn range(&self, version: Version) -> Range<u64> {
        match self {
            Asked::Whole => 0..version.size,
            Asked::Range { from, until, .. } => *from..until.unwrap_or(u64::MAX).min(version.size),
        }
    }

    /// How many those are.
    pub(crate) fn length(&self, version: Version) -> u64 {
        let range = self.range(version);
        range.end.saturating_sub(range.start)
    }
}

/// The answer to `asked`.
pub(crate) fn answer(
    open: Open,
    version: Version,
    asked: &Asked,
    mood: Mood,
    fault: Fault,
    mut rng: fastrand::Rng,
) -> Response<BodyStream> {
    let tag = version.tag(mood.weak);
    if let Fault::Status(status, after) = fault {
        let head = Response::builder().status(status).header(header::CONTENT_LENGTH, 0);
        let head = after.into_iter().fold(head, |head, after| head.header(header::RETRY_AFTER, after));
        return head.body(nothing()).expect("a head");
    }
    let mut range = asked.range(version);
    let changed = matches!(asked, Asked::Range { guard: Some(guard), .. } if mood.weak || *guard != tag);
    let ignores = mood.ignores_ranges || matches!(fault, Fault::IgnoresRange | Fault::Chunked);
    let nothing_here = range.is_empty() && *asked != Asked::Whole;
    let head = Response::builder().header(header::ETAG, &tag);
    if *asked == Asked::Whole
        || changed
        || ignores
        || nothing_here && version.size == 0 && !mood.strict_about_nothing
    {
        let head = head.status(200);
        let head = match fault {
            Fault::Chunked => head.header(header::TRANSFER_ENCODING, "chunked"),
            _ => head.header(header::CONTENT_LENGTH, version.size),
        };
        return with_body(head, open, version, 0..version.size, fault, &mut rng);
    }
    if nothing_here {
        let head = head.status(416).header(header::CONTENT_RANGE, format!("bytes */{}", version.size));
        return head.header(header::CONTENT_LENGTH, 0).body(nothing()).expect("a head");
    }
    match fault {
        Fault::Short(length) => range.end = range.end.min(range.start + length),
        Fault::Shifted(by) => range.start = range.start.saturating_add_signed(by).min(range.end - 1),
        _ => open.is_part(version, range.start),
    }
    let content_range = format!("bytes {}-{}/{}", range.start, range.end - 1, version.size);
    let head = head.status(206).header(header::CONTENT_RANGE, content_range);
    let head = head.header(header::CONTENT_LENGTH, range.end - range.start);
    with_body(head, open, version, range, fault, &mut rng)
}

fn nothing() -> BodyStream {
    Box::pin(futures_util::stream::empty())
}

fn with_body(
    head: Builder,
    open: Open,
    version: Version,
    range: Range<u64>,
    fault: Fault,
    rng: &mut fastrand::Rng,
) -> Response<BodyStream> {
    let (sent, ending) = match fault {
        // A chunked body has its own end mark; without it the connection counts as broken.
        Fault::Cut(length) => (length, Ending::Clean),
        Fault::Reset(length) => (length, Ending::Broken),
        Fault::Stall(length) => (length, Ending::Never),
        _ => (u64::MAX, Ending::Clean),
    };
    let end = range.end.min(range.start.saturating_add(sent));
    let frame = [4 << 10, 64 << 10, 256 << 10, 1 << 20][rng.usize(0..4)];
    let drips = if fault == Fault::Drip { range.start + rng.u64(1..32 << 10) } else { 0 };
    let body = Body { open, version, at: range.start, end, ending, frame, drips };
    head.body(Box::pin(body) as BodyStream).expect("a head")
}

/// A body on its way.
struct Body {
    open: Open,
    version: Version,
    at: u64,
    end: u64,
    ending: Ending,
    frame: u64,
    /// Up to here it comes in frames of a few bytes.
    drips: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Clean,
    Broken,
    Never,
}

impl Stream for Body {
    type Item = Result<Bytes, TransportError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.at == this.end {
            return match std::mem::replace(&mut this.ending, Ending::Clean) {
                Ending::Clean => Poll::Ready(None),
                Ending::Broken => Poll::Ready(Some(Err(TransportError::new(NetworkFailure::Broken)))),
                Ending::Never => {
                    this.ending = Ending::Never;
                    this.open.stall();
                    Poll::Pending
                }
            };
        }
        let frame = if this.at < this.drips { 1 + this.at % 200 } else { this.frame };
        let Some(length) = this.open.poll_send(this.at, frame.min(this.end - this.at), context.waker())
        else {
            return Poll::Pending;
        };
        let range = this.at..this.at + length;
        this.at = range.end;
        if this.at == this.end {
            this.open.over();
        }
        Poll::Ready(Some(Ok(this.version.bytes(range))))
    }
}
