//! Reading the configuration again while everything runs.
//!
//! Whoever wants a reload asks [`Reloads`]; one task, [`Reloader::run`], does them one after the other. A reload is
//! whole or none: what could fail is tried first, and then everything is put in its place. Settings that only a start
//! can apply keep the value they were started with, and the configuration is judged with those values in it: a key may
//! not be waived because of a listener that is not there yet.

use std::num::NonZeroU64;
use std::sync::Arc;

use anyhow::Context;
use retry_kit::RateLimiter;
use tokio::sync::{mpsc, oneshot};

use crate::access::{KeyRing, PeerBook, Prepared};
use crate::config::{Changes, Config, ConfigErrors, Loaded, Problem, ServerConfig, Sources};
use crate::current::Current;
use crate::downloads::{Downloads, Settings};
use crate::events::{Event, Events};
use crate::http::admin::AdminApi;
use crate::http::peer::PeerApi;
use crate::http::tls::Tls;
use crate::library::{Library, ShareSpec};
use crate::moment::rfc3339;
use crate::service_manager::ReloadNotice;
use crate::telemetry::Logging;
use crate::tls::{Identity, IdentityError};

/// Where a reload is asked for. Clones ask the same daemon.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Outcome>>);

/// The other end of [`Reloads`].
#[derive(Debug)]
pub struct Asked(mpsc::Receiver<oneshot::Sender<Outcome>>);

type Outcome = Result<Reloaded, ReloadError>;

/// What a reload came to.
#[derive(Clone, Debug)]
pub struct Reloaded {
    /// What differs from before, or from what the daemon was started with.
    pub changes: Changes,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
}

/// Why the configuration of before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A part of the daemon refused it.
    #[error("{0:#}")]
    Apply(anyhow::Error),
    /// The daemon is about to end.
    #[error("the daemon is stopping")]
    Gone,
}

impl Reloads {
    /// A place to ask, and what is asked there.
    pub fn new() -> (Self, Asked) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), Asked(receiver))
    }

    /// Reads the configuration again and applies what can be applied.
    ///
    /// # Errors
    /// [`ReloadError`]; then nothing has changed.
    ///
    /// # Cancel safety
    /// Safe. A reload that was asked for happens, whether or not anyone waits for it.
    pub async fn reload(&self) -> Result<Reloaded, ReloadError> {
        let (answer, outcome) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| ReloadError::Gone)?;
        outcome.await.unwrap_or(Err(ReloadError::Gone))
    }
}

/// Every part that a configuration reaches, and where the configuration comes from.
pub struct Reloader {
    /// Where it is read from, as at the start.
    pub sources: Sources,
    /// What the daemon was started with.
    pub started: Loaded,
    /// What was read last.
    pub loaded: Arc<Current<Loaded>>,
    /// Its log.
    pub logging: Logging,
    /// What it downloads.
    pub downloads: Downloads,
    /// What it shares.
    pub library: Arc<Library>,
    /// Who may fetch from it.
    pub keys: Arc<KeyRing>,
    /// Whom it fetches from.
    pub peers: Arc<PeerBook>,
    /// How fast it serves.
    pub upload: RateLimiter,
    /// Under which certificate.
    pub tls: Arc<Tls>,
    /// Its public listener.
    pub peer: Arc<PeerApi>,
    /// Its admin listener.
    pub admin: Arc<AdminApi>,
    /// Who is told.
    pub events: Arc<Events>,
    /// And the service manager.
    pub notice: ReloadNotice,
}

impl Reloader {
    /// Answers every wish for a reload, for as long as it is polled.
    pub async fn run(self, mut asked: Asked) {
        while let Some(answer) = asked.0.recv().await {
            self.notice.begins().await;
            let outcome = self.reload().await;
            self.notice.ends(outcome.is_err()).await;
            if let Err(error) = &outcome {
                tell(error);
            }
            // Whoever asked may have gone; the log says it, too.
            let _ = answer.send(outcome);
        }
    }

