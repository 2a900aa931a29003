//! One run: a download between a peer, a disk and people who want something of it, event by event.

use std::sync::{Arc, Mutex};

use futures_util::FutureExt;
use resume_fetch::{Completed, Content, Download, FetchError, FetchErrorKind, Fetcher, LocalError, Wanted};
use retry_kit::{RateLimiter, SharedClock};
use tempfile::TempDir;

use crate::books::Books;
use crate::clerk::Clerk;
use crate::peer::Peer;
use crate::setup::{Setup, any_rate};
use crate::source::Version;
use crate::visitors::{Asker, Visitor};
use crate::world::{WatchedClock, World, lock};

pub(crate) struct Run {
    pub(crate) rng: fastrand::Rng,
    pub(crate) world: Arc<World>,
    pub(crate) setup: Setup,
    pub(crate) peer: Peer,
    pub(crate) books: Arc<Books>,
    pub(crate) limiter: RateLimiter,
    fetcher: Fetcher,
    _dir: TempDir,
    pub(crate) download: Option<Download>,
    pub(crate) content: Option<Content>,
    pub(crate) visitors: Vec<Visitor>,
    pub(crate) askers: Vec<Asker>,
    /// The file has its final name.
    pub(crate) published: bool,
    /// Asked to stop.
    pub(crate) stopping: bool,
    /// A download has ended well and left its part, with a lock on it for those who still look at it.
    looked_at: bool,
    /// Whether the peer and the ledger have been good all the time since the download was started.
    pub(crate) fair: bool,
}

impl Run {
    pub(crate) fn new(world: &Arc<World>, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let setup = Setup::any(&mut rng);
        world.note(|| format!("seed {seed}: {setup:?}"));
        let dir = temp_dir();
        let (target, part) = (dir.path().join("file"), dir.path().join("file.part"));
        let versions = Arc::new(Mutex::new(vec![Version { number: 0, size: setup.size }]));
        let books = Books::new(world, target, part, Arc::clone(&versions), rng.fork());
        let peer = Peer::new(world, &books, versions, rng.fork());
        lock(&peer.state).limit = setup.connections.limit();
        let clock: SharedClock = Arc::new(WatchedClock(Arc::clone(world)));
        let limiter = RateLimiter::new(Arc::clone(&clock), any_rate(&mut rng));
        let fetcher = Fetcher::new(peer.clone(), clock, rng.fork());
        Self {
            rng,
            world: Arc::clone(world),
            setup,
            peer,
            books,
            limiter,
            fetcher,
            _dir: dir,
            download: None,
            content: None,
            visitors: Vec::new(),
            askers: Vec::new(),
            published: false,
            stopping: false,
            looked_at: false,
            fair: false,
        }
    }

    /// Starts the download, or continues it.
    pub(crate) fn start(&mut self) {
        self.world.note(|| "start".to_owned());
        self.books.new_process();
        self.stopping = false;
        lock(&self.peer.state).plain = true;
        let request = self.setup.request(&self.books.target, &self.limiter);
        let download = self.fetcher.start(request, Clerk(Arc::clone(&self.books)));
        self.content = Some(download.content());
        self.download = Some(download);
    }

    /// Nobody looks at what an earlier download holds.
    pub(crate) fn everybody_leaves(&mut self) {
        self.visitors.clear();
        self.askers.clear();
        self.content = None;
        self.looked_at = false;
    }

    /// Drops the handle in the middle of whatever is going on.
    pub(crate) fn kill(&mut self) {
        self.world.note(|| "kill".to_owned());
        self.download = None;
    }

    /// Lets everything come to rest, takes what came of it, and holds it against the promises.
    pub(crate) async fn rest(&mut self) {
        let versions = lock(&lock(&self.peer.state).versions).clone();
        loop {
            self.world.settle().await;
            if let Some(result) = self.download.as_mut().and_then(FutureExt::now_or_never) {
                self.download = None;
                self.ended(result);
            }
            let people = self.visitors.len() + self.askers.len();
            self.visitors.retain_mut(|visitor| visitor.look(&versions));
            self.askers.retain_mut(Asker::look);
            if people == self.visitors.len() + self.askers.len() {
                break;
            }
            // What they wanted goes with them.
        }
        if self.download.is_none() {
            // Whatever ended it: nobody waits for what will not come.
            let waiting =
                self.visitors.iter().any(Visitor::is_busy) || self.askers.iter().any(Asker::is_busy);
            self.world.expect(!waiting, || "the download is over, and somebody still waits".to_owned());
            self.world
                .expect(self.peer.open() == 0, || "the download is over, and a request is open".to_owned());
        }
        self.check();
    }

    fn ended(&mut self, result: Result<Completed, FetchError>) {
        match result {
            Ok(completed) => self.succeeded(&completed),
            Err(error) => self.failed(&error),
        }
    }

    fn succeeded(&mut self, completed: &Completed) {
        self.world.note(|| format!("done: {completed:?}"));
        let record = self.books.record();
        match &self.setup.wanted {
            Wanted::Whole => {
                self.published = true;
                let sealed = self.books.sealed().filter(|version| completed.total == version.size);
                let whole = sealed.is_some_and(|version| self.books.is_whole(version));
                self.world.expect(completed.published && whole, || format!("not the file: {completed:?}"));
                let tidy = record.is_none() && !self.books.part.exists();
                self.world.expect(tidy, || format!("left behind: {record:?} and maybe a part"));
            }
            Wanted::Ranges(ranges) => {
                let durable = record.map(|record| record.durable).unwrap_or_default();
                let clip = |end: u64| end.min(completed.total);
                let there = ranges.iter().all(|range| durable.covers(&(clip(range.start)..clip(range.end))));
                self.world.expect(there, || format!("{ranges:?} is done with {durable:?} on record"));
                self.world.expect(!completed.published, || "a part has the final name".to_owned());
                self.looked_at = true;
                self.check_record();
            }
            Wanted::OnDemand => {
                self.world.blame(|| "nothing ends a download on demand but a stop".to_owned());
            }
        }
    }

    fn failed(&mut self, error: &FetchError) {
        self.world.note(|| format!("failed: {}", resume_fetch::describe(error)));
        let durable = self.books.record().map(|record| record.durable).unwrap_or_default();
        let failed = self.books.failed();
        let kept = failed || error.bytes_kept == durable.len() || error.bytes_kept == 0;
        self.world.expect(kept, || format!("{} bytes kept of {durable:?}", error.bytes_kept));
        let possible = match &error.kind {
            FetchErrorKind::Stopped => {
                let held = self.content.as_ref().map(Content::held).unwrap_or_default();
                let all = failed || held.difference(&durable).is_empty();
                self.world.expect(all, || format!("stopped, and {held:?} is not on record: {durable:?}"));
                self.stopping
            }
            FetchErrorKind::Ledger(_) => failed,
            FetchErrorKind::Local(LocalError::Busy(_)) => self.looked_at,
            FetchErrorKind::Permanent(_)
            | FetchErrorKind::Exhausted { .. }
            | FetchErrorKind::Deferred { .. }
            | FetchErrorKind::RestartLoop { .. } => !self.fair,
            // The record failed after the rename: the file is there, and nobody knows that it is ours.
            FetchErrorKind::AlreadyExists(_) => {
                let sealed = self.books.sealed();
                self.published = sealed.is_some_and(|version| self.books.is_whole(version));
                self.published
            }
            _ => false,
        };
        self.world.expect(possible, || format!("nothing was there to fail for: {error:?}"));
        self.check_record();
    }
}

/// In memory where there is such a place: every run makes and syncs a few files.
fn temp_dir() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory")
}
