//! Which pieces exist and how they meet: built once, run until told to stop.

mod vital;

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use download_registry::{LockError, OpenError, Options, Registry, StateLock, StorageError};
use http::StatusCode;
use resume_fetch::{Fetcher, ReqwestTransport, Transport};
use retry_kit::{Clock, RateLimiter, SharedClock, TokioClock};
use tokio_util::sync::CancellationToken;

use crate::access::{KeyRing, PeerBook, Reach};
use crate::config::{Config, Loaded, ResolvedPaths, Sources};
use crate::current::Current;
use crate::downloads::{Downloads, Peers, Settings};
use crate::events::Events;
use crate::exit::Exit;
use crate::hooks::Hooks;
use crate::http::admin::{Access, AdminApi, AdminOptions, AllowedHosts, Limits, Started, System};
use crate::http::auth::{Key, KeyDigest, Keys, Refusal};
use crate::http::client_address::TrustedProxies;
use crate::http::events::ServeEvents;
use crate::http::failed_limit::FailedLimit;
use crate::http::key_slots::KeySlots;
use crate::http::peer::{PeerApi, PeerOptions};
use crate::http::server::{Server, ServerOptions};
use crate::import::Imports;
use crate::library::{Library, Scope};
use crate::metrics::{self, Metrics};
use crate::reload::{Asked, Reloader, Reloads, share_specs};
use crate::state_dir;
use crate::telemetry::Logging;
use crate::watch::Watcher;

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
    grace: Duration,
    facts: Facts,
}

/// What the first lines of the log say.
struct Facts {
    state: PathBuf,
    shares: usize,
    peers: usize,
}

/// Why the daemon did not start.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// The code the process ends with.
    pub exit: Exit,
    /// What is wrong, with the path or address, and what to do.
    pub message: String,
}

/// Why a daemon that ran could not go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The queue could not be recovered.
    #[error("{0:#}")]
    Recovery(anyhow::Error),
    /// The registry cannot be written any more.
    #[error("the registry failed: {}", resume_fetch::describe(.0))]
    Registry(StorageError),
    /// A part of the daemon is gone that it cannot do without.
    #[error("{0}")]
    Lost(#[from] Lost),
    /// The download service has lost a task of its own.
    #[error("the download service stopped by itself")]
    Queue,
}

impl RunError {
    /// The code the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Registry(_) => Exit::LocalIo,
            Self::Recovery(_) | Self::Lost(_) | Self::Queue => Exit::General,
        }
    }
}

