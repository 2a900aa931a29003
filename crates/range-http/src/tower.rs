//! A tower service that serves whatever a function finds.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Method, Request, Response, StatusCode, request};
use tower_service::Service;

use crate::body::{bare, refuse};
use crate::{Policy, RangeBody, RangeRequest, Representation, Source};

/// Answers requests from a function of the request head to a representation and its source.
///
/// `None` is a 404, whatever conditions the request has (RFC 9110 §13.2.1). The function is not asked about methods
/// other than GET and HEAD, which get a 405, nor about `OPTIONS *`. Mapping a path to a file safely is its business: the
/// service never looks at the path.
///
/// # Cancel safety
/// Dropping the response future drops the function's.
pub struct ServeSource<F> {
    find: F,
    policy: Policy,
}

impl<F> ServeSource<F> {
    /// A service with the default policy.
    pub fn new(find: F) -> Self {
        Self { find, policy: Policy::default() }
    }

    /// Sets the policy.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

impl<F, Found, S, B> Service<Request<B>> for ServeSource<F>
where
    F: Fn(request::Parts) -> Found,
    Found: Future<Output = Option<(Representation, S)>> + Send + 'static,
    S: Source,
{
    type Response = Response<RangeBody<S>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, _) = request.into_parts();
        let range = RangeRequest::new(&head.method, &head.headers);
        let served = matches!(head.method, Method::GET | Method::HEAD);
        let found = served.then(|| (self.find)(head));
        let policy = self.policy.clone();
        Box::pin(async move {
            let Some(found) = found else { return Ok(refuse(&range)) };
            Ok(match found.await {
                Some((representation, source)) => range.respond(&representation, &policy, source),
                None => bare(StatusCode::NOT_FOUND),
            })
        })
    }
}

impl<F: Clone> Clone for ServeSource<F> {
    fn clone(&self) -> Self {
        Self { find: self.find.clone(), policy: self.policy.clone() }
    }
}

impl<F> fmt::Debug for ServeSource<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeSource").field("policy", &self.policy).finish_non_exhaustive()
    }
}
