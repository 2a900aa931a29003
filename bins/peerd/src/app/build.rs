//! Building the daemon: everything opened, wired and bound, in the order in which one needs the other.

use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroU64;
use std::sync::Arc;

use anyhow::Context;
use download_registry::{Options, Registry, StateLock};
use resume_fetch::Fetcher;
use retry_kit::{Clock, RateLimiter, SharedClock, TokioClock};

use super::error::StartError;
use super::serve_metrics::ServeMetrics;
use super::{App, Facts};
use crate::access::{KeyRing, Listening, PeerBook};
use crate::config::{Config, Loaded, ResolvedPaths, Sources};
use crate::current::Current;
use crate::downloads::{Downloads, Peers, Settings};
use crate::events::Events;
use crate::exit::Exit;
use crate::hooks::Hooks;
use crate::http::admin::{Access, AdminApi, AdminOptions, AllowedHosts, Limits, Started, System};
use crate::http::auth::{Key, KeyDigest, Keys};
use crate::http::client_address::TrustedProxies;
use crate::http::failed_limit::FailedLimit;
use crate::http::key_slots::KeySlots;
use crate::http::peer::{PeerApi, PeerOptions};
use crate::http::server::{Server, ServerOptions};
use crate::http::tls::Tls;
use crate::http::transfers::Transfers;
use crate::import::Imports;
use crate::library::{Library, Scope};
use crate::metrics::{self, Metrics};
use crate::outbound::Ways;
use crate::reload::{Reloader, Reloads, share_specs};
use crate::service_manager::{Reporter, ServiceManager};
use crate::state_dir;
use crate::telemetry::Logging;
use crate::tls::Identity;
use crate::volume::Gap;
use crate::watch::Watcher;

impl App {
    /// Opens, wires and binds. Nothing is served or downloaded yet. A reload reads `sources` again and may change the
    /// level of `logging`. Sockets that `manager` passed are taken instead of
    /// binding; `sources` says where they listen.
    ///
    /// # Errors
    /// [`StartError`] names the path or address that is in the way.
    pub async fn build(
        loaded: Loaded,
        sources: Sources,
        logging: Logging,
        manager: ServiceManager,
    ) -> Result<Self, StartError> {
        let (config, paths) = (loaded.config.clone(), loaded.paths.clone());
        let clock: SharedClock = Arc::new(TokioClock);
        let locks = lock(&paths)?;
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
        let library =
            Arc::new(library(&config, Arc::clone(&clock)).map_err(|error| StartError::invalid(&error))?);
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
        let tls = Arc::new(identity(&config)?);
        let ServiceManager { notifier, watchdog, sockets } = manager;
        let peer_server =
            listen("server.listen", sockets.peer, &config.server.listen, options.clone()).await?;
        let peer_server = peer_server.with_tls(Arc::clone(&tls));
        let admin_server = listen("admin.listen", sockets.admin, &config.admin.listen, options).await?;
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
        let transfers = Transfers::new(Arc::clone(&clock));
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
                listening: Listening {
                    node: node_name(),
                    addrs: peer_server.local_addrs().to_vec(),
                    tls: Arc::clone(&tls),
                },
                transfers: Arc::clone(&transfers),
            },
            AdminOptions {
                keys: Keys::new(config.admin.require_key, [admin_key]),
                failed_limit: failed_limit(&config),
                metrics_key: config.admin.metrics_key && config.admin.require_key,
                allowed_hosts: AllowedHosts::new(config.admin.allowed_hosts.clone()),
                ui: config.admin.ui,
            },
            System {
                node: node_name(),
                peer_addrs: peer_server.local_addrs().to_vec(),
                tls: Arc::clone(&tls),
                admin_addrs: admin_server.local_addrs().to_vec(),
                loaded: Arc::clone(&last_read),
                reloads: reloads.clone(),
                started: Started::now(Arc::clone(&clock)),
            },
            Arc::clone(&clock),
        );
        let reporter =
            Reporter::new(notifier, watchdog, downloads.clone(), Arc::clone(&metrics), Arc::clone(&clock));
        let peer = PeerApi::new(
            Arc::clone(&library),
            Arc::clone(keys.keys()),
            Arc::new(ServeMetrics { metrics, keys: Arc::clone(&keys) }),
            peer_options(&config, upload.clone(), transfers),
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
            tls: Arc::clone(&tls),
            peer: Arc::clone(&peer),
            admin: Arc::clone(&admin),
            events: Arc::clone(&events),
            notice: reporter.reloads(),
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
            reporter,
            grace: config.server.shutdown_grace,
            facts: Facts {
                tls: tls.is_on(),
                state: paths.state,
                shares: config.shares.len(),
                peers: known_peers,
                ui: config.admin.ui,
            },
        })
    }
}

