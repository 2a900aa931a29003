//! What is common to all requests: a number to find each by, and a line in the log.

use std::fmt;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Response, StatusCode};
use tracing::Span;

use super::body::Body;

/// One request, as far as the log is concerned.
pub(super) struct Access {
    id: RequestId,
    method: Method,
    path: String,
}

/// What one request can be found by, in the answer and in every line of the log about it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RequestId(String);

impl Access {
    /// Takes note of a request. Its query is left out: it may be somebody's token.
    pub(super) fn of<B>(request: &http::Request<B>) -> Self {
        Self {
            id: RequestId::of(request.headers()),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
        }
    }

    /// What the lines of the log about it are marked with.
    pub(super) fn span(&self) -> Span {
        // At the most severe level, so that it is there whatever the level of the log.
        tracing::error_span!("request", request_id = %self.id, client = tracing::field::Empty)
    }

    /// Marks the answer, and writes its line. Call it inside of the span.
    pub(super) fn answered(self, response: &mut Response<Body>, peer: std::net::SocketAddr) {
        let status = response.status();
        let (method, path, code) = (&self.method, self.path.as_str(), status.as_u16());
        match status {
            StatusCode::INTERNAL_SERVER_ERROR => {
                tracing::error!(%peer, %method, path, status = code, "answered");
            }
            status if status.is_client_error() || status.is_server_error() => {
                tracing::info!(%peer, %method, path, status = code, "answered");
            }
            _ => tracing::debug!(%peer, %method, path, status = code, "answered"),
        }
        if let Ok(id) = HeaderValue::try_from(self.id.0) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
    }
}

impl RequestId {
    /// The one a proxy or a client gave it, if that is fit for a log; else a new one.
    fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(REQUEST_ID).iter();
        let one = given.next().filter(|_| given.next().is_none());
        match one.and_then(|value| value.to_str().ok()).filter(|text| is_plain(text)) {
            Some(text) => Self(text.to_owned()),
            None => Self(format!("{:016x}", fastrand::u64(..))),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[cfg(test)]
mod tests {
    use super::*;

    fn id(given: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for value in given {
            headers.append(REQUEST_ID, value.parse().unwrap());
        }
        RequestId::of(&headers).0
    }

    #[test]
    fn a_request_keeps_the_id_it_came_with_if_that_is_plain() {
        assert_eq!(id(&["proxy-7.a_b"]), "proxy-7.a_b");
        let long = "x".repeat(65);
        for odd in [&[][..], &["a", "a"], &["two words"], &[""], &[long.as_str()], &["a\"}{"]] {
            let id = id(odd);
            assert!(id.len() == 16 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{odd:?}: {id}");
        }
        assert_ne!(id(&[]), id(&[]));
    }
}
