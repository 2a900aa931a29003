//! From a decision to bytes: the head, the body in pieces, and how the end is marked (RFC 9112 §2, §6, §7.1).

use std::fmt::Display;
use std::ops::Range;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::answer::Answer;
use crate::body::Body;
use crate::deviation::{Claims, Edit, Framing, Status, Total};
use crate::honest::{self, Honest};
use crate::log::RecordedRequest;
use crate::representation::Representation;

/// One answer, ready to be sent.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: Vec<u8>,
    pub(crate) body: Body,
    pub(crate) chunked: bool,
    /// Sent after the end of the message.
    pub(crate) garbage: Bytes,
    /// The connection cannot carry another answer after this one.
    pub(crate) last: bool,
}

impl Reply {
    /// Composes what `answer` makes of the honest answer to `request`.
    pub(crate) fn compose(
        request: &RecordedRequest,
        representation: Option<&Arc<Representation>>,
        answer: &Answer,
    ) -> Self {
        let (status, mut fields, mut body) = match answer.status {
            Some(Status::Bare(status)) => (status, Fields::default(), Body::default()),
            _ => bent(request, representation, answer),
        };
        let status = if let Some(Status::Relabelled(status)) = answer.status { status } else { status };
        if let Some(bytes) = &answer.body {
            body = Body::default();
            body.append(bytes.clone());
        }
        body.append(answer.extra.clone().unwrap_or_default());
        body.flip_at(answer.flip_at);

        fields.set("Date", date());
        let bodiless = matches!(status, 204 | 304);
        let framing = answer.framing;
        if !bodiless && matches!(framing, None | Some(Framing::LengthAndChunked)) {
            fields.set("Content-Length", body.length());
        }
        let chunked = matches!(framing, Some(Framing::Chunked | Framing::LengthAndChunked));
        if chunked {
            fields.set("Transfer-Encoding", "chunked");
        }
        let asked_to_close = request.header("connection").is_some_and(|it| it.eq_ignore_ascii_case("close"));
        if asked_to_close || framing == Some(Framing::UntilClose) {
            fields.set("Connection", "close");
        }
        let framing_is_scripted = answer.edits.iter().any(Edit::touches_framing);
        for edit in &answer.edits {
            fields.apply(edit);
        }
        if bodiless || request.method == "HEAD" {
            body = Body::default();
        }
        Self {
            status,
            head: fields.head(status),
            body,
            chunked: chunked && !bodiless && request.method != "HEAD",
            garbage: answer.garbage.clone().unwrap_or_default(),
            last: asked_to_close
                || framing_is_scripted
                || answer.garbage.is_some()
                || matches!(framing, Some(Framing::UntilClose | Framing::LengthAndChunked)),
        }
    }
}

/// Status, fields and body of the honest answer, bent by the ranges, claims and media type of the script.
fn bent(
    request: &RecordedRequest,
    representation: Option<&Arc<Representation>>,
    answer: &Answer,
) -> (u16, Fields, Body) {
    let decided = honest::decide(request, representation.map(Arc::as_ref), &answer.range);
    let status = decided.status();
    let mut fields = Fields::default();
    let Some(representation) = representation else { return (status, fields, Body::default()) };
    let length = representation.complete_length();
    let body = match decided {
        Honest::Whole => {
            fields.describe(representation);
            Body::of(representation, 0..length)
        }
        Honest::Part(range) => {
            fields.describe(representation);
            let content_range = content_range(&range, length, answer.claims);
            let part = Body::of(representation, range);
            if answer.multipart {
                fields.set("Content-Type", format!("multipart/byteranges; boundary={BOUNDARY}"));
                in_multipart(part, &representation.content_type, &content_range)
            } else {
                fields.set("Content-Range", content_range);
                part
            }
        }
        Honest::NotSatisfiable => {
            fields.validate(representation);
            fields.set("Content-Range", format!("bytes */{}", total(length, answer.claims)));
            Body::default()
        }
        Honest::NotModified => {
            fields.validate(representation);
            Body::default()
        }
        Honest::NotFound | Honest::MethodNotAllowed | Honest::PreconditionFailed => Body::default(),
    };
    (status, fields, body)
}

fn in_multipart(part: Body, media_type: &str, content_range: &str) -> Body {
    let mut body = Body::default();
    let fields = format!("Content-Type: {media_type}\r\nContent-Range: {content_range}");
    body.append(format!("--{BOUNDARY}\r\n{fields}\r\n\r\n"));
    body.join(part);
    body.append(format!("\r\n--{BOUNDARY}--\r\n"));
    body
}

fn content_range(range: &Range<u64>, length: u64, claims: Claims) -> String {
    let first_pos = claims.start.unwrap_or(range.start);
    let last_pos = claims.end.unwrap_or(range.end.saturating_sub(1));
    format!("bytes {first_pos}-{last_pos}/{}", total(length, claims))
}

fn total(length: u64, claims: Claims) -> String {
    match claims.total {
        None => length.to_string(),
        Some(Total::Is(claimed)) => claimed.to_string(),
        Some(Total::Unknown) => "*".to_owned(),
    }
}

#[expect(clippy::disallowed_methods, reason = "a peer on the wire tells the time of day")]
fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

/// Header lines in the order they are sent.
#[derive(Debug, Default)]
struct Fields(Vec<(String, String)>);

impl Fields {
    fn describe(&mut self, representation: &Representation) {
        if representation.honours_ranges {
            self.set("Accept-Ranges", "bytes");
        }
        self.set("Content-Type", &representation.content_type);
        self.validate(representation);
        self.0.extend(representation.fields.iter().cloned());
    }

    fn validate(&mut self, representation: &Representation) {
        if let Some(etag) = &representation.etag {
            self.set("ETag", etag);
        }
        if let Some(date) = &representation.last_modified {
            self.set("Last-Modified", date);
        }
    }

    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Set(name, value) => self.set(name, value),
            Edit::Add(name, value) => self.0.push((name.clone(), value.clone())),
            Edit::Remove(name) => self.remove(name),
        }
    }

    fn set(&mut self, name: &str, value: impl Display) {
        self.remove(name);
        self.0.push((name.to_owned(), value.to_string()));
    }

    fn remove(&mut self, name: &str) {
        self.0.retain(|(found, _)| !found.eq_ignore_ascii_case(name));
    }

    /// The status line has no reason phrase: it is optional, and nobody should read it.
    fn head(&self, status: u16) -> Vec<u8> {
        let lines: String = self.0.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("HTTP/1.1 {status} \r\n{lines}\r\n").into_bytes()
    }
}

impl Edit {
    fn touches_framing(&self) -> bool {
        let (Self::Set(name, _) | Self::Add(name, _) | Self::Remove(name)) = self;
        name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
    }
}

const BOUNDARY: &str = "3d6b6a416f9b5";
