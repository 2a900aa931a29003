//! **The hand-off**: a finished file is announced to Radarr or Sonarr, followed until they have it, and let go of.
//!
//! The path of a file: the row is `completed` (renamed, the directory synced) → [`intake`] reads that in the log of
//! the registry and decides with [`route`] who takes it → the row is `import_queued`, with a [`note`] of how far it is
//! → a [`worker`] (one for each importer) gives the command through [`arr`], follows it, and lets the history
//! [`confirm`] it → [`unlink`] removes our copy if that is wanted → the row is `imported`.
//!
//! The note is written before each step, so a process that dies leaves behind what it was about to do. Where the next
//! one cannot know whether the command arrived, it looks at the history and the commands of the importer first.

mod arr;
mod confirm;
mod date;
mod importer;
mod intake;
mod note;
mod path_map;
mod patience;
mod probe;
mod route;
mod unlink;
mod worker;

use std::collections::{BTreeMap, HashMap};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use download_registry::{Download, DownloadId, DownloadState, OperatorError, Registry, Timestamp};
use futures_util::FutureExt;
use retry_kit::{Clock, SharedClock};
use thiserror::Error;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::arr::Arr;
use self::importer::{Importer, Job};
use self::note::Note;
use self::patience::Patience;
use self::route::{Route, Rules};
use crate::config::{Config, ImportConfig, ResolvedPaths};
use crate::events::{Event, Events, Heard, ImportStep, Listener, Step};
use crate::metrics::{Metrics, TargetResult};
use crate::outbound;
use crate::to_the_end::to_the_end;

pub(crate) use note::shown;
pub use probe::{Probe, probe_config as probe};

/// A handle to the hand-off. Clones are the same one.
#[derive(Clone)]
pub struct Imports {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    events: Arc<Events>,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    rng: Mutex<fastrand::Rng>,
    importers: BTreeMap<String, Importer>,
    rules: Rules,
    patience: Patience,
    dir: PathBuf,
    unlink: bool,
    /// Something was published.
    published: Notify,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// An importer as it is shown.
#[derive(Clone, Debug)]
pub struct ImporterView<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its settings.
    pub config: &'a ImportConfig,
    /// Downloads it has not taken yet.
    pub waiting: usize,
}

/// Why an import was not started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// There is no importer of that name.
    #[error("no importer is called {0}; [import] is read at the start: after a change, restart the daemon")]
    Unknown(String),
    /// Nobody takes this download, and nobody was named.
    #[error("no importer takes this download by itself; name one")]
    NoTaker,
    /// Another importer has it right now.
    #[error("{0} has it")]
    Busy(String),
    /// The registry refused.
    #[error(transparent)]
    Registry(#[from] OperatorError),
}

