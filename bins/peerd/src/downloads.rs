//! **The download service**: from a row in the queue to a file under its final name.
//!
//! The path of a download: [`intake`] checks a request and enqueues a row → the [`scheduler`] waits for a permit and
//! claims the next row → a [`worker`] asks the peer, drives the engine over the row's [`ledger`], and writes down how
//! it ended → the engine has published the file, the row says so. [`recovery`] does the same for whatever a crash
//! left, before anything else runs. The [`lookout`] knows who is away, and [`upkeep`] forgets what is long over.
//!
//! Nothing here knows HTTP routes, the command line or where the configuration came from.

mod content;
mod disk;
mod history;
mod intake;
mod ledger;
mod lookout;
mod orders;
mod peers;
mod ranges;
mod readers;
mod recovery;
mod scheduler;
mod settings;
#[cfg(test)]
mod tests;
mod upkeep;
mod view;
mod worker;

use std::collections::HashMap;
use std::num::{NonZeroU64, NonZeroUsize};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use download_registry::{DownloadId, Fence, Priority, Registry, Timestamp};
use resume_fetch::{Content, Fetcher, Phase, Progress};
use retry_kit::{Permits, RateLimiter, SharedClock};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::disk::Disk;
use self::readers::Readers;
use crate::current::Current;
use crate::events::{Endings, Event, Events, Step, Subject};
use crate::volume;

pub use content::{ContentError, RowContent, RowSource};
pub use history::HistoryView;
pub(crate) use intake::url_on_record;
pub use intake::{AddError, AddRequest, Hint, Source};
pub use orders::OrderError;
pub(crate) use orders::owns_target;
pub(crate) use peers::MAX_SKEW;
pub use peers::{
    AskError, Check, Draft, Item, ItemError, Offer, OfferQuery, OfferedItem, Outcome, Peer, Peers, Probe,
    UnusablePeer,
};
pub use ranges::RangesView;
pub(crate) use recovery::expects_parts_in;
pub use settings::Settings;
pub use view::DownloadView;

/// A handle to the service. Clones are the same service.
#[derive(Clone)]
pub struct Downloads {
    shared: Arc<Shared>,
}

/// What every part of the service works with.
struct Shared {
    registry: Registry,
    settings: Current<Settings>,
    peers: Peers,
    fetcher: Fetcher,
    clock: SharedClock,
    events: Arc<Events>,
    permits: Permits,
    limit_down: RateLimiter,
    disk: Disk,
    /// Something changed that may let a row run.
    wake: Notify,
    running: Mutex<HashMap<DownloadId, Running>>,
    /// Who stands still before which row.
    readers: Readers,
    /// Runs of the engine so far.
    engines: AtomicU64,
    /// Something happened to a row: whoever reads it looks again.
    turns: watch::Sender<()>,
    rng: Mutex<fastrand::Rng>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    /// Cancelled when a task of the service ended before its time.
    broken: CancellationToken,
}

/// A row that a worker of this process is busy with.
#[derive(Clone)]
struct Running {
    /// The claim it runs under; no other has it.
    fence: Fence,
    /// Bytes on record when it was claimed.
    begun_with: u64,
    peer: Option<String>,
    /// As it was when the row was claimed.
    priority: Priority,
    stop: CancellationToken,
    /// What to make of the row once its engine has stopped.
    intent: Arc<Mutex<Intent>>,
    progress: watch::Receiver<Option<Progress>>,
    /// The bytes, once its engine has been started.
    content: watch::Receiver<Option<Engine>>,
    /// The row's own rate limit, which an operator may change while it runs.
    limit_down: RateLimiter,
    /// Closed when the worker is done with the row.
    done: CancellationToken,
}

/// The bytes of a row as one run of the engine has them. A worker may run it more than once.
#[derive(Clone)]
struct Engine {
    /// No other has it.
    number: u64,
    content: Content,
}

/// Why a worker was asked to stop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Intent {
    /// The daemon goes away; the row goes back in line.
    #[default]
    Release,
    /// The operator paused it.
    Pause,
    /// The operator gave it up, and its bytes.
    Cancel,
    /// The disk is nearly full; it waits until there is room again.
    MakeRoom,
    /// Somebody reads another row, which takes its place; the row goes back in line.
    Yield,
}

impl Downloads {
    /// Puts the service together. Nothing moves before [`Downloads::start`].
    pub fn new(
        registry: Registry,
        settings: Settings,
        peers: Peers,
        fetcher: Fetcher,
        clock: SharedClock,
        events: Arc<Events>,
        rng: fastrand::Rng,
    ) -> Self {
        Self::on(Disk::new(volume::free_bytes), registry, settings, peers, fetcher, clock, events, rng)
    }

