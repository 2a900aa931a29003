//! What the service manager is told while the daemon runs, and by whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use download_registry::DownloadState;
use retry_kit::{Clock, SharedClock};
use tokio::task::JoinSet;

use super::watchdog::Pulse;
use super::{Notifier, Standing, Word};
use crate::downloads::Downloads;
use crate::metrics::Metrics;

/// Tells how things stand and that the daemon is alive.
#[derive(Clone)]
pub struct Reporter {
    notifier: Notifier,
    watchdog: Option<Duration>,
    downloads: Downloads,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    config_refused: Arc<AtomicBool>,
    /// The registry answered and every lock was free.
    pulse: Pulse,
}

/// The tasks of a reporter. Dropping it ends them.
pub struct Reporting(#[expect(dead_code, reason = "held for what dropping it does")] JoinSet<()>);

impl Reporter {
    /// One that speaks to `notifier`, with a sign of life within `watchdog`.
    pub fn new(
        notifier: Notifier,
        watchdog: Option<Duration>,
        downloads: Downloads,
        metrics: Arc<Metrics>,
        clock: SharedClock,
    ) -> Self {
        let pulse = Pulse::new(Arc::clone(&clock));
        Self { notifier, watchdog, downloads, metrics, clock, config_refused: Arc::default(), pulse }
    }

    /// How a reload is told.
    pub fn reloads(&self) -> ReloadNotice {
        ReloadNotice { notifier: self.notifier.clone(), refused: Arc::clone(&self.config_refused) }
    }

    /// Says that the daemon serves, and goes on reporting until the result is dropped.
    pub async fn ready(&self) -> Reporting {
        let mut tasks = JoinSet::new();
        if self.notifier.is_heard() {
            self.notifier.tell(&[Word::Ready]).await;
            self.pulse.heard();
            tasks.spawn(self.clone().tell_standing());
            if let Some(interval) = self.watchdog {
                tasks.spawn(self.pulse.clone().give_signs_of_life(self.notifier.clone(), interval));
            }
        }
        let mut reporting = JoinSet::new();
        reporting.spawn(watch_over(tasks));
        Reporting(reporting)
    }

    /// Says that the daemon is about to end, and that this may take `grace` and a little more.
    pub async fn stopping(&self, grace: Duration) {
        let status = Word::Status("stopping: transfers reach a checkpoint first");
        let extend = Word::ExtendTimeout(grace.saturating_add(LAST_STEPS));
        self.notifier.tell(&[Word::Stopping, status, extend]).await;
    }

    async fn tell_standing(self) {
        let mut told = None;
        loop {
            if let Some(standing) = self.standing().await {
                self.pulse.heard();
                let line = standing.to_string();
                if told.as_ref() != Some(&line) {
                    self.notifier.tell(&[Word::Status(&line)]).await;
                    told = Some(line);
                }
            }
            self.clock.sleep(STANDING_EVERY).await;
        }
    }

    /// `None` where the registry refuses to answer; that it did not keep silent is heard all the same.
    async fn standing(&self) -> Option<Standing> {
        let counts = match self.downloads.registry().counts().await {
            Ok(counts) => counts,
            Err(error) => {
                tracing::debug!(error = %resume_fetch::describe(&error), "the queue cannot be counted");
                self.pulse.heard();
                return None;
            }
        };
        let of = |state| counts.get(&state).copied().unwrap_or_default();
        Some(Standing {
            running: self.downloads.running() as u64,
            queued: of(DownloadState::Queued),
            waiting: of(DownloadState::Waiting),
            rate: self.downloads.rate(),
            serving: u64::try_from(self.metrics.serve_active.get()).unwrap_or_default(),
            disk_is_low: self.downloads.disk_is_low(),
            config_refused: self.config_refused.load(Ordering::Relaxed),
        })
    }
}

/// Says so when one of the tasks ends, which they do only by a panic: what the service manager does about the silence
/// would otherwise come without a reason.
async fn watch_over(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        let how = ended.err().map_or_else(|| "ended by itself".to_owned(), |error| error.to_string());
        tracing::error!(how, "a task that tells the service manager how things stand is lost");
    }
}

/// Tells the service manager of a reload, from its beginning to its end.
#[derive(Clone, Debug, Default)]
pub struct ReloadNotice {
    notifier: Notifier,
    refused: Arc<AtomicBool>,
}

impl ReloadNotice {
    /// It begins.
    pub async fn begins(&self) {
        self.notifier.tell(&[Word::reloading_now()]).await;
    }

    /// It is over; `refused` when the configuration of before stays in force.
    pub async fn ends(&self, refused: bool) {
        self.refused.store(refused, Ordering::Relaxed);
        self.notifier.tell(&[Word::Ready]).await;
    }
}

/// Time between two looks at how things stand; nothing is said where nothing changed.
const STANDING_EVERY: Duration = Duration::from_secs(5);
/// What comes behind the grace period of transfers: hooks, hand-offs and the registry.
const LAST_STEPS: Duration = Duration::from_secs(15);
