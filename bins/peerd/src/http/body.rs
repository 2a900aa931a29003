//! The one response body of the daemon, and how small ones are made.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::SizeHint;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use range_http::sendfile::Piece;
use serde::Serialize;

/// What any body may fail with; the connection ends, so no short body looks whole.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response body of any kind. Pieces that are addresses of files are for connections with a lane only.
pub type Body = UnsyncBoxBody<Piece, BoxError>;

/// No content.
pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// Content that is at hand.
pub fn full(content: impl Into<Bytes>) -> Body {
    Full::new(Piece::from(content.into())).map_err(|never| match never {}).boxed_unsync()
}

/// A JSON document that must not be stored by anyone on the way.
pub fn json(status: StatusCode, document: &impl Serialize) -> Response<Body> {
    let text = serde_json::to_vec(document).expect("our documents have string keys and no failing parts");
    let mut response = Response::new(full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// How much is to come of a body of which `held` bytes were read and are not passed on yet.
pub(super) fn size_with_held(inner: &SizeHint, held: usize) -> SizeHint {
    let held = held as u64;
    let mut hint = SizeHint::new();
    hint.set_lower(inner.lower() + held);
    if let Some(upper) = inner.upper() {
        hint.set_upper(upper + held);
    }
    hint
}
