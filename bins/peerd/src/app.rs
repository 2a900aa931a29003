//! Which pieces exist and how they meet: [built](App::build) once, run until told to stop.

mod build;
mod error;
mod serve_metrics;
mod vital;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use download_registry::{Registry, StateLock};
use retry_kit::SharedClock;
use tokio_util::sync::CancellationToken;

use crate::access::KeyRing;
use crate::downloads::Downloads;
use crate::events::Events;
use crate::hooks::Hooks;
use crate::http::admin::AdminApi;
use crate::http::peer::PeerApi;
use crate::http::server::Server;
use crate::import::Imports;
use crate::library::Library;
use crate::reload::{Asked, Reloader, Reloads};
use crate::service_manager::Reporter;
use crate::watch::Watcher;

pub use self::error::{RunError, StartError};
pub use self::vital::Lost;
use self::vital::Vital;

/// A daemon with everything open and both listeners bound.
pub struct App {
    // Held for life: they keep a second daemon off the same state.
    _locks: Vec<StateLock>,
    registry: Registry,
    downloads: Downloads,
    imports: Imports,
    hooks: Hooks,
    events: Arc<Events>,
    clock: SharedClock,
    library: Arc<Library>,
    keys: Arc<KeyRing>,
    peer: (Server, Arc<PeerApi>),
    admin: (Server, Arc<AdminApi>),
    reloading: (Reloader, Reloads, Asked),
    watcher: Option<Watcher>,
    reporter: Reporter,
    grace: Duration,
    facts: Facts,
}

/// What the first lines of the log say.
struct Facts {
    state: PathBuf,
    /// Whether peers reach us under https.
    tls: bool,
    shares: usize,
    peers: usize,
    /// Whether there is a web page.
    ui: bool,
}

impl App {
    /// Serves and downloads until `shutdown` resolves, then leaves within the grace period; in the same good order when
    /// something is lost without which it cannot go on.
    ///
    /// # Errors
    /// When the queue cannot be recovered, or [`RunError`] says what was lost.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        self.introduce();
        let Self {
            registry,
            downloads,
            imports,
            hooks,
            events,
            clock,
            library,
            keys,
            peer,
            admin,
            watcher,
            reporter,
            grace,
            reloading,
            _locks,
            ..
        } = self;
        let numbers = tokio::spawn({
            let (events, registry, clock) = (Arc::clone(&events), registry.clone(), Arc::clone(&clock));
            async move { events.keep_numbers(&registry, &clock).await }
        });
        // Before the first answer, so that nobody is shown a row as the crash left it.
        hooks.start(&events).await.map_err(RunError::Recovery)?;
        imports.start().await.map_err(RunError::Recovery)?;
        downloads.start().await.map_err(RunError::Recovery)?;
        let stop = CancellationToken::new();
        let mut vital = Vital::default();
        vital.spawn("peer listener", {
            let (server, api) = peer;
            server.run(move |request, info| Arc::clone(&api).handle(request, info), stop.clone())
        });
        vital.spawn("admin listener", {
            let (server, api) = admin;
            server.run(move |request, info| Arc::clone(&api).handle(request, info), stop.clone())
        });
        vital.spawn("watch over the shares", library.watch(RESCAN, stop.clone()));
        let used = tokio::spawn({
            let stop = stop.clone();
            async move { keys.keep_use(&stop).await }
        });
        if let Some(watcher) = watcher {
            let stop = stop.clone();
            vital.spawn("watch over the stubs", async move {
                stop.run_until_cancelled(watcher.run()).await;
            });
        }
        let reporting = reporter.ready().await;
        // Behind that word: a reload tells the service manager, too.
        let (reloader, _, asked) = reloading;
        let reloading = tokio::spawn(reloader.run(asked));
        let outcome = tokio::select! {
            () = shutdown => Ok(()),
            error = registry.failed() => Err(RunError::Registry(error)),
            lost = vital.lost() => Err(lost.into()),
            () = downloads.broken() => Err(RunError::Queue),
        };
        match &outcome {
            Ok(()) => tracing::info!("stopping: transfers reach a checkpoint first"),
            Err(error) => tracing::error!(%error, "stopping: the daemon cannot go on"),
        }
        reloading.abort();
        drop(reporting);
        reporter.stopping(grace).await;
        stop.cancel();
        events.close();
        downloads.stop(grace).await;
        imports.stop().await;
        hooks.stop().await;
        vital.join().await;
        used.await.ok();
        numbers.abort();
        if let Err(error) = events.finish(&registry, &clock).await {
            tracing::warn!(error = %resume_fetch::describe(&error), "the next start skips some event numbers");
        }
        registry.close().await;
        tracing::info!("stopped");
        outcome
    }

    /// Where a reload of the configuration is asked for.
    pub fn reloads(&self) -> Reloads {
        self.reloading.1.clone()
    }

    /// One line per fact, with the next command to type.
    fn introduce(&self) {
        let Facts { state, tls, shares, peers, ui } = &self.facts;
        let scheme = if *tls { "https" } else { "http" };
        tracing::info!(version = env!("CARGO_PKG_VERSION"), state = %state.display(), "peerd starts");
        for address in self.peer.0.local_addrs() {
            tracing::info!(listener = "peer", %address, scheme, "listening");
        }
        for address in self.admin.0.local_addrs() {
            tracing::info!(listener = "admin", %address, scheme = "http", "listening");
        }
        tracing::info!(file = %state.join("admin.key").display(), "the admin key lies in a file");
        if *ui {
            tracing::info!("the web page: get a link that logs in with: peerd ui");
        }
        match shares {
            0 => tracing::info!("nothing is shared; share a folder with: peerd serve --share DIR"),
            shares => tracing::info!(shares, "sharing"),
        }
        if *shares > 0 && self.keys.list().is_empty() {
            tracing::info!("nobody has a key to fetch with; make one with: peerd key create NAME --invite");
        }
        match peers {
            0 => tracing::info!("no peers yet; add one with: peerd peer add NAME URL --key-file -"),
            peers => tracing::info!(peers, "downloads: peerd add PEER/ITEM --wait"),
        }
    }
}

/// How often shares are walked even without a sign of change: network mounts give none.
const RESCAN: Duration = Duration::from_secs(30);
