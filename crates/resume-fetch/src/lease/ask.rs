//! The request: which range, guarded by what, through which redirects; and the verdict on its answer.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use retry_kit::retry_after;
use url::Url;

use super::{Failure, Lease, Shared, Worker};
use crate::answer::AnswerHead;
use crate::decide::{Asked, Decision, decide};
use crate::error::AttemptError;
use crate::identity::http_date;
use crate::redirect::{self, RedirectError, follow, same_origin};
use crate::transport::{BodyStream, NetworkFailure, TransportError};

/// An answer, and what is to be done with it.
pub(super) struct Answered {
    pub(super) head: AnswerHead,
    pub(super) decision: Decision,
    pub(super) body: BodyStream,
    /// The peer's Retry-After.
    pub(super) hint: Option<Duration>,
    /// Whether it came from an address the peer had sent us on to.
    pub(super) redirected: bool,
}

impl Worker {
    /// Sends the request, follows redirects, and judges the answer. Every attempt begins at the address we were given:
    /// where it leads may be another place each time.
    pub(super) async fn ask(&self, lease: &Lease) -> Result<Answered, Failure> {
        let Shared { transport, clock, request, .. } = &*self.shared;
        let mut url = request.url.clone();
        let mut headers = request.headers.clone();
        for hop in 0..=redirect::MAX_REDIRECTS {
            let asked = self.asked(lease, same_origin(&url, &request.url));
            set_range(&mut headers, &asked);
            if lease.reconnect {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            let deadline = clock.sleep(request.response_timeout);
            let response = tokio::select! {
                response = transport.get(get(&url, &headers)?) => response?,
                () = deadline => return Err(AttemptError::ResponseTimeout(request.response_timeout).into()),
            };
            let (parts, body) = response.into_parts();
            let mut head = AnswerHead::parse(parts.status, &parts.headers);
            head.date = head.date.or_else(|| http_date(clock.wall()));
            let decision = decide(&asked, &head);
            if decision != Decision::Redirect {
                let (hint, redirected) = (self.hint(&parts.headers), hop > 0);
                return Ok(Answered { head, decision, body, hint, redirected });
            }
            let location = parts.headers.get(header::LOCATION).map(HeaderValue::as_bytes);
            let next = follow(&url, location)?;
            if !same_origin(&url, &next) {
                redirect::strip_for_other_origin(&mut headers);
            }
            url = next;
        }
        Err(RedirectError::TooMany.into())
    }

    fn asked<'a>(&self, lease: &'a Lease, home: bool) -> Asked<'a> {
        // Elsewhere, an equal tag may be a coincidence: bytes from another origin prove themselves by overlap as well.
        let compare = lease.compare || !home;
        let overlap = match (compare || !lease.identity.is_proof()) && !lease.whole {
            true => (lease.from - lease.held_from).min(OVERLAP),
            false => 0,
        };
        Asked {
            identity: &lease.identity,
            from: lease.from,
            until: lease.until,
            held_from: lease.held_from,
            wire_from: lease.from - overlap,
            ranged: !lease.whole && (lease.from > 0 || lease.until.is_some()),
            compare,
            fresh: lease.fresh,
            ignores_ranges: lease.ignores_ranges,
            digest: self.shared.request.digest.is_some(),
            repr_digest: lease.repr_digest,
            expected_total: self.shared.request.expected_total,
            max_size: self.shared.request.max_size,
        }
    }

    fn hint(&self, headers: &HeaderMap) -> Option<Duration> {
        let date = headers.get(header::DATE).map(HeaderValue::as_bytes);
        retry_after(headers.get_all(header::RETRY_AFTER), date, self.shared.clock.wall())
    }
}

fn get(url: &Url, headers: &HeaderMap) -> Result<http::Request<()>, Failure> {
    let mut request = http::Request::get(url.as_str())
        .body(())
        .map_err(|error| TransportError::with_source(NetworkFailure::Request, error))?;
    *request.headers_mut() = headers.clone();
    Ok(request)
}

fn set_range(headers: &mut HeaderMap, asked: &Asked<'_>) {
    // Never a coding: ranges count the bytes after coding, and a coded body is not the file.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(WANT_REPR_DIGEST, HeaderValue::from_static("sha-256=10"));
    headers.remove(header::RANGE);
    headers.remove(header::IF_RANGE);
    if !asked.ranged {
        return;
    }
    let range = match asked.until {
        Some(until) => format!("bytes={}-{}", asked.wire_from, until - 1),
        None => format!("bytes={}-", asked.wire_from),
    };
    headers.insert(header::RANGE, HeaderValue::try_from(range).expect("digits are a valid field value"));
    if let Some(guard) = asked.identity.if_range().and_then(|guard| HeaderValue::try_from(guard).ok()) {
        headers.insert(header::IF_RANGE, guard);
    }
}

const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");
/// How many bytes before the resume point are compared when no strong validator guards it.
const OVERLAP: u64 = 64 << 10;