    async fn reload(&self) -> Outcome {
        let (sources, started) = (self.sources.clone(), self.started.clone());
        let peers = Arc::clone(&self.peers);
        // Reads files, which may lie on a slow disk; and a way to a peer takes its time to set up.
        let loading = tokio::task::spawn_blocking(move || {
            let new = Config::load(&sources)?;
            let in_force = new.beside(&started)?;
            let identity = identity(&in_force.server).map_err(|error| ReloadError::Apply(error.into()))?;
            let peers = peers.prepare(&in_force.peers).map_err(|error| ReloadError::Apply(error.into()))?;
            Ok::<_, ReloadError>((new, in_force, Read { identity, peers }))
        });
        let loading =
            loading.await.context("reading the configuration failed").map_err(ReloadError::Apply)?;
        let (new, in_force, read) = loading?;
        let old = self.loaded.get();
        let changes = Changes {
            live: old.changes(&new).live,
            // Compared with the start: what waits for the next one still waits when it is read a second time.
            at_restart: self.started.changes(&new).at_restart,
        };
        self.apply(&in_force, &old, read).map_err(ReloadError::Apply)?;
        let warnings = new.warnings.clone();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        self.loaded.replace(new);
        self.events.record(&Event::ConfigReloaded(&changes));
        Ok(Reloaded { changes, warnings })
    }

    /// Puts a configuration in force. `old` is what was read before.
    fn apply(&self, config: &Config, old: &Loaded, read: Read) -> anyhow::Result<()> {
        let settings = Settings::new(config, &self.started.paths)?;
        let terms = Tls::new(read.identity)?;
        let shares = self.library.arrange(share_specs(config))?;
        // Nothing fails from here on.
        self.peers.configure(read.peers);
        self.show(terms);
        self.downloads.reconfigure(settings);
        if config.limits.up != old.config.limits.up {
            self.upload.set_rate(NonZeroU64::new(config.limits.up.bytes()).into());
        }
        let options = self.peer.options();
        options.failed_limit.set(config.auth.failed_limit.max, config.auth.failed_limit.per);
        options.key_slots.set_limit(config.server.max_connections_per_key as usize);
        options.trusted_proxies.replace(config.server.trusted_proxies.clone());
        self.keys.keys().set_required(config.auth.require_key);
        // Before the shares: a key that is limited from now on must not see what is shared from now on.
        self.keys.configure(&config.keys);
        self.library.put(shares);
        self.admin.reconfigure(&config.auth, &config.admin);
        self.logging.set_level(config.log.level);
        Ok(())
    }

    /// Begins new connections under other terms.
    fn show(&self, terms: Tls) {
        let (before, now) = (self.tls.certificate(), terms.certificate());
        self.tls.replace(terms);
        if before != now {
            let (sha256, not_after) = match &now {
                Some(now) => (Some(&*now.sha256), Some(rfc3339(now.not_after))),
                None => (None, None),
            };
            tracing::info!(sha256, not_after, "new connections are shown another certificate");
        }
    }
}

/// What the files hold that the configuration names.
struct Read {
    identity: Option<Identity>,
    peers: Prepared,
}

/// The certificate of the public listener, as its files are now; blocks.
fn identity(server: &ServerConfig) -> Result<Option<Identity>, IdentityError> {
    server.tls_files().map(|(certificate, key)| Identity::read(certificate, key)).transpose()
}

/// The shares of the configuration.
pub(crate) fn share_specs(config: &Config) -> Vec<ShareSpec> {
    let specs = config.shares.iter().map(|(name, share)| ShareSpec {
        name: name.clone(),
        root: share.path.clone(),
        include: share.include.clone(),
        exclude: share.exclude.clone(),
        follow_symlinks: share.follow_symlinks,
    });
    specs.collect()
}

fn tell(error: &ReloadError) {
    if let ReloadError::Config(errors) = error {
        for problem in errors.problems() {
            tracing::error!("{problem}");
        }
    }
    tracing::error!(
        error = %match error {
            ReloadError::Config(errors) => match errors.problems().len() {
                1 => "1 problem".to_owned(),
                count => format!("{count} problems"),
            },
            error => error.to_string(),
        },
        "the configuration cannot be used; the old one stays in force"
    );
}

/// Wishes that may wait for their turn.
const WAITING: usize = 8;
