//! Streaming a plan from a source of bytes.

mod range_body;
mod source;

#[cfg(feature = "tokio")]
mod file;

#[cfg(feature = "tokio")]
pub use file::{FileSource, FileSourceError};
pub use range_body::{BodyError, RangeBody};
pub use source::{MemSource, Source};

use http::{HeaderMap, Method, Response};

use crate::{Policy, Representation, plan};

/// Answers a GET or HEAD for `representation`, whose bytes are in `source`.
///
/// Everything is decided before the first byte is read: status, fields and the exact length. The response carries its
/// [`Reason`](crate::Reason) as an extension. Errors (405, 412, 416) have an empty body, to be replaced by whoever
/// wants to say more.
pub fn respond<S: Source>(
    method: &Method,
    headers: &HeaderMap,
    representation: &Representation,
    policy: &Policy,
    source: S,
) -> Response<RangeBody<S>> {
    let (head, body) = plan(&(method, headers), representation, policy).into_response_parts();
    Response::from_parts(head, RangeBody::new(body, source))
}
