//! What the public listener tells of its answers, counted.

use std::sync::Arc;

use http::StatusCode;

use crate::access::KeyRing;
use crate::http::auth::Refusal;
use crate::http::events::ServeEvents;
use crate::metrics::{self, Metrics};

/// Counts what the public listener serves, and to whom.
pub(super) struct ServeMetrics {
    pub(super) metrics: Arc<Metrics>,
    pub(super) keys: Arc<KeyRing>,
}

impl ServeEvents for ServeMetrics {
    fn answered(&self, route: &'static str, status: StatusCode) {
        let label = metrics::RouteCode { route: route.to_owned(), code: status.as_str().to_owned() };
        self.metrics.serve_requests.get_or_create(&label).inc();
    }

    fn range(&self, kind: &'static str) {
        self.metrics.serve_ranges.get_or_create(&metrics::Kind { kind: kind.to_owned() }).inc();
    }

    fn sent(&self, share: &str, bytes: u64) {
        self.metrics.serve_bytes.get_or_create(&metrics::Share { share: share.to_owned() }).inc_by(bytes);
    }

    fn body_began(&self) {
        self.metrics.serve_active.inc();
    }

    fn body_ended(&self) {
        self.metrics.serve_active.dec();
    }

    fn admitted(&self, key: &str) {
        self.keys.used(key);
    }

    fn refused(&self, _refusal: Refusal) {
        self.metrics.auth_failures.get_or_create(&metrics::Listener { listener: "peer".to_owned() }).inc();
    }
}
