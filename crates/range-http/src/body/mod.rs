//! Streaming a plan from a source of bytes.

mod range_body;
mod source;

#[cfg(feature = "tokio")]
mod directory;
#[cfg(feature = "tokio")]
mod file;

#[cfg(feature = "tokio")]
pub use directory::Directory;
#[cfg(feature = "tokio")]
pub use file::{FileSource, FileSourceError};
pub use range_body::{BodyError, RangeBody};
pub use source::{MemSource, Source};

use http::{HeaderMap, Method, Response};

use crate::{Policy, Representation, plan};
#[cfg(any(feature = "tokio", feature = "tower"))]
use {crate::RangeRequest, http::StatusCode};

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

/// The answer to a method nobody serves, where no representation has been looked up.
#[cfg(any(feature = "tokio", feature = "tower"))]
pub(crate) fn refuse<S: Source>(request: &RangeRequest) -> Response<RangeBody<S>> {
    let (head, _) = plan(request, &Representation::new(0), &Policy::new()).into_response_parts();
    Response::from_parts(head, RangeBody::empty())
}

/// An answer that is only a status.
#[cfg(any(feature = "tokio", feature = "tower"))]
pub(crate) fn bare<S: Source>(status: StatusCode) -> Response<RangeBody<S>> {
    let mut response = Response::new(RangeBody::empty());
    *response.status_mut() = status;
    response
}