impl App {
    /// Opens, wires and binds. Nothing is served or downloaded yet. A reload reads `sources` again and may change the
    /// level of `logging`.
    ///
    /// # Errors
    /// [`StartError`] names the path or address that is in the way.
    pub async fn build(loaded: Loaded, sources: Sources, logging: Logging) -> Result<Self, StartError> {
        let (config, paths) = (loaded.config.clone(), loaded.paths.clone());
        let clock: SharedClock = Arc::new(TokioClock);
        state_dir::create_private(&paths.state)?;
        let mut locks = vec![StateLock::acquire(&paths.state)?];
        let registry_dir = paths.registry.parent().unwrap_or(&paths.state);
        if registry_dir != paths.state {
            // A registry elsewhere is state, too: two daemons on it would take each other's rows.
            locks.push(StateLock::acquire(registry_dir)?);
        }
        let metrics = Arc::new(Metrics::new());
        let mut options = Options::default();
        options.observer =
            Some(Arc::new(metrics::WriteTimes::new(metrics.db_write.clone(), Arc::clone(&clock))));
        let registry = Registry::open(&paths.registry, &options).await?;
        let key = state_dir::admin_key(&paths.state)?;
        // A disk that is not mounted is waited for, not replaced by an empty directory.
        let lost = !paths.incomplete.is_dir()
            && crate::downloads::expects_parts_in(&registry, &paths.incomplete)
                .await
                .context("cannot read the registry")?;
        if !lost {
            prepare_directories(&paths)?;
        }

        let events = Events::open(&registry, Arc::clone(&metrics), &clock).await;
        let events = events.context("cannot read the registry")?;
        let library = Arc::new(library(&config, Arc::clone(&clock)).map_err(|error| invalid(&error))?);
        let downloads =
            downloads(&config, &paths, registry.clone(), Arc::clone(&clock), Arc::clone(&events))?;
        let required = config.auth.require_key;
        let keys = KeyRing::open(registry.clone(), Arc::clone(&clock), required, &config.keys).await;
        let keys = keys.context("cannot read the registry")?;
        let (known, to_registry) = (downloads.peers().clone(), registry.clone());
        let peers = PeerBook::open(known, to_registry, Arc::clone(&clock), &paths.state, &config.peers).await;
        let peers = peers.context("cannot read the registry")?;
        let upload = RateLimiter::new(Arc::clone(&clock), NonZeroU64::new(config.limits.up.bytes()).into());
        let limits = Limits { down: downloads.limit_down().clone(), up: upload.clone() };
        let options = server_options(&config);
        let peer_server = bind(&config.server.listen, options.clone()).await?;
        let admin_server = bind(&config.admin.listen, options).await?;
        let (reloads, asked) = Reloads::new();
        let last_read = Arc::new(Current::new(loaded.clone()));
        let admin_key =
            Key { name: "admin".to_owned(), digest: KeyDigest::of(key.expose()), scope: Scope::All };
        let imports = Imports::new(
            &config,
            &paths,
            registry.clone(),
            Arc::clone(&events),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            fastrand::Rng::new(),
        )?;
        let hooks = Hooks::new(
            &config,
            registry.clone(),
            Arc::clone(&metrics),
            Arc::clone(&clock),
            fastrand::Rng::new(),
        )?;
        let admin = AdminApi::new(
            downloads.clone(),
            imports.clone(),
            Arc::clone(&library),
            Arc::clone(&metrics),
            Arc::clone(&events),
            limits,
            Access {
                keys: Arc::clone(&keys),
                peers: Arc::clone(&peers),
                reach: Reach::of(&node_name(), peer_server.local_addrs()),
            },
            AdminOptions {
                keys: Keys::new(config.admin.require_key, [admin_key]),
                metrics_key: config.admin.metrics_key && config.admin.require_key,
                allowed_hosts: AllowedHosts::new(config.admin.allowed_hosts.clone()),
                ui: config.admin.ui,
            },
            System {
                node: node_name(),
                peer_addrs: peer_server.local_addrs().to_vec(),
                admin_addrs: admin_server.local_addrs().to_vec(),
                loaded: Arc::clone(&last_read),
                reloads: reloads.clone(),
                started: Started::now(Arc::clone(&clock)),
            },
            Arc::clone(&clock),
        );
        let peer = PeerApi::new(
            Arc::clone(&library),
            Arc::clone(keys.keys()),
            Arc::new(ServeMetrics { metrics, keys: Arc::clone(&keys) }),
            peer_options(&config, upload.clone()),
        );
        let known_peers = peers.list().len();
        let reloader = Reloader {
            sources,
            started: loaded,
            loaded: last_read,
            logging,
            downloads: downloads.clone(),
            library: Arc::clone(&library),
            keys: Arc::clone(&keys),
            peers,
            upload,
            peer: Arc::clone(&peer),
            admin: Arc::clone(&admin),
            events: Arc::clone(&events),
        };
        let watcher = Watcher::new(&config.watch, downloads.clone(), Arc::clone(&clock));
        Ok(Self {
            _locks: locks,
            registry,
            downloads,
            imports,
            hooks,
            events,
            clock,
            library,
            keys,
            peer: (peer_server, peer),
            admin: (admin_server, admin),
            reloading: (reloader, reloads, asked),
            watcher,
            grace: config.server.shutdown_grace,
            facts: Facts { state: paths.state, shares: config.shares.len(), peers: known_peers },
        })
    }

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
        let (reloader, _, asked) = reloading;
        let reloading = tokio::spawn(reloader.run(asked));
        if let Some(watcher) = watcher {
            let stop = stop.clone();
            vital.spawn("watch over the stubs", async move {
                stop.run_until_cancelled(watcher.run()).await;
            });
        }
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
        stop.cancel();
        events.close();
        downloads.stop(grace).await;
        imports.stop().await;
        hooks.stop().await;
        vital.join().await;
        used.await.ok();
        numbers.abort();
        reloading.abort();
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
        let Facts { state, shares, peers } = &self.facts;
        tracing::info!(version = env!("CARGO_PKG_VERSION"), state = %state.display(), "peerd starts");
        for address in self.peer.0.local_addrs() {
            tracing::info!(listener = "peer", %address, "listening");
        }
        for address in self.admin.0.local_addrs() {
            tracing::info!(listener = "admin", %address, "listening");
        }
        match shares {
            0 => tracing::info!("nothing is shared; share a folder with: peerd serve --share DIR"),
            shares => tracing::info!(shares, "sharing"),
        }
        match peers {
            0 => tracing::info!("no peers yet; add one with: peerd peer add NAME URL"),
            peers => tracing::info!(peers, "downloads: peerd add PEER/ITEM --wait"),
        }
    }
}

fn library(config: &Config, clock: SharedClock) -> anyhow::Result<Library> {
    Ok(Library::new(share_specs(config), move || clock.wall())?)
}

fn downloads(
    config: &Config,
    paths: &ResolvedPaths,
    registry: Registry,
    clock: SharedClock,
    events: Arc<Events>,
) -> anyhow::Result<Downloads> {
    let settings = Settings::new(config, paths)?;
    let transport = ReqwestTransport::with_settings(config.downloads.connect_timeout, |client| {
        client.no_proxy().user_agent(concat!("peerd/", env!("CARGO_PKG_VERSION")))
    })?;
    let shared: Arc<dyn Transport> = Arc::new(transport.clone());
    let peers = Peers::new(&config.peers, shared, Arc::clone(&clock))?;
    let mut rng = fastrand::Rng::new();
    let fetcher = Fetcher::new(transport, Arc::clone(&clock), rng.fork());
    Ok(Downloads::new(registry, settings, peers, fetcher, clock, events, rng))
}

