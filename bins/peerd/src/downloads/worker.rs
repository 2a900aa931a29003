//! One claimed row, from its lease to the line in the registry that says how it went.

mod end;
mod name;
mod source;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use download_registry::{
    Claim, Download as Row, DownloadState, FailedTry, Fence, Next, Problem, WorkerError,
};
use resume_fetch::{Completed, Digest, Download, Event as Heard, FetchError, FetchRequest, Progress};
use retry_kit::{Layers, Sleep};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::end::{End, failed, unknown_peer};
use super::ledger::RowLedger;
use super::lookout::of_transfer;
use super::peers::News;
use super::{Engine, Intent, LEASE, Peer, RENEW, Running, Shared, disk};
use crate::events::{Event, Step};
use crate::failure::Failure;

/// A worker holds one lease and one permit.
pub(super) struct Worker {
    shared: Arc<Shared>,
    fence: Fence,
    row: Row,
    running: Running,
    /// Whom it comes from, as known when this try began.
    peer: Option<Arc<Peer>>,
    progress: watch::Sender<Option<Progress>>,
    content: watch::Sender<Option<Engine>>,
    /// Bytes of this generation already counted.
    counted: u64,
    /// Whether anything came in: before that, progress is no news.
    started: bool,
    /// Progress nobody was told of yet, and the last that was told.
    untold: Option<Progress>,
    told: Option<Progress>,
}

impl Worker {
    pub(super) fn new(shared: Arc<Shared>, claim: Claim) -> Self {
        let (progress, snapshot) = watch::channel(None);
        let (content, bytes) = watch::channel(None);
        let running = Running {
            fence: claim.fence,
            begun_with: claim.download.durable,
            peer: claim.download.peer.clone(),
            priority: claim.download.priority,
            stop: shared.shutdown.child_token(),
            intent: Arc::new(Mutex::default()),
            progress: snapshot,
            content: bytes,
            limit_down: shared.limiter(claim.download.limit_down),
            done: CancellationToken::new(),
        };
        shared.running().insert(claim.download.id, running.clone());
        let counted = claim.download.durable;
        let (fence, row) = (claim.fence, claim.download);
        let peer = row.peer.as_deref().and_then(|name| shared.peers.get(name));
        Self {
            shared,
            fence,
            row,
            running,
            peer,
            progress,
            content,
            counted,
            started: false,
            untold: None,
            told: None,
        }
    }

    pub(super) async fn run(mut self) {
        self.tell(Step::Claimed { durable: self.row.durable });
        let end = self.drive().await;
        if let Err(error) = self.write_down_in_the_end(end).await {
            match &error {
                // The usual case: an operator's order came first, and its word holds.
                WorkerError::Fenced { .. } => self.tell(Step::TakenOver),
                _ => {
                    let text = resume_fetch::describe(&error);
                    tracing::error!(download_id = self.row.id.get(), error = %text, "the row could not be written");
                }
            }
        }
    }

    /// Makes room for another worker; also when this one ends by a panic. One that outlived its lease may have been followed by another already.
    fn leave(&self) {
        let mut running = self.shared.running();
        if running.get(&self.row.id).is_some_and(|entry| Arc::ptr_eq(&entry.intent, &self.running.intent)) {
            running.remove(&self.row.id);
        }
        drop(running);
        self.running.done.cancel();
        self.shared.turns.send_replace(());
    }

    async fn drive(&mut self) -> End {
        if let Some(end) = self.wait_with_the_peer() {
            return end;
        }
        if let Err(end) = self.describe().await {
            return end;
        }
        if let Some(missing) = self.missing_room().await {
            return self.disk_full(missing);
        }
        self.follow_the_peer().await;
        self.fetch().await.unwrap_or_else(|end| end)
    }

