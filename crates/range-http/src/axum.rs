//! axum: the request half is an extractor, and answers are responses by themselves.

use std::convert::Infallible;
use std::future::{Future, ready};

use axum_core::extract::FromRequestParts;
use http::request::Parts;

use crate::RangeRequest;

impl<S: Sync> FromRequestParts<S> for RangeRequest {
    type Rejection = Infallible;

    fn from_request_parts(parts: &mut Parts, _: &S) -> impl Future<Output = Result<Self, Infallible>> + Send {
        ready(Ok(Self::new(&parts.method, &parts.headers)))
    }
}
