//! **Hooks**: a program is run, or an address is told, when something happens.
//!
//! The path of an event: whoever caused it tells [`Events`] → a [`queue`] of the hook takes it, at once and in bounded
//! memory → the hook's own task delivers one after the other, by [`command`] or [`webhook`]. Nobody ever waits for a
//! hook: not the download, and not the daemon when it stops.
//!
//! How a download or an import ended is delivered at least once, over restarts and crashes: see [`replay`].

mod command;
mod delivery;
mod queue;
mod replay;
mod webhook;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use download_registry::Registry;
use futures_util::FutureExt;
use retry_kit::{Clock, SharedClock};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::delivery::Delivery;
use self::queue::{Pushed, Queue};
use self::webhook::{Patience, Webhook};
use crate::config::{Config, HookConfig};
use crate::events::{Events, Heard, Listener};
use crate::metrics::{HookResult, Metrics};
use crate::moment::rfc3339;
use crate::outbound;

/// All hooks of the daemon.
#[derive(Clone)]
pub struct Hooks {
    shared: Arc<Shared>,
}

struct Shared {
    registry: Registry,
    metrics: Arc<Metrics>,
    clock: SharedClock,
    rng: Mutex<fastrand::Rng>,
    hooks: BTreeMap<String, Hook>,
    patience: Patience,
    /// Programs at work at once, over all hooks.
    programs: Semaphore,
    /// Addresses that are told at once, over all hooks: a program that takes its time holds up none of them.
    calls: Semaphore,
    /// Something was taken in or delivered.
    moved: Notify,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

struct Hook {
    config: HookConfig,
    means: Means,
    queue: Mutex<Queue>,
    wake: Notify,
    /// There is room in the queue again.
    room: Notify,
    dropped: AtomicU64,
    /// How far the record says it has come.
    kept: AtomicI64,
}

/// How a hook is told.
enum Means {
    Command(Vec<String>),
    Url(Box<Webhook>),
}

/// How a delivery went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Delivered,
    /// It will not be tried again.
    Failed,
}

