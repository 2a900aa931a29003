//! Problem documents (RFC 9457): what went wrong, in a form programs can tell apart.
//!
//! Problems are made of fixed text and of what the client itself sent. An I/O error or a local path never
//! goes into one; it goes to the log.

mod types;

use std::borrow::Cow;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Map, Value};

use super::body::{Body, full};

pub use types::TYPES;

/// One problem: `urn:peerd:problem:NAME` with a title, its status and what else is known.
///
/// Small, because it is the error of everything that answers: what it says is behind one pointer.
#[derive(Clone, Debug)]
pub struct Problem(Box<Contents>);

#[derive(Clone, Debug)]
struct Contents {
    status: StatusCode,
    name: Cow<'static, str>,
    title: Cow<'static, str>,
    detail: Option<String>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// A problem of this name, in lower case with dashes, and a title that is the same each time.
    pub fn new(
        status: StatusCode,
        name: impl Into<Cow<'static, str>>,
        title: impl Into<Cow<'static, str>>,
    ) -> Self {
        let name = name.into();
        debug_assert!(types::is_listed(&name), "{name} is in no list of problems");
        Self(Box::new(Contents {
            status,
            name,
            title: title.into(),
            detail: None,
            members: Map::new(),
            headers: HeaderMap::new(),
        }))
    }

    /// 404: there is nothing under this address.
    pub fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is nothing here")
    }

    /// 405 with the methods there are (RFC 9110 §15.5.6).
    pub fn method_not_allowed(allow: HeaderValue) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "This address does not know the method",
        )
        .with_header(ALLOW, allow)
    }

    /// 400 with what is wrong about the request.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request cannot be understood")
            .with_detail(detail)
    }

    /// 503: not now, perhaps in a while.
    pub fn unavailable(wait: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "This cannot be answered right now")
            .with_retry_after(wait)
    }

    /// 500, with nothing about the reason; that is in the log.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something went wrong on this side")
    }

    /// Adds what is special about this one occurrence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Adds a member of the document; the five of the RFC keep their meaning.
    #[must_use]
    pub fn with_member(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a field to the response head.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds `Retry-After` in whole seconds, rounded up, at least one.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1);
        self.with_header(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// Ends the connection after the answer.
    #[must_use]
    pub fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The status it is answered with.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The last part of its type.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The document as JSON text.
    pub fn document(&self) -> String {
        let mut document = self.0.members.clone();
        document.insert("type".into(), format!("urn:peerd:problem:{}", self.0.name).into());
        document.insert("title".into(), self.0.title.as_ref().into());
        document.insert("status".into(), self.0.status.as_u16().into());
        if let Some(detail) = &self.0.detail {
            document.insert("detail".into(), detail.as_str().into());
        }
        Value::Object(document).to_string()
    }

    /// The whole response.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(full(self.document()));
        *response.status_mut() = self.0.status;
        *response.headers_mut() = self.0.headers;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

impl From<Problem> for Response<Body> {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_a_document_with_the_members_of_the_rfc() {
        let problem =
            Problem::not_found().with_detail("no item x").with_member("item", "x").with_member("status", 200);
        let document: Value = serde_json::from_str(&problem.document()).expect("JSON");
        assert_eq!(document["type"], "urn:peerd:problem:not-found");
        assert_eq!(document["title"], "There is nothing here");
        assert_eq!(document["status"], 404, "a member cannot lie about the status");
        assert_eq!(document["detail"], "no item x");
        assert_eq!(document["item"], "x");
    }

    #[test]
    fn the_response_carries_type_status_and_fields() {
        let response = Problem::unavailable(Duration::from_millis(1200)).closing().into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        assert_eq!(response.headers()[RETRY_AFTER], "2", "rounded up");
        assert_eq!(response.headers()[CONNECTION], "close");
    }
}
