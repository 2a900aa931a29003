//! `/api/v1/limits`: how fast bytes may move, in both directions, changed while they do.
//!
//! What is set here holds until the daemon ends; at its next start the configuration holds again.

use std::num::NonZeroU64;

use http::{Response, StatusCode};
use retry_kit::RateLimiter;
use serde_json::{Value, json};

use super::document::{Document, Rate};
use crate::http::body::{self, Body};
use crate::http::problem::Problem;

/// The limits on everything together.
#[derive(Clone, Debug)]
pub struct Limits {
    /// On what is downloaded.
    pub down: RateLimiter,
    /// On what is served.
    pub up: RateLimiter,
}

/// The limits in force, in bytes per second; 0 is none.
pub(super) fn show(limits: &Limits) -> Response<Body> {
    body::json(StatusCode::OK, &document(limits))
}

pub(super) fn document(limits: &Limits) -> Value {
    json!({ "down": bytes(&limits.down), "up": bytes(&limits.up) })
}

/// Sets the limits that are named, on running transfers too.
pub(super) fn set(limits: &Limits, mut document: Document) -> Result<Response<Body>, Problem> {
    let down = document.take_nullable::<Rate>("down")?;
    let up = document.take_nullable::<Rate>("up")?;
    document.end()?;
    for (limiter, rate) in [(&limits.down, down), (&limits.up, up)] {
        if let Some(rate) = rate {
            limiter.set_rate(rate.and_then(Rate::limit).and_then(NonZeroU64::new).into());
        }
    }
    tracing::info!(down = bytes(&limits.down), up = bytes(&limits.up), "limits set");
    Ok(show(limits))
}

fn bytes(limiter: &RateLimiter) -> u64 {
    limiter.rate().bytes_per_second().map_or(0, NonZeroU64::get)
}