impl Hooks {
    /// Puts the hooks together. Nothing is delivered before [`Hooks::start`].
    ///
    /// # Errors
    /// When a hook's settings cannot be used; the configuration's own check finds that first.
    pub fn new(
        config: &Config,
        registry: Registry,
        metrics: Arc<Metrics>,
        clock: SharedClock,
        rng: fastrand::Rng,
    ) -> anyhow::Result<Self> {
        let downloads = &config.downloads;
        let http = outbound::client(downloads.connect_timeout)?;
        let hook = |(name, config): (&String, &HookConfig)| {
            let means = match &config.url {
                Some(url) => {
                    let webhook = Webhook::new(http.clone(), url, config.secret.as_ref(), config.timeout);
                    Means::Url(Box::new(webhook.with_context(|| format!("hooks.{name}.url"))?))
                }
                None => Means::Command(config.command.clone()),
            };
            Ok((name.clone(), Hook::new(config.clone(), means)))
        };
        let shared = Shared {
            registry,
            metrics,
            clock,
            rng: Mutex::new(rng),
            hooks: config.hooks.iter().map(hook).collect::<anyhow::Result<_>>()?,
            patience: Patience { base: downloads.retry_base, cap: downloads.retry_max },
            programs: Semaphore::new(RUNNING),
            calls: Semaphore::new(RUNNING),
            moved: Notify::new(),
            tasks: TaskTracker::new(),
            shutdown: CancellationToken::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Listens from now on, and delivers what an earlier process could not.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn start(&self, events: &Events) -> anyhow::Result<()> {
        let shared = &self.shared;
        let missed = replay::open(shared).await.context("cannot read the registry")?;
        if shared.hooks.is_empty() {
            return Ok(());
        }
        events.listen(Arc::clone(shared) as Arc<dyn Listener>);
        for name in shared.hooks.keys() {
            shared.spawn(name, deliver(Arc::clone(shared), name.clone()));
        }
        shared.spawn("retelling", replay::replay(Arc::clone(shared), missed));
        shared.spawn("record", replay::keep(Arc::clone(shared)));
        Ok(())
    }

    /// Ends at once. Programs that still run are killed; what they were told is told again after the next start, if it
    /// was how something ended.
    pub async fn stop(&self) {
        let newest = self.shared.registry.newest_transition().await;
        self.shared.shutdown.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
        replay::settle(&self.shared, newest).await;
    }
}

/// Delivers what one hook is told, one after the other.
async fn deliver(shared: Arc<Shared>, name: String) {
    let Some(hook) = shared.hooks.get(&name) else { return };
    loop {
        let next = hook.queue().begin();
        let Some(mut delivery) = next else {
            hook.wake.notified().await;
            continue;
        };
        hook.room.notify_one();
        delivery.find_path(&shared.registry).await;
        let outcome = match &hook.means {
            Means::Command(argv) => {
                let permit = shared.programs.acquire().await;
                let outcome = command::run(&name, argv, hook.config.timeout, &delivery, &shared.clock).await;
                drop(permit);
                outcome
            }
            Means::Url(webhook) => webhook::send(&shared, &name, webhook, &delivery).await,
        };
        shared.count(&name, if outcome == Outcome::Delivered { "delivered" } else { "failed" });
        hook.queue().end();
        shared.moved.notify_one();
    }
}

impl Shared {
    /// Runs a task of the hooks until they stop. One that panics is told of: its hook hears nothing any more.
    fn spawn(&self, task: &str, work: impl Future<Output = ()> + Send + 'static) {
        let (shutdown, task) = (self.shutdown.clone(), task.to_owned());
        let guarded =
            AssertUnwindSafe(async move { shutdown.run_until_cancelled(work).await }).catch_unwind();
        self.tasks.spawn(async move {
            if guarded.await.is_err() {
                tracing::error!(
                    task,
                    "a task of the hooks has panicked; restart the daemon to go on with it"
                );
            }
        });
    }

    fn rng(&self) -> MutexGuard<'_, fastrand::Rng> {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, hook: &str, result: &str) {
        let label = HookResult { hook: hook.to_owned(), result: result.to_owned() };
        self.metrics.hook_deliveries.get_or_create(&label).inc();
    }

    /// Puts a delivery in a hook's queue. When that is full another entry is lost, and that is told.
    fn push(&self, name: &str, hook: &Hook, delivery: Delivery) {
        let pushed = hook.queue().push(delivery);
        if pushed == Pushed::Over {
            self.count(name, "dropped");
            let before = hook.dropped.fetch_add(1, Ordering::Relaxed);
            // One line for many: a hook that is far behind is so for a while.
            if before.is_multiple_of(1000) {
                tracing::warn!(
                    hook = name,
                    dropped = before + 1,
                    "the hook is too slow; its oldest events are lost"
                );
            }
        }
        hook.wake.notify_one();
    }
}

impl Listener for Shared {
    fn hear(&self, heard: &Heard<'_>) {
        let Some((number, told)) = heard.told else { return };
        let wants = |hook: &Hook| hook.config.events.iter().any(|event| event.as_str() == told.name);
        let mut delivery = None;
        for (name, hook) in self.hooks.iter().filter(|(_, hook)| wants(hook)) {
            let delivery = delivery.get_or_insert_with(|| {
                Delivery::new(told.name, Some(number), rfc3339(self.clock.wall()), &told.data)
            });
            self.push(name, hook, delivery.clone());
        }
        if delivery.is_some() {
            self.moved.notify_one();
        }
    }
}

impl Hook {
    fn new(config: HookConfig, means: Means) -> Self {
        Self {
            config,
            means,
            queue: Mutex::default(),
            wake: Notify::new(),
            room: Notify::new(),
            dropped: AtomicU64::new(0),
            kept: AtomicI64::new(i64::MIN),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const RUNNING: usize = 4;
