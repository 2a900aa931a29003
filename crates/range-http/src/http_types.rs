//! Requests and answers as types of the `http` crate.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, header, request, response};

use crate::{BodyPlan, MethodKind, Plan, RequestView, client};

impl MethodKind {
    fn of_http(method: &Method) -> Self {
        Self::of(method.as_str())
    }
}

impl RequestView for request::Parts {
    fn method(&self) -> MethodKind {
        MethodKind::of_http(&self.method)
    }

    fn lines<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        lines(&self.headers, name)
    }
}

impl<B> RequestView for Request<B> {
    fn method(&self) -> MethodKind {
        MethodKind::of_http(self.method())
    }

    fn lines<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        lines(self.headers(), name)
    }
}

impl RequestView for (&Method, &HeaderMap) {
    fn method(&self) -> MethodKind {
        MethodKind::of_http(self.0)
    }

    fn lines<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        lines(self.1, name)
    }
}

/// The method and the fields of a request that decide about its answer: all that has to outlive the request while the
/// representation is looked up.
#[derive(Debug, Clone)]
pub struct RangeRequest {
    method: Method,
    fields: HeaderMap,
}

impl RangeRequest {
    /// Copies what matters out of a request.
    #[must_use]
    pub fn new(method: &Method, fields: &HeaderMap) -> Self {
        let mut kept = HeaderMap::new();
        for name in DECIDING {
            for value in fields.get_all(&name) {
                kept.append(name.clone(), value.clone());
            }
        }
        Self { method: method.clone(), fields: kept }
    }

    /// Answers the request; see [`respond`](crate::respond).
    #[cfg(feature = "body")]
    pub fn respond<S: crate::Source>(
        &self,
        representation: &crate::Representation,
        policy: &crate::Policy,
        source: S,
    ) -> Response<crate::RangeBody<S>> {
        crate::respond(&self.method, &self.fields, representation, policy, source)
    }
}

impl RequestView for RangeRequest {
    fn method(&self) -> MethodKind {
        MethodKind::of_http(&self.method)
    }

    fn lines<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        lines(&self.fields, name)
    }
}

const DECIDING: [HeaderName; 6] = [
    header::RANGE,
    header::IF_RANGE,
    header::IF_MATCH,
    header::IF_NONE_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_UNMODIFIED_SINCE,
];

fn lines<'a>(fields: &'a HeaderMap, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
    fields.get_all(name).iter().map(HeaderValue::as_bytes)
}

impl client::AnswerHead {
    /// Reads the head of a response; see [`AnswerHead::read`](client::AnswerHead::read).
    #[must_use]
    pub fn of(status: StatusCode, fields: &HeaderMap) -> Self {
        Self::read(status.as_u16(), fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())))
    }
}

impl Plan {
    /// The head of the answer, with the [`Reason`](crate::Reason) in its extensions, and what to write after it.
    #[must_use]
    pub fn into_response_parts(self) -> (response::Parts, BodyPlan) {
        let (mut head, ()) = Response::new(()).into_parts();
        // Both conversions cannot fail: statuses are ours, and values were cleaned when they were handed in.
        head.status = StatusCode::from_u16(self.status()).unwrap_or_default();
        for (name, value) in self.headers() {
            if let Ok(value) = HeaderValue::from_bytes(value) {
                head.headers.append(HeaderName::from_static(name), value);
            }
        }
        head.extensions.insert(self.reason());
        (head, self.into_body())
    }
}
