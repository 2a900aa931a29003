//! `/api/v1/system`: what this daemon is, where it keeps its things, and reading its configuration again.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::{Response, StatusCode};
use retry_kit::SharedClock;
use serde_json::{Value, json};

use super::limits::{self, Limits};
use crate::config::{Loaded, Problem as ConfigProblem};
use crate::current::Current;
use crate::downloads::Downloads;
use crate::http::body::{self, Body};
use crate::http::problem::Problem;
use crate::http::tls::Tls;
use crate::moment::rfc3339;
use crate::reload::{ReloadError, Reloads};

/// What is known about the daemon as a whole.
pub struct System {
    /// The machine's own name, as shown to peers.
    pub node: String,
    /// Addresses of the public listener.
    pub peer_addrs: Vec<SocketAddr>,
    /// How the public listener answers.
    pub tls: Arc<Tls>,
    /// Addresses of the admin listener.
    pub admin_addrs: Vec<SocketAddr>,
    /// The configuration read last.
    pub loaded: Arc<Current<Loaded>>,
    /// Where a reload is asked for.
    pub reloads: Reloads,
    /// When it started.
    pub started: Started,
}

/// The moment the daemon started, on both clocks.
pub struct Started {
    clock: SharedClock,
    wall: SystemTime,
    now: Instant,
}

impl Started {
    /// Now.
    pub fn now(clock: SharedClock) -> Self {
        let (wall, now) = (clock.wall(), clock.now());
        Self { clock, wall, now }
    }

    fn uptime(&self) -> Duration {
        self.clock.now().saturating_duration_since(self.now)
    }
}

pub(super) async fn show(system: &System, downloads: &Downloads, limits: &Limits) -> Response<Body> {
    let (loaded, settings) = (system.loaded.get(), downloads.settings());
    let disk = async |path: &Path| json!({ "path": path, "free": downloads.free_bytes(path).await });
    let document = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "node": system.node,
        "pid": std::process::id(),
        "started_at": rfc3339(system.started.wall),
        "uptime": system.started.uptime().as_secs(),
        "state_dir": loaded.paths.state,
        "registry": downloads.registry().path(),
        "config_file": loaded.file,
        "listeners": { "peer": system.peer_addrs, "admin": system.admin_addrs },
        "tls": tls(&system.tls),
        "limits": limits::document(limits),
        "require_key": loaded.config.admin.require_key,
        "downloads": {
            "enabled": settings.enabled,
            "running": downloads.running(),
            "max_concurrent": settings.max_concurrent,
            "max_attempts": settings.retry.max_attempts.get(),
        },
        "disk": {
            "state": if downloads.disk_is_low() { "low" } else { "ok" },
            "min_free": settings.min_free,
            "downloads": disk(&settings.dir).await,
            "incomplete": disk(&settings.incomplete_dir).await,
        },
        "warnings": list(&loaded.warnings),
    });
    body::json(StatusCode::OK, &document)
}

/// Whether the public listener speaks TLS, and what its certificate says.
fn tls(tls: &Tls) -> Value {
    let certificate = tls.certificate().map(|certificate| {
        json!({
            "names": certificate.names,
            "not_before": rfc3339(certificate.not_before),
            "not_after": rfc3339(certificate.not_after),
            "self_signed": certificate.self_signed,
            "sha256": certificate.sha256,
        })
    });
    json!({ "on": tls.is_on(), "certificate": certificate })
}

/// Reads the configuration again. 200 with what that changed, or 422 with everything that is wrong.
pub(super) async fn reload(system: &System) -> Result<Response<Body>, Problem> {
    match system.reloads.reload().await {
        Ok(reloaded) => {
            let changes = &reloaded.changes;
            let document = json!({
                "applied": changes.live,
                "at_restart": changes.at_restart,
                "warnings": list(&reloaded.warnings),
            });
            Ok(body::json(StatusCode::OK, &document))
        }
        Err(ReloadError::Config(errors)) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "config-invalid", NOT_USED);
            Err(problem.with_detail(errors.to_string()).with_member("errors", list(errors.problems())))
        }
        Err(error @ ReloadError::Gone) => {
            Err(Problem::unavailable(Duration::from_secs(5)).with_detail(error.to_string()))
        }
        Err(error @ ReloadError::Apply(_)) => {
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "config-invalid", NOT_USED);
            Err(problem.with_detail(error.to_string()).with_member("errors", json!([])))
        }
    }
}

fn list(problems: &[ConfigProblem]) -> Value {
    problems.iter().map(ConfigProblem::to_json).collect()
}

const NOT_USED: &str = "The configuration cannot be used; the old one stays in force";
