//! **The watch folder**: stub files dropped there become downloads, and go when those are published.
//!
//! One task looks at the [`folder`] when the system tells of a change, and every so often, because network and bind
//! mounts tell nothing. What it saw stands in the [`book`]; what follows from a stub is [`decide`]d from the stub
//! and the row of what it asks for, and from nothing that a crash could lose; rows are queued through [`lanes`],
//! one for each peer. A stub is removed after its row says that the file is published, never before.

mod act;
mod book;
mod decide;
mod folder;
mod lanes;
mod leave;
mod signal;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use download_registry::Download;
use retry_kit::{Clock, SharedClock};
use tokio::sync::Notify;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use self::book::{Book, Key, Status};
use self::lanes::{Lanes, Turn};
use self::signal::Signal;
use crate::config::{OnDone, WatchConfig};
use crate::downloads::{AddError, Downloads};
use crate::stub::{Kind, Stub};

/// Watches one folder.
pub struct Watcher {
    dir: Arc<Path>,
    rescan: Duration,
    settle: Duration,
    on_done: OnDone,
    downloads: Downloads,
    clock: SharedClock,
    changed: Arc<Notify>,
    signal: Signal,
    book: Book,
    lanes: Lanes<Asked>,
    adding: JoinSet<Added>,
    /// URLs that are on their way into the queue, as their rows keep them, and who wants them as well.
    asked_for: HashMap<String, Vec<Key>>,
    /// The folder that was looked at last; `None` while it cannot be.
    seen: Option<(u64, u64)>,
    /// What was last told of why it cannot be.
    told: Option<String>,
    look_at: Instant,
    looked_at: Instant,
    rest_until: Instant,
    everything_at: Instant,
}

/// A wish in its lane, and the URL it asks for, as its row will keep it.
struct Asked {
    key: Key,
    url: Option<String>,
}

/// A request that went through.
struct Added {
    turn: Turn<Asked>,
    outcome: Result<Download, AddError>,
}

impl Watcher {
    /// A watcher of the configured folder; `None` when there is none.
    pub fn new(config: &WatchConfig, downloads: Downloads, clock: SharedClock) -> Option<Self> {
        let now = clock.now();
        Some(Self {
            dir: config.folder()?.into(),
            rescan: config.rescan,
            settle: config.settle,
            on_done: config.on_done,
            downloads,
            clock,
            changed: Arc::default(),
            signal: Signal::default(),
            book: Book::default(),
            lanes: Lanes::new(),
            adding: JoinSet::new(),
            asked_for: HashMap::new(),
            seen: None,
            told: None,
            look_at: now,
            looked_at: now,
            rest_until: now,
            everything_at: now + EVERYTHING,
        })
    }

    /// Watches until it is dropped. Start it when the queue has been recovered.
    ///
    /// # Cancel safety
    /// Safe at any point: what was not finished is decided again by the next watcher, from the stubs and the
    /// registry.
    pub async fn run(mut self) {
        if !self.downloads.settings().enabled {
            tracing::info!(dir = %self.dir.display(), "the watch folder is left alone: downloads are disabled");
            return std::future::pending().await;
        }
        let mut endings = self.downloads.endings();
        self.make_folder().await;
        loop {
            if self.look_at <= self.clock.now() {
                self.look().await;
            }
            self.read().await;
            self.decide_all(|now, status| match status {
                Status::Undecided { after, .. } => after.is_none_or(|after| after <= now),
                _ => false,
            })
            .await;
            self.finish().await;
            self.add();
            let alarm = self.clock.sleep_until(self.wake_at());
            tokio::select! {
                () = alarm => {}
                () = self.changed.notified() => self.look_soon(),
                Some(Ok(added)) = self.adding.join_next() => self.added(added).await,
                ended = endings.recv() => match ended {
                    Ok(id) => self.ended(id).await,
                    Err(RecvError::Lagged(_)) => {
                        self.everything_at = self.clock.now();
                        self.look_soon();
                    }
                    Err(RecvError::Closed) => return,
                },
            }
        }
    }

    // ---- what lies there ----

    /// As for other directories, what is missing at the start is made; later it is waited for: its disk may be away.
    async fn make_folder(&mut self) {
        let made = self.on_disk(|dir| std::fs::create_dir_all(dir)).await;
        match made {
            Ok(()) => tracing::info!(dir = %self.dir.display(), "watching for stub files"),
            Err(error) => self.unreadable(&error),
        }
    }