impl Imports {
    /// Puts the hand-off together. Nothing moves before [`Imports::start`].
    ///
    /// # Errors
    /// When an importer's settings cannot be used; the configuration's own check finds that first.
    pub fn new(
        config: &Config,
        paths: &ResolvedPaths,
        registry: Registry,
        events: Arc<Events>,
        metrics: Arc<Metrics>,
        clock: SharedClock,
        rng: fastrand::Rng,
    ) -> anyhow::Result<Self> {
        let downloads = &config.downloads;
        let http = outbound::client(downloads.connect_timeout)?;
        let importer = |(name, config): (&String, &ImportConfig)| {
            let arr = Arr::new(http.clone(), config);
            let arr =
                arr.with_context(|| format!("import.{name}.key holds characters no header can carry"))?;
            Ok((name.clone(), Importer::new(config.clone(), arr)))
        };
        let rule = |(name, config): (&String, &ImportConfig)| {
            let rule = route::Rule::new(&config.when).with_context(|| format!("import.{name}.when"))?;
            Ok((name.clone(), rule))
        };
        let shared = Shared {
            registry,
            events,
            metrics,
            clock,
            rng: Mutex::new(rng),
            importers: config.import.iter().map(importer).collect::<anyhow::Result<_>>()?,
            rules: config.import.iter().map(rule).collect::<anyhow::Result<_>>()?,
            patience: Patience {
                base: downloads.retry_base,
                away: downloads.retry_max,
                fault: downloads.retry_failed_every.max(downloads.retry_max),
                give_up_after: downloads.give_up_after,
            },
            dir: paths.downloads.clone(),
            unlink: downloads.unlink_after_import,
            published: Notify::new(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Takes up what an earlier process left, and whatever is published from now on.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn start(&self) -> anyhow::Result<()> {
        let shared = &self.shared;
        let from = intake::open(shared).await.context("cannot read the registry")?;
        // Also without any importer: rows may wait for one that there was.
        intake::take_up(shared).await.context("cannot look for files to be imported")?;
        let Some(from) = from else { return Ok(()) };
        shared.events.listen(Arc::clone(shared) as Arc<dyn Listener>);
        self.spawn("log", intake::follow(Arc::clone(shared), from));
        for name in shared.importers.keys() {
            self.spawn(name, worker::run(Arc::clone(shared), name.clone()));
        }
        Ok(())
    }

    /// Ends at once: what was under way goes on with the next process, as after a crash.
    pub async fn stop(&self) {
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Whether there is an importer of this name.
    pub fn knows(&self, name: &str) -> bool {
        self.shared.importers.contains_key(name)
    }

    /// Every importer, by name.
    pub fn importers(&self) -> Vec<ImporterView<'_>> {
        let view = |(name, importer): (&'_ String, &'_ Importer)| (name.clone(), importer.jobs().len());
        let waiting: HashMap<_, _> = self.shared.importers.iter().map(view).collect();
        let importers = self.shared.importers.iter();
        importers
            .map(|(name, importer)| ImporterView {
                name,
                config: &importer.config,
                waiting: waiting.get(name).copied().unwrap_or_default(),
            })
            .collect()
    }

    /// Asks an importer who it is, and whether it sees our files; `None` if there is none of that name.
    pub async fn probe(&self, name: &str) -> Option<Probe> {
        let importer = self.shared.importers.get(name)?;
        Some(probe::probe(importer, &self.shared.dir).await)
    }

    /// Hands a published file over once more: to the importer named, else to the one it went to, else to the one that
    /// takes it. One that is under way is taken up at once, from its beginning.
    ///
    /// # Errors
    /// [`ImportError`] says why nothing was started.
    pub async fn retry(&self, id: DownloadId, target: Option<&str>) -> Result<Download, ImportError> {
        let shared = &self.shared;
        if let Some(unknown) = target.filter(|target| !self.knows(target)) {
            return Err(ImportError::Unknown(unknown.to_owned()));
        }
        let row = shared.registry.get(id).await.map_err(OperatorError::from)?;
        let row = row.ok_or(OperatorError::NotFound(id))?;
        let note = Note::of(&row);
        if row.state == DownloadState::ImportQueued
            && let Some(importer) = note.as_ref().and_then(|note| shared.importers.get(&note.target))
        {
            let busy =
                note.map(|note| note.target).filter(|busy| target.is_some_and(|target| target != busy));
            return match busy {
                Some(busy) => Err(ImportError::Busy(busy)),
                None => {
                    importer.put(id, Job { due: shared.now(), again: true });
                    Ok(row)
                }
            };
        }
        let known = note.map(|note| note.target).filter(|known| self.knows(known));
        let target = match (target, &known) {
            (Some(target), _) => target,
            (None, Some(known)) => known,
            (None, None) => match shared.route(&row) {
                Route::To { target, .. } => target,
                Route::Nobody => return Err(ImportError::NoTaker),
                Route::Unknown(unknown) => return Err(ImportError::Unknown(unknown.to_owned())),
            },
        };
        let target = target.to_owned();
        Ok(shared.begin(&row, &target).await?)
    }

    /// Runs a task of the hand-off until it stops. One that panics is told of: nothing is handed over there any more.
    fn spawn(&self, task: &str, work: impl Future<Output = ()> + Send + 'static) {
        let (shutdown, task) = (self.shared.shutdown.clone(), task.to_owned());
        // Dropped in the middle of a step it leaves what a crash would leave, and that is taken up again.
        let guarded =
            AssertUnwindSafe(async move { shutdown.run_until_cancelled(work).await }).catch_unwind();
        self.shared.tasks.spawn(async move {
            if guarded.await.is_err() {
                tracing::error!(
                    task,
                    "a task of the hand-off has panicked; restart the daemon to go on with it"
                );
            }
        });
    }
}

impl Shared {
    fn now(&self) -> Timestamp {
        self.clock.wall().into()
    }

    fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who takes a row.
    fn route<'r>(&'r self, row: &'r Download) -> Route<'r> {
        let rules = self.rules.iter().map(|(name, rule)| (name.as_str(), rule));
        route::route(
            row.import.as_deref(),
            row.peer.as_deref(),
            row.filename.as_deref().unwrap_or_default(),
            rules,
        )
    }

    /// Puts a published row in line with an importer.
    async fn begin(self: &Arc<Self>, row: &Download, target: &str) -> Result<Download, OperatorError> {
        let (id, now) = (row.id, self.now());
        let Some(importer) = self.importers.get(target) else { return Ok(row.clone()) };
        let path =
            row.target.as_deref().map(|ours| path_map::theirs(Path::new(ours), &importer.config.path_map));
        let mut note = Note::new(target, path, now);
        note.mark = match (Note::of(row).and_then(|before| before.mark), row.target.as_deref()) {
            (None, Some(ours)) => unlink::Mark::of(ours).await,
            (known, _) => known,
        };
        let shared = Arc::clone(self);
        self.to_the_end(async move {
            let row = shared.registry.import_queued(id, &note.text(), now).await?;
            shared.tell(&row, &ImportStep::Queued { target: &note.target, path: note.path.as_deref() });
            if let Some(importer) = shared.importers.get(&note.target) {
                importer.put(row.id, Job { due: now, again: false });
            }
            Ok(row)
        })
        .await
    }

    /// Gives an import up that is in line, with a reason.
    async fn give_up(
        self: &Arc<Self>,
        row: &Download,
        mut note: Note,
        reason: &str,
    ) -> Result<(), OperatorError> {
        note.step(note::Stage::Failed);
        note.reason = Some(reason.to_owned());
        let (shared, id, reason) = (Arc::clone(self), row.id, reason.to_owned());
        self.to_the_end(async move {
            let row = shared.registry.import_failed(id, &note.text(), shared.now()).await?;
            shared.tell(&row, &ImportStep::Failed { target: &note.target, reason: &reason });
            shared.count(&note.target, "failed");
            Ok(())
        })
        .await
    }

    /// Writes that the importer has the file, and tells it.
    async fn done(self: &Arc<Self>, row: &Download, note: Note) -> Result<(), OperatorError> {
        let (shared, id) = (Arc::clone(self), row.id);
        self.to_the_end(async move {
            let row = shared.registry.imported(id, &note.text(), shared.now()).await?;
            let Note { target, path, confirmed, unlinked, .. } = &note;
            let path = path.as_deref();
            let done = ImportStep::Done { target, path, confirmed: *confirmed, unlinked: *unlinked };
            shared.tell(&row, &done);
            shared.count(target, "done");
            Ok(())
        })
        .await
    }

    /// What is on record is also told: a stop in between would let nobody hear of it.
    async fn to_the_end<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        to_the_end(&self.tasks, work).await
    }

    fn tell(&self, row: &Download, step: &ImportStep<'_>) {
        self.events.record(&Event::Import(row.into(), *step));
    }

    fn count(&self, target: &str, result: &str) {
        let label = TargetResult { target: target.to_owned(), result: result.to_owned() };
        self.metrics.imports.get_or_create(&label).inc();
    }
}

/// A published file is news for the one who hands it over.
impl Listener for Shared {
    fn hear(&self, heard: &Heard<'_>) {
        if matches!(heard.event, Event::Download(_, Step::Completed { .. })) {
            self.published.notify_one();
        }
    }
}