    /// Runs the engine; again, when the file is whole and its name was taken meanwhile.
    async fn fetch(&mut self) -> Result<End, End> {
        for _ in 0..MAX_NAMES {
            let download = self.start()?;
            self.content.send_replace(Some(Engine::new(&self.shared, download.content())));
            self.shared.turns.send_replace(());
            match self.watch(download).await {
                Ok(completed) => return Ok(End::Published(completed)),
                Err(error) if self.may_take_another_name(&error) => self.take_another_name().await?,
                Err(error) => {
                    if let Some(news) = of_transfer(&error.kind) {
                        self.heard_of_peer(news, &resume_fetch::describe(&error)).await;
                    }
                    return Err(self.end_of(error));
                }
            }
        }
        Err(failed(Failure::DestinationExists, "every name it was given was taken before it was whole", true))
    }

    /// Whether to wait with a peer that is away instead of meeting the same failure: once between two tries, for the time
    /// a failure would cost.
    fn wait_with_the_peer(&self) -> Option<End> {
        let unreachable = |problem: &Problem| problem.kind == Failure::Unreachable.as_str();
        let whole = self.row.identity.total.is_some_and(|total| total.bytes == self.row.durable);
        if whole || self.row.error.as_ref().is_some_and(unreachable) {
            return None;
        }
        let problem = self.shared.absent(self.row.peer.as_deref()?)?;
        let next = self.row.attempts_after_failure(self.reset_bytes());
        let delay = self.shared.settings().retry.backoff.delay(next, &mut self.shared.rng());
        Some(End::Later { delay, problem, source: None })
    }

    /// Says what room is missing, without asking the peer for bytes that cannot be kept.
    async fn missing_room(&self) -> Option<String> {
        // Room that an earlier run has reserved for the part is not free any more, and not missing either.
        let reserved = match &self.row.part {
            Some(part) => disk::allocated(PathBuf::from(part)).await,
            None => 0,
        };
        let missing = self.row.identity.total?.bytes.saturating_sub(self.row.durable.max(reserved));
        let needed = missing.saturating_add(self.shared.settings().min_free);
        let free = self.shared.disk.free(&self.shared.settings().incomplete_dir).await?;
        // A whole part needs no more room than its name.
        (missing > 0 && free < needed)
            .then(|| format!("the disk is too full: {needed} bytes needed, {free} free"))
    }

    /// A row queued while its peer was away gets its name now.
    async fn describe(&mut self) -> Result<(), End> {
        if self.row.target.is_some() {
            return Ok(());
        }
        let (Some(name), Some(item)) = (self.row.peer.clone(), self.row.item.clone()) else {
            return Err(failed(Failure::Rejected, "the row has neither a destination nor an item", false));
        };
        let Some(peer) = self.peer.clone() else { return Err(unknown_peer(&name)) };
        let stop = self.running.stop.clone();
        let described = stop.run_until_cancelled(self.shared.describe(&peer, &item, &self.row.url)).await;
        let mut described = match described {
            None => return Err(End::Stopped),
            Some(Err(error)) => return Err(self.undescribed(&error)),
            Some(Ok(described)) => described,
        };
        loop {
            let placed = self.shared.place_described(&mut described).await;
            let placed = placed.map_err(|error| self.undescribed(&error))?;
            match self.shared.registry.describe(&self.fence, &placed, self.shared.now()).await {
                Ok(row) => {
                    self.row = row;
                    return Ok(());
                }
                Err(WorkerError::Fenced { .. }) => return Err(End::Fenced),
                Err(WorkerError::Conflict(conflict)) if self.shared.may_rename(&conflict) => {}
                Err(WorkerError::Conflict(conflict)) => {
                    let message = format!("download {} has this destination", conflict.id);
                    return Err(failed(Failure::DestinationExists, message, true));
                }
                Err(error) => return Err(failed(Failure::LocalIo, resume_fetch::describe(&error), true)),
            }
        }
    }