    async fn look(&mut self) {
        let began = self.clock.now();
        let listed = self.on_disk(folder::list).await;
        self.looked_at = self.clock.now();
        self.rest_until = self.looked_at + (self.looked_at - began) * REST;
        self.look_at = self.rest_until.max(self.looked_at + self.rescan);
        let listing = match listed {
            Ok(listing) => listing,
            Err(error) => {
                self.book.clear();
                self.seen = None;
                return self.unreadable(&error);
            }
        };
        if self.told.take().is_some() {
            tracing::info!(dir = %self.dir.display(), "the watch folder can be read again");
        }
        let watched = self.seen.replace(listing.identity) == Some(listing.identity);
        if !watched {
            self.signal.start(&self.dir, &self.changed);
            // What came between the look and the watch was seen by neither.
            self.changed.notify_one();
        }
        self.book.see(listing.files, watched, self.looked_at, self.clock.wall().into());
        let everything = self.everything_at <= self.looked_at;
        if everything {
            self.everything_at = self.looked_at + EVERYTHING;
        }
        self.decide_all(|_, status| match status {
            Status::UnknownPeer | Status::Left => true,
            Status::Followed(_) | Status::Failed(_) => everything,
            _ => false,
        })
        .await;
    }

    fn unreadable(&mut self, error: &io::Error) {
        let why = error.to_string();
        if self.told.as_ref() != Some(&why) {
            let dir = self.dir.display();
            tracing::warn!(%dir, error = why, "the watch folder cannot be read; make it or mount its disk");
            self.told = Some(why);
        }
    }

    /// Soon, but not for each of a thousand changes, and not so often that a large folder keeps the disk busy.
    fn look_soon(&mut self) {
        self.look_at = self.look_at.min(self.rest_until.max(self.clock.now() + PAUSE));
    }

    fn wake_at(&self) -> Instant {
        let times = [self.book.look_again(self.settle), self.lanes.look_again(self.clock.now())];
        times.into_iter().flatten().fold(self.look_at, Instant::min)
    }

    async fn read(&mut self) {
        for (name, stamp) in self.book.to_read(self.settle, self.clock.now()) {
            let shown = shown(&name);
            let Some(kind) = Kind::of(&name).filter(|_| stamp.regular) else {
                self.book.foreign(&name);
                tracing::info!(file = shown, "no stub: it is left alone");
                continue;
            };
            let path = self.dir.join(&name);
            let stub = match self.on_disk(move |_| folder::read(&path, &stamp)).await {
                // Changed in the meantime: the next look sees it as it is now.
                Ok(None) => {
                    self.look_soon();
                    self.book.forget(&name);
                    continue;
                }
                Ok(Some(bytes)) => Stub::read(kind, &bytes),
                Err(error) => {
                    if self.book.stuck(&name, self.clock.now() + self.rescan) {
                        let error = error.to_string();
                        tracing::warn!(file = shown, error, "a file cannot be read; it is tried again");
                    }
                    continue;
                }
            };
            match stub {
                Ok(stub) => {
                    self.book.stub(&name, &stub);
                    if let Stub::List(list) = &stub {
                        for flaw in &list.flaws {
                            let (line, why) = (flaw.line, flaw.what.to_string());
                            tracing::warn!(
                                stub = shown,
                                line,
                                why,
                                "a line of a stub says nothing; the file stays until it does"
                            );
                        }
                    }
                }
                Err(error) => {
                    let why = error.to_string();
                    self.book.foreign(&name);
                    tracing::warn!(file = shown, why, "not a stub: it is left alone");
                }
            }
        }
    }

    /// Runs what blocks where it may.
    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let dir = Arc::clone(&self.dir);
        let done = tokio::task::spawn_blocking(move || work(&dir)).await;
        done.unwrap_or_else(|_| Err(io::Error::other("the runtime is shutting down")))
    }
}

fn shown(name: &OsStr) -> String {
    name.to_string_lossy().escape_debug().to_string()
}

/// Time between a sign of change and the look: a thousand files that are dropped at once are seen at once.
const PAUSE: Duration = Duration::from_millis(100);
/// After a look, so many times its length pass before the next one.
const REST: u32 = 10;
/// Time between two looks at every stub, also those whose end we would have heard of.
const EVERYTHING: Duration = Duration::from_secs(300);