fn peer_options(config: &Config, upload: RateLimiter) -> PeerOptions {
    let failed_limit = config.auth.failed_limit;
    PeerOptions {
        name: node_name(),
        failed_limit: Arc::new(FailedLimit::new(failed_limit.max, failed_limit.per)),
        key_slots: KeySlots::new(config.server.max_connections_per_key as usize),
        trusted_proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
        upload,
    }
}

fn server_options(config: &Config) -> ServerOptions {
    ServerOptions {
        max_connections: config.server.max_connections as usize,
        header_timeout: config.server.header_timeout,
        write_stall_timeout: config.server.write_stall_timeout,
        shutdown_grace: config.server.shutdown_grace,
    }
}

async fn bind(addresses: &[SocketAddr], options: ServerOptions) -> Result<Server, StartError> {
    Server::bind(addresses, options).await.map_err(|error| {
        let message = format!(
            "{}; is another daemon running? choose another address, or port 0 for a free one",
            resume_fetch::describe(&error)
        );
        StartError { exit: Exit::General, message }
    })
}

/// Makes the directories, and refuses two that no rename can cross.
fn prepare_directories(paths: &ResolvedPaths) -> Result<(), StartError> {
    let device = |path: &Path| -> io::Result<u64> {
        std::fs::create_dir_all(path)?;
        Ok(path.metadata()?.dev())
    };
    let of = |path: &Path| device(path).with_context(|| format!("cannot use {}", path.display()));
    let (finished, unfinished) = (of(&paths.downloads)?, of(&paths.incomplete)?);
    if finished != unfinished {
        let message = format!(
            "downloads.dir ({}) and downloads.incomplete_dir ({}) are on different filesystems: a finished file \
             could not be moved into place in one step. Put them on the same filesystem",
            paths.downloads.display(),
            paths.incomplete.display()
        );
        return Err(StartError { exit: Exit::Config, message });
    }
    Ok(())
}

/// The machine's own name, as shown to peers.
fn node_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "peerd".to_owned(), |name| name.trim().to_owned())
}

/// How often shares are walked even without a sign of change: network mounts give none.
const RESCAN: Duration = Duration::from_secs(30);

/// Counts what the public listener serves, and to whom.
struct ServeMetrics {
    metrics: Arc<Metrics>,
    keys: Arc<KeyRing>,
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

fn invalid(error: &anyhow::Error) -> StartError {
    StartError { exit: Exit::Config, message: format!("{error:#}") }
}

impl From<anyhow::Error> for StartError {
    fn from(error: anyhow::Error) -> Self {
        let exit = if error.chain().any(<dyn std::error::Error>::is::<io::Error>) {
            Exit::LocalIo
        } else {
            Exit::General
        };
        Self { exit, message: format!("{error:#}") }
    }
}

impl From<LockError> for StartError {
    fn from(error: LockError) -> Self {
        let said = resume_fetch::describe(&error);
        match &error {
            LockError::Held { .. } => Self {
                exit: Exit::TryLater,
                message: format!(
                    "{said}; stop that one first, or give this one a place of its own: --state-dir DIR"
                ),
            },
            _ => Self { exit: Exit::LocalIo, message: said },
        }
    }
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        let said = resume_fetch::describe(&error);
        if !error.is_bad_file() {
            return Self { exit: Exit::LocalIo, message: said };
        }
        let message =
            format!("{said}; see what is left of it with: peerd db check, or put a backup in its place");
        Self { exit: Exit::Data, message }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_start_ends_with_the_code_of_its_reason_and_names_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let paths = |downloads: PathBuf| ResolvedPaths {
            state: dir.path().into(),
            incomplete: dir.path().join("incomplete"),
            registry: dir.path().join("peerd.db"),
            downloads,
        };
        prepare_directories(&paths(dir.path().join("a/b/c"))).unwrap();
        assert!(dir.path().join("a/b/c").is_dir(), "what is missing is made");
        let refused = prepare_directories(&paths(file.join("below"))).unwrap_err();
        assert_eq!(refused.exit, Exit::LocalIo);
        assert!(refused.message.contains(file.to_str().unwrap()), "{refused}");

        let _held = StateLock::acquire(dir.path()).unwrap();
        let locked = StartError::from(StateLock::acquire(dir.path()).unwrap_err());
        assert_eq!(locked.exit, Exit::TryLater);
        let nowhere = StartError::from(StateLock::acquire(dir.path().join("missing")).unwrap_err());
        assert_eq!(nowhere.exit, Exit::LocalIo);
        assert_eq!(StartError::from(anyhow::anyhow!("no reason known")).exit, Exit::General);
    }

    #[tokio::test]
    async fn a_database_that_is_none_ends_the_start_with_its_own_code() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("peerd.db");
        std::fs::write(&path, "no database").unwrap();
        let refused = StartError::from(Registry::open(&path, &Options::default()).await.unwrap_err());
        assert_eq!(refused.exit, Exit::Data);
        assert!(refused.message.contains(path.to_str().unwrap()), "{refused}");
    }
}