    fn start(&self) -> Result<Download, End> {
        let settings = self.shared.settings();
        let peer = self.peer.as_deref();
        if let (Some(name), None) = (&self.row.peer, peer) {
            return Err(unknown_peer(name));
        }
        let (Some(target), Some(part)) = (&self.row.target, &self.row.part) else {
            return Err(failed(Failure::Rejected, "the row has no destination", false));
        };
        // The peer may have moved since the row was queued: the item's address is made from today's configuration.
        let url = match (peer, &self.row.item) {
            (Some(peer), Some(item)) => peer.file_url(item),
            _ => self.row.url.clone(),
        };
        let request = FetchRequest::new(&url, PathBuf::from(target))
            .map_err(|error| failed(Failure::Rejected, error.to_string(), false))?;
        let mut request = settings
            .bound(request)
            .part(PathBuf::from(part))
            .expect_digest(self.digest())
            .failures_so_far(self.row.attempts)
            .progress_so_far(self.row.progress_since_failure())
            .limits(self.limits(peer));
        for (name, value) in peer.map(Peer::headers).into_iter().flatten() {
            request = request.header(name.clone(), value.clone());
        }
        let sealed = self.row.state == DownloadState::Finalizing;
        let ledger =
            RowLedger::new(self.shared.registry.clone(), self.fence, Arc::clone(&self.shared.clock), sealed);
        let (events, id) = (Arc::clone(&self.shared.events), self.row.id);
        let ledger = ledger.measured_by(move |took| {
            events.record(&Event::Download(id.into(), Step::Checkpointed { took }));
        });
        Ok(match peer {
            Some(peer) => self.shared.fetcher.start_over(Arc::clone(&peer.way().transport), request, ledger),
            None => self.shared.fetcher.start(request, ledger),
        })
    }

    /// Every rate limit a byte of this download passes, widest first.
    fn limits(&self, peer: Option<&Peer>) -> Layers {
        let peer = peer.map(|peer| peer.limit_down.clone());
        let layers = [Some(self.shared.limit_down.clone()), peer, Some(self.running.limit_down.clone())];
        layers.into_iter().flatten().collect()
    }

    fn digest(&self) -> Option<Digest> {
        let digests = &self.row.digests;
        digests.sha256.map(Digest::Sha256).or(digests.blake3.map(Digest::Blake3))
    }

    /// Follows the engine: its events, its progress, the lease, and the order to stop.
    async fn watch(&mut self, mut download: Download) -> Result<Completed, FetchError> {
        let engine = download.stopper();
        let mut progress = download.progress();
        let mut events = download.take_events();
        let stop = self.running.stop.clone();
        let mut renewal = self.shared.clock.sleep(RENEW);
        let mut pause: Option<Sleep> = None;
        let (mut events_open, mut progress_open) = (true, true);
        let mut told_to_stop = false;
        loop {
            // Asked again whenever something happened: it may not be whole after all.
            if told_to_stop && !engine.is_cancelled() && !self.finishes_first() {
                engine.cancel();
            }
            tokio::select! {
                biased;
                event = events.next(), if events_open => match event {
                    Some(event) => self.heard(&event).await,
                    None => events_open = false,
                },
                result = &mut download => {
                    while let Some(event) = events.next().await {
                        self.heard(&event).await;
                    }
                    let last = *progress.borrow();
                    self.show(last);
                    if let Ok(completed) = &result {
                        self.untold = Some(whole(last, completed.total));
                    }
                    self.catch_up();
                    return result;
                }
                () = stop.cancelled(), if !told_to_stop => told_to_stop = true,
                () = over(&mut pause) => pause = self.catch_up().then(|| self.shared.clock.sleep(PROGRESS_PAUSE)),
                changed = progress.changed(), if progress_open => match changed {
                    Ok(()) => {
                        let now = *progress.borrow_and_update();
                        self.show(now);
                        if pause.is_none() && self.catch_up() {
                            pause = Some(self.shared.clock.sleep(PROGRESS_PAUSE));
                        }
                    }
                    Err(_) => progress_open = false,
                },
                () = &mut renewal => {
                    renewal = self.shared.clock.sleep(RENEW);
                    let until = self.shared.now().saturating_add(LEASE);
                    if let Err(error) = self.shared.registry.renew(&self.fence, until).await {
                        tracing::warn!(download_id = self.row.id.get(), %error, "the lease could not be renewed");
                        if let WorkerError::Fenced { .. } = error {
                            engine.cancel();
                        }
                    }
                }
            }
        }
    }