    #[expect(clippy::too_many_arguments, reason = "every piece the service is made of")]
    fn on(
        disk: Disk,
        registry: Registry,
        settings: Settings,
        peers: Peers,
        fetcher: Fetcher,
        clock: SharedClock,
        events: Arc<Events>,
        rng: fastrand::Rng,
    ) -> Self {
        let permits = NonZeroUsize::new(settings.max_concurrent).unwrap_or(NonZeroUsize::MIN);
        let shared = Shared {
            limit_down: RateLimiter::new(Arc::clone(&clock), settings.limit_down.into()),
            permits: Permits::new(permits),
            registry,
            settings: Current::new(settings),
            peers,
            fetcher,
            clock,
            events,
            disk,
            wake: Notify::new(),
            running: Mutex::default(),
            readers: Readers::default(),
            engines: AtomicU64::default(),
            turns: watch::Sender::new(()),
            rng: Mutex::new(rng),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
            broken: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Repairs what a crash left, then starts driving the queue.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn start(&self) -> anyhow::Result<()> {
        recovery::recover(&self.shared).await?;
        self.shared.spawn_vital(upkeep::run(Arc::clone(&self.shared)));
        if self.shared.settings().enabled {
            self.shared.spawn_vital(scheduler::run(Arc::clone(&self.shared)));
            self.shared.spawn_vital(recovery::watch_leases(Arc::clone(&self.shared)));
        }
        Ok(())
    }

    /// Resolves when a task ended without which the queue stands still: a panic, that is.
    pub async fn broken(&self) {
        self.shared.broken.cancelled().await;
    }

    /// Stops intake, lets every transfer reach a checkpoint, and returns when all rows are written down, or after
    /// `grace`.
    pub async fn stop(&self, grace: Duration) {
        self.shared.shutdown.cancel();
        for running in self.shared.running().values() {
            running.stop.cancel();
        }
        self.shared.tasks.close();
        let late = self.shared.clock.sleep(grace);
        tokio::select! {
            () = self.shared.tasks.wait() => {}
            () = late => tracing::warn!("transfers did not stop in time; what was not checkpointed is fetched again"),
        }
    }

    /// The registry behind the service.
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The downloads that come to an end from now on.
    pub fn endings(&self) -> Endings {
        self.shared.events.endings()
    }

    /// The settings in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.shared.settings()
    }

    /// Puts other settings in force: rates and the number of permits at once, also for what runs; what a transfer was
    /// begun with holds until its next attempt. A rate that is not changed here stays as it was set meanwhile.
    ///
    /// Whether anything is downloaded, and where to, is decided at the start: those of `settings` must be the same.
    pub fn reconfigure(&self, settings: Settings) {
        let shared = &self.shared;
        let (permits, rate) = (NonZeroUsize::new(settings.max_concurrent), settings.limit_down);
        let before = shared.settings.replace(settings);
        shared.permits.resize(permits.unwrap_or(NonZeroUsize::MIN));
        if before.limit_down != rate {
            shared.limit_down.set_rate(rate.into());
        }
        shared.wake.notify_one();
    }

    /// The peers rows are fetched from; a change holds for whatever begins after it.
    pub fn peers(&self) -> &Peers {
        &self.shared.peers
    }

    /// The limit on all downloads together.
    pub fn limit_down(&self) -> &RateLimiter {
        &self.shared.limit_down
    }

    /// Whether the queue waits because too little room is left where downloads grow.
    pub fn disk_is_low(&self) -> bool {
        self.shared.disk.is_low()
    }

    /// Bytes that may still be written below `dir`; `None` when the filesystem does not say.
    pub async fn free_bytes(&self, dir: &Path) -> Option<u64> {
        self.shared.disk.free(dir).await
    }

    /// Permits in use: above their number only after it was made smaller.
    pub fn permits_in_use(&self) -> usize {
        self.shared.permits.in_use()
    }

    /// Bytes per second coming in now, all downloads together.
    pub fn rate(&self) -> f64 {
        let running = self.shared.running();
        let progress = running.values().filter_map(|running| *running.progress.borrow());
        progress.filter(|now| now.phase == Phase::Downloading).map(|now| now.rate).sum()
    }

    /// Number of downloads running now.
    pub fn running(&self) -> usize {
        self.shared.running().len()
    }
}

impl Engine {
    fn new(shared: &Shared, content: Content) -> Self {
        Self { number: shared.engines.fetch_add(1, Ordering::Relaxed), content }
    }
}

impl Running {
    /// Whether all bytes are here and the file is about to get its name.
    fn is_finalizing(&self) -> bool {
        self.progress.borrow().is_some_and(|progress| progress.phase == Phase::Finalizing)
    }
}

impl Shared {
    fn settings(&self) -> Arc<Settings> {
        self.settings.get()
    }

    fn now(&self) -> Timestamp {
        self.clock.wall().into()
    }

    /// Tells whoever listens what happened to a download.
    fn tell<'a>(&self, of: impl Into<Subject<'a>>, step: Step<'_>) {
        if !matches!(step, Step::Received(_) | Step::Progress(_)) {
            self.turns.send_replace(());
        }
        self.events.record(&Event::Download(of.into(), step));
    }

    fn running(&self) -> MutexGuard<'_, HashMap<DownloadId, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a task that ends with the service and never before it.
    fn spawn_vital(self: &Arc<Self>, task: impl Future<Output = ()> + Send + 'static) {
        let shared = Arc::clone(self);
        self.tasks.spawn(async move {
            // Dropped by a panic as well.
            let _end = OnEnd(shared);
            task.await;
        });
    }

    /// A limiter of `rate` bytes per second; none without.
    fn limiter(&self, rate: Option<u64>) -> RateLimiter {
        RateLimiter::new(Arc::clone(&self.clock), rate.and_then(NonZeroU64::new).into())
    }
}

/// Notices the end of a task the service cannot do without.
struct OnEnd(Arc<Shared>);

impl Drop for OnEnd {
    fn drop(&mut self) {
        if !self.0.shutdown.is_cancelled() {
            self.0.broken.cancel();
        }
    }
}

/// The name leases are taken under. Stable over restarts, so that a new process knows its predecessor's rows; the
/// lock on the state directory sees to it that there is one process at a time.
const OWNER: &str = "peerd";
/// How long a claim lasts without a sign of life.
const LEASE: Duration = Duration::from_secs(60);
/// How often a worker gives one.
const RENEW: Duration = Duration::from_secs(15);
