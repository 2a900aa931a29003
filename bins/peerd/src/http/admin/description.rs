//! `/api/v1/openapi.json`: what this API is, for programs (OpenAPI 3.1).

use http::Response;
use http::header::{CACHE_CONTROL, HeaderValue};

use super::text;
use crate::http::body::Body;

/// The description as it is in `docs/`.
const DESCRIPTION: &str = include_str!("../../../../../docs/openapi.json");

pub(super) fn show() -> Response<Body> {
    let mut response = text(DESCRIPTION, "application/json");
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