    async fn heard(&mut self, event: &Heard) {
        if let Heard::Retrying { reason, .. } = event {
            let problem = Problem::new(Failure::Retrying.as_str(), reason.clone());
            let failed = FailedTry { problem, reset_bytes: self.reset_bytes(), next: Next::TryAgain };
            if let Err(error) =
                self.shared.registry.record_failure(&self.fence, &failed, self.shared.now()).await
            {
                tracing::debug!(download_id = self.row.id.get(), %error, "the failed attempt could not be counted");
            }
        }
        match event {
            Heard::Started { .. } => {
                self.started = true;
                self.heard_of_peer(News::Answered, "").await;
            }
            Heard::Unreachable { reason } => self.heard_of_peer(News::Unreachable, reason).await,
            Heard::Restarted { .. } => self.counted = 0,
            _ => {}
        }
        if let Some(step) = Step::heard(event) {
            self.tell(step);
        }
        self.learn(event).await;
    }

    async fn heard_of_peer(&self, news: News, reason: &str) {
        if let Some(peer) = &self.peer {
            self.shared.heard_of(peer, news, reason).await;
        }
    }

    /// Shows where the transfer stands, and counts what came in.
    fn show(&mut self, progress: Progress) {
        // Bytes that were lost are less than was counted; they come in again and count again.
        let before = std::mem::replace(&mut self.counted, progress.written);
        let new = progress.written.saturating_sub(before);
        if new > 0 {
            self.tell(Step::Received(new));
        }
        if self.row.state == DownloadState::Finalizing
            && progress.total.is_some_and(|all| progress.durable < all)
        {
            // Not whole after all: the engine has opened the row again.
            self.row.state = DownloadState::Downloading;
        }
        self.progress.send_replace(Some(progress));
        self.untold = Some(progress).filter(|_| self.started);
    }

    /// Tells where the transfer stands to those who follow it, if that is news.
    fn catch_up(&mut self) -> bool {
        let news = self.untold.take().filter(|untold| Some(untold) != self.told.as_ref());
        if let Some(progress) = &news {
            self.tell(Step::Progress(progress));
            self.told = news;
        }
        news.is_some()
    }

    /// Whether an order to make room can wait for the end: a file about to get its name needs no room and little time,
    /// and a row that stopped there would be nobody's until its lease is over.
    fn finishes_first(&self) -> bool {
        matches!(self.intent(), Intent::MakeRoom | Intent::Yield) && self.is_finalizing()
    }

    fn intent(&self) -> Intent {
        *self.running.intent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, step: Step<'_>) {
        self.shared.tell(&self.row, step);
    }

    fn reset_bytes(&self) -> u64 {
        self.shared.settings().retry.attempts_reset_bytes
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Resolves when the pause is over; never without one.
async fn over(pause: &mut Option<Sleep>) {
    match pause {
        Some(pause) => pause.await,
        None => std::future::pending().await,
    }
}

/// Where a transfer stands whose file has its name.
fn whole(last: Progress, total: u64) -> Progress {
    let eta = Some(Duration::ZERO);
    Progress { written: total, durable: total, total: Some(total), eta, connections: 0, ..last }
}

/// Time between two progress events of a download: eight a second, and one more at its end.
const PROGRESS_PAUSE: Duration = Duration::from_millis(125);
/// Names a row is given while others take them.
const MAX_NAMES: u32 = 100;