/// Keeps a second daemon off the same state.
fn lock(paths: &ResolvedPaths) -> Result<Vec<StateLock>, StartError> {
    state_dir::create_private(&paths.state)?;
    let mut locks = vec![StateLock::acquire(&paths.state)?];
    let registry_dir = paths.registry.parent().unwrap_or(&paths.state);
    if registry_dir != paths.state {
        // A registry elsewhere is state, too: two daemons on it would take each other's rows.
        locks.push(StateLock::acquire(registry_dir)?);
    }
    Ok(locks)
}

fn library(config: &Config, clock: SharedClock) -> anyhow::Result<Library> {
    Ok(Library::new(share_specs(config), move || clock.wall())?)
}

/// The certificate of the public listener, if it has one.
fn identity(config: &Config) -> Result<Tls, StartError> {
    let files = config.server.tls_files();
    let identity = files.map(|(certificate, key)| Identity::read(certificate, key)).transpose();
    let identity = identity.map_err(|error| StartError::invalid(&error.into()))?;
    Ok(Tls::new(identity).context("cannot set up TLS")?)
}

fn downloads(
    config: &Config,
    paths: &ResolvedPaths,
    registry: Registry,
    clock: SharedClock,
    events: Arc<Events>,
) -> anyhow::Result<Downloads> {
    let settings = Settings::new(config, paths)?;
    let ways = Ways::new(config.downloads.connect_timeout)?;
    let peers = Peers::new(&config.peers, ways.clone(), Arc::clone(&clock))?;
    let mut rng = fastrand::Rng::new();
    let fetcher = Fetcher::new(ways.common(), Arc::clone(&clock), rng.fork());
    Ok(Downloads::new(registry, settings, peers, fetcher, clock, events, rng))
}

fn peer_options(config: &Config, upload: RateLimiter, transfers: Arc<Transfers>) -> PeerOptions {
    PeerOptions {
        name: node_name(),
        failed_limit: Arc::new(failed_limit(config)),
        key_slots: KeySlots::new(config.server.max_connections_per_key as usize),
        trusted_proxies: TrustedProxies::new(config.server.trusted_proxies.clone()),
        upload,
        transfers,
    }
}

fn failed_limit(config: &Config) -> FailedLimit {
    let bounds = config.auth.failed_limit;
    FailedLimit::new(bounds.max, bounds.per)
}

fn server_options(config: &Config) -> ServerOptions {
    ServerOptions {
        max_connections: config.server.max_connections as usize,
        header_timeout: config.server.header_timeout,
        write_stall_timeout: config.server.write_stall_timeout,
        sendfile: config.server.sendfile,
        shutdown_grace: config.server.shutdown_grace,
    }
}

/// Takes over what was passed, or else binds the addresses that stand under `key`.
async fn listen(
    key: &str,
    passed: Vec<TcpListener>,
    addresses: &[SocketAddr],
    options: ServerOptions,
) -> Result<Server, StartError> {
    if !passed.is_empty() {
        let server = Server::from_listeners(passed, options);
        return Ok(server.context("cannot use a socket of the service manager")?);
    }
    Server::bind(addresses, options).await.map_err(|error| {
        let message = format!("{}; {}", resume_fetch::describe(&error), error.remedy(key));
        StartError { exit: Exit::General, message }
    })
}

/// Makes the directories, and refuses two that no rename can cross.
fn prepare_directories(paths: &ResolvedPaths) -> Result<(), StartError> {
    for dir in [&paths.downloads, &paths.incomplete] {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot use {}", dir.display()))?;
    }
    if let Some(gap) = Gap::between(&paths.downloads, &paths.incomplete) {
        let message = format!(
            "downloads.dir ({}) and downloads.incomplete_dir ({}) {}: a finished file could not be moved into place \
             in one step; {}",
            paths.downloads.display(),
            paths.incomplete.display(),
            gap.said(),
            gap.remedy()
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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn directories_that_are_missing_are_made_and_what_is_in_the_way_is_named() {
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
        assert!(dir.path().join("a/b/c").is_dir());
        let refused = prepare_directories(&paths(file.join("below"))).unwrap_err();
        assert_eq!(refused.exit, Exit::LocalIo);
        assert!(refused.message.contains(file.to_str().unwrap()), "{refused}");
    }
}
