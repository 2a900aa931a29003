//! `/api/v1/downloads/{id}/content`: the bytes of a download, here or still arriving.
//!
//! Everything about a range is decided before the first byte goes out, by the same plan that serves shared files: as soon
//! as the complete-length is known, status and length are final. What is missing is fetched first, and the same response
//! goes on when it arrives. A response that cannot keep its word breaks the connection; it never ends short and clean.

use download_registry::DownloadId;
use http::header::{IF_RANGE, RANGE};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use prometheus_client::metrics::gauge::Gauge;
use range_http::sendfile::Piece;
use range_http::{RangeBody, Segment, plan};

use super::downloads::unknown;
use super::registry_failed;
use crate::downloads::{ContentError, Downloads};
use crate::http::body::{self, Body};
use crate::http::peer::{SERVING, explained};
use crate::http::problem::Problem;
use crate::metrics::{Metrics, RouteCode};

/// Answers a GET or HEAD, and counts it.
pub(super) async fn serve(
    downloads: &Downloads,
    metrics: &Metrics,
    id: DownloadId,
    parts: &Parts,
) -> Result<Response<Body>, Problem> {
    let since = std::time::Instant::now();
    let answer = answer(downloads, id, parts).await;
    let status = answer.as_ref().map_or_else(Problem::status, Response::status);
    let code = status.as_str().to_owned();
    metrics.serve_requests.get_or_create(&RouteCode { route: "content".to_owned(), code }).inc();
    let waited = since.elapsed();
    if status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE {
        metrics.content_wait.observe(waited.as_secs_f64());
    }
    let field = |name| parts.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    tracing::debug!(
        download_id = id.get(),
        method = %parts.method,
        range = field(RANGE).unwrap_or("none"),
        if_range = field(IF_RANGE).unwrap_or("none"),
        status = status.as_u16(),
        waited_ms = waited.as_millis(),
        "content"
    );
    // Until the last byte is out, or whoever reads is gone.
    answer.map(|response| {
        response.map(|body| {
            let active = Active::new(&metrics.serve_active);
            let counted = body.map_frame(move |frame| {
                let Active(_) = &active;
                frame
            });
            counted.boxed_unsync()
        })
    })
}

/// A body, from its head to its end.
struct Active(Gauge);

impl Active {
    fn new(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.dec();
    }
}

async fn answer(downloads: &Downloads, id: DownloadId, parts: &Parts) -> Result<Response<Body>, Problem> {
    let mut looks = MAX_LOOKS;
    loop {
        match look(downloads, id, parts).await {
            // Nothing was promised yet: what came in between is what is asked for.
            Err(error) if error.is_passing() && looks > 0 => looks -= 1,
            answer => return answer.map_err(|error| problem(&error)),
        }
    }
}

async fn look(downloads: &Downloads, id: DownloadId, parts: &Parts) -> Result<Response<Body>, ContentError> {
    let content = downloads.content(id).await?;
    let total = content.representation().len();
    let plan = plan(&(&parts.method, &parts.headers), content.representation(), &SERVING);
    let (head, plan) = plan.into_response_parts();
    let range = plan.segments().find_map(|segment| match segment {
        Segment::Source(range) => Some(range),
        Segment::Bytes(_) => None,
    });
    let Some(range) = range else {
        let response = Response::from_parts(head, body::empty());
        return Ok(match response.status() {
            StatusCode::PRECONDITION_FAILED => explained(response, precondition_failed()),
            StatusCode::RANGE_NOT_SATISFIABLE => explained(response, not_satisfiable(total)),
            _ => response,
        });
    };
    let source = content.into_source(range.end());
    source.begin(range.start()).await?;
    let body = RangeBody::new(plan, source).map_frame(|frame| frame.map_data(Piece::from));
    let body = body.map_err(Into::into).boxed_unsync();
    Ok(Response::from_parts(head, body))
}

fn precondition_failed() -> Problem {
    let title = "The file is not in the state asked for";
    Problem::new(StatusCode::PRECONDITION_FAILED, "precondition-failed", title)
}

fn not_satisfiable(size: u64) -> Problem {
    let title = "The file has no bytes in this range";
    Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range-not-satisfiable", title).with_member("size", size)
}

fn problem(error: &ContentError) -> Problem {
    match error {
        ContentError::Unknown => unknown(),
        ContentError::Gone(why) => {
            Problem::new(StatusCode::GONE, "content-gone", "The bytes of this download are gone")
                .with_detail(*why)
        }
        ContentError::Failed(_) => {
            Problem::new(StatusCode::CONFLICT, "wrong-state", "The download's state does not allow this")
                .with_detail(error.to_string())
                .with_member("state", "failed")
        }
        ContentError::NotNow { why, retry_after } => {
            Problem::unavailable(*retry_after).with_detail(why.clone())
        }
        ContentError::Registry(error) => registry_failed(error),
        ContentError::Unreadable(source) => {
            tracing::warn!(
                error = source as &dyn std::error::Error,
                "the content of a download cannot be read"
            );
            Problem::unavailable(UNREADABLE_WAIT)
        }
        _ => Problem::unavailable(UNREADABLE_WAIT).with_detail(error.to_string()),
    }
}

/// Starts in a row that one request sits out.
const MAX_LOOKS: u32 = 3;
const UNREADABLE_WAIT: std::time::Duration = std::time::Duration::from_secs(10);
