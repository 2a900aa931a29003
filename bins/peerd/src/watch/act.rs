//! What follows from a stub is done here: rows are queued, followed and tried again.

use std::collections::hash_map::Entry;
use std::path::Path;
use std::time::{Duration, Instant};

use download_registry::{Claimed, Download, DownloadId, StorageError};
use resume_fetch::describe;
use retry_kit::Clock;

use super::book::{Key, Status, Wish};
use super::decide::{Next, Row, Sight, decide};
use super::lanes::Turn;
use super::{Added, Asked, Watcher, shown};
use crate::downloads::{AddError, AddRequest, Downloads, Hint, Source, url_on_record};
use crate::stub::Wanted;

impl Watcher {
    /// Decides every wish whose status is picked.
    pub(super) async fn decide_all(&mut self, pick: impl Fn(Instant, Status) -> bool) {
        let now = self.clock.now();
        let keys = self.book.wishes(|status| pick(now, status));
        self.decide_each(keys).await;
    }

    async fn decide_each(&mut self, keys: Vec<Key>) {
        for key in keys {
            if let Err(error) = self.decide_one(&key).await {
                let (stub, error) = (shown(&key.name), describe(&error));
                tracing::warn!(stub, error, "the registry cannot be asked about a stub");
                self.hold(&key);
            }
        }
    }

    async fn decide_one(&mut self, key: &Key) -> Result<(), StorageError> {
        let Some((wish, sight, _)) = self.book.facts(key) else { return Ok(()) };
        let registry = self.downloads.registry();
        let mut is_unknown = false;
        let row = match &wish.wanted {
            Wanted::Url(url) => registry.latest_for_url(url_on_record(url)).await?,
            Wanted::Item { peer, item } => match (self.downloads.peers().find(peer), wish.status) {
                (Some(name), _) => registry.latest_for_item(&name, item).await?,
                // A peer that was removed takes none of its rows along.
                (None, Status::Followed(id) | Status::Failed(id)) => registry.get(id).await?,
                (None, _) => {
                    is_unknown = true;
                    registry.latest_for_item(peer, item).await?
                }
            },
        };
        let known = match row {
            Some(row) => Some((Row::new(&row, self.file_is_there(&row).await), row)),
            None => None,
        };
        let next = decide(known.as_ref().map(|(facts, _)| facts), sight);
        let (stub, wanted, was) = (shown(&key.name), plain(&wish.wanted), wish.status);
        let status = match next {
            Next::Enqueue => {
                if is_unknown {
                    self.unknown_peer(key, &wish);
                } else {
                    self.enqueue(key, &wish.wanted);
                }
                return Ok(());
            }
            Next::Follow(id) => {
                if sight != Sight::Known {
                    tracing::info!(
                        stub,
                        wanted,
                        download_id = id.get(),
                        "a stub asks for what is in the queue already"
                    );
                }
                Status::Followed(id)
            }
            Next::Retry(id) => self.retry(key, &wanted, id).await,
            Next::Done => Status::Published,
            Next::Failed(id) => {
                if was != Status::Failed(id) {
                    tracing::warn!(
                        stub,
                        wanted,
                        download_id = id.get(),
                        "the download of a stub has failed; the stub stays. Drop it again, or: peerd retry"
                    );
                }
                Status::Failed(id)
            }
            Next::Cancelled | Next::Forgotten => {
                if was != Status::Left {
                    tracing::info!(
                        stub,
                        wanted,
                        "the download of a stub was called off; the stub stays. Delete it, or drop it again"
                    );
                }
                Status::Left
            }
        };
        self.set(key, status);
        Ok(())
    }

    async fn file_is_there(&self, row: &Download) -> bool {
        let Some(target) = row.target.clone().filter(|_| row.state.is_published()) else { return false };
        let total = row.identity.total.map(|total| total.bytes);
        let is_it = move |_: &Path| {
            let there = Path::new(&target).metadata()?;
            Ok(there.is_file() && total.is_none_or(|total| total == there.len()))
        };
        self.on_disk(is_it).await.unwrap_or(false)
    }

    async fn retry(&mut self, key: &Key, wanted: &str, id: DownloadId) -> Status {
        let (stub, download_id) = (shown(&key.name), id.get());
        match self.downloads.retry(id).await {
            Ok(_) => tracing::info!(stub, wanted, download_id, "dropped again: the download is tried again"),
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(
                    stub,
                    wanted,
                    download_id,
                    error,
                    "dropped again, and it cannot be tried again"
                );
            }
        }
        Status::Followed(id)
    }

    fn enqueue(&mut self, key: &Key, wanted: &Wanted) {
        let Some(wish) = self.book.wish(key) else { return };
        let tries = match wish.status {
            Status::Undecided { tries, .. } => tries,
            _ => 0,
        };
        wish.status = Status::Queueing { tries };
        let url = match wanted {
            Wanted::Url(url) => Some(url_on_record(url).to_owned()),
            Wanted::Item { .. } => None,
        };
        if let Some(url) = url.clone() {
            match self.asked_for.entry(url) {
                // One row is enough: who comes later looks again once it is there.
                Entry::Occupied(asked) => return asked.into_mut().push(key.clone()),
                Entry::Vacant(new) => new.insert(Vec::new()),
            };
        }
        let lane = match wanted {
            Wanted::Item { peer, .. } => self.downloads.peers().find(peer).unwrap_or_else(|| peer.clone()),
            // Nobody is asked about a URL.
            Wanted::Url(_) => String::new(),
        };
        self.lanes.push(&lane, Asked { key: key.clone(), url }, self.clock.now());
    }

    /// Lets through whose turn it is.
    pub(super) fn add(&mut self) {
        while let Some(turn) = self.lanes.next(self.clock.now()) {
            let Some((wish, _, hint)) = self.book.facts(&turn.key.key) else {
                self.lanes.ended(&turn.lane, turn.ask, false, self.clock.now());
                self.let_others_ask(turn.key.url.as_deref());
                continue;
            };
            let request = AddRequest::of(match wish.wanted {
                Wanted::Item { peer, item } => Source::Item { peer, item },
                Wanted::Url(url) => Source::Url(url),
            });
            let (downloads, hint) = (self.downloads.clone(), Hint { ask_later: !turn.ask, ..hint });
            self.adding.spawn(async move {
                // Somebody may have queued the URL while this waited for its turn.
                let outcome = match is_fetched(&downloads, turn.key.url.as_deref()).await {
                    Ok(Some(row)) => Ok(row),
                    Ok(None) => downloads.add_hinted(request, &hint).await,
                    Err(error) => Err(AddError::Registry(error.into())),
                };
                Added { turn, outcome }
            });
        }
    }

    /// Takes in what became of a request.
    pub(super) async fn added(&mut self, Added { turn, outcome }: Added) {
        let Turn { lane, key: Asked { key, url }, ask } = turn;
        let unnamed = outcome.as_ref().is_ok_and(|row| row.filename.is_none());
        self.lanes.ended(&lane, ask, unnamed, self.clock.now());
        self.let_others_ask(url.as_deref());
        let Some(wish) = self.book.wish(&key) else { return };
        let (stub, wanted) = (shown(&key.name), plain(&wish.wanted));
        let id = match outcome {
            Ok(row) => {
                tracing::info!(stub, wanted, download_id = row.id.get(), "a stub was taken");
                row.id
            }
            // Somebody else was faster by a moment.
            Err(AddError::DestinationActive { id, what: Claimed::Item }) => id,
            Err(error) if may_pass(&error) => {
                let error = describe(&error);
                tracing::warn!(
                    stub,
                    wanted,
                    error,
                    "a stub cannot be taken yet; it stays and is tried again"
                );
                return self.hold(&key);
            }
            Err(error) => {
                let error = describe(&error);
                tracing::warn!(
                    stub,
                    wanted,
                    error,
                    "a stub is refused and stays; drop it again once that has changed"
                );
                return self.set(&key, Status::Left);
            }
        };
        // Its end may have been told before we knew whose it is.
        self.set(&key, Status::Followed(id));
        self.decide_each(vec![key]).await;
    }

    /// Whoever waits for the row of a URL looks for it now.
    fn let_others_ask(&mut self, url: Option<&str>) {
        let now = self.clock.now();
        for key in url.and_then(|url| self.asked_for.remove(url)).unwrap_or_default() {
            if let Some(wish) = self.book.wish(&key)
                && let Status::Queueing { tries } = wish.status
            {
                wish.status = Status::Undecided { after: Some(now), tries };
            }
        }
    }

    /// A row has ended; what it failed before, it may have failed again.
    pub(super) async fn ended(&mut self, id: DownloadId) {
        let followed = self
            .book
            .wishes(|status| matches!(status, Status::Followed(of) | Status::Failed(of) if of == id));
        for key in &followed {
            self.set(key, Status::Followed(id));
        }
        self.decide_each(followed).await;
    }

    fn unknown_peer(&mut self, key: &Key, wish: &Wish) {
        if let (Status::Undecided { .. }, Wanted::Item { peer, .. }) = (wish.status, &wish.wanted) {
            let known = self.downloads.peers().names().join(", ");
            let stub = shown(&key.name);
            tracing::warn!(
                stub,
                peer,
                known,
                "a stub names a peer nobody has told us of; it stays until there is a [peers.NAME] of that name or id"
            );
        }
        self.set(key, Status::UnknownPeer);
    }

    /// Decides again later, and later each time.
    fn hold(&mut self, key: &Key) {
        let now = self.clock.now();
        let Some(wish) = self.book.wish(key) else { return };
        let (Status::Undecided { tries, .. } | Status::Queueing { tries }) = wish.status else { return };
        let wait = self.rescan.saturating_mul(1 << tries.min(10)).min(LONGEST_HOLD.max(self.rescan));
        wish.status = Status::Undecided { after: Some(now + wait), tries: tries + 1 };
    }

    fn set(&mut self, key: &Key, status: Status) {
        if let Some(wish) = self.book.wish(key) {
            wish.status = status;
        }
    }
}

/// The row that fetches a URL right now.
async fn is_fetched(downloads: &Downloads, url: Option<&str>) -> Result<Option<Download>, StorageError> {
    let Some(url) = url else { return Ok(None) };
    let latest = downloads.registry().latest_for_url(url).await?;
    Ok(latest.filter(|row| row.state.is_live()))
}

/// Whether a stub that was refused may be taken later, although nobody touches it.
fn may_pass(error: &AddError) -> bool {
    match error {
        AddError::DestinationActive { .. }
        | AddError::DestinationExists(_)
        | AddError::DiskFull { .. }
        | AddError::PeerUnknown(_)
        | AddError::Registry(_) => true,
        AddError::ItemUnknown { .. } | AddError::TooLarge { .. } | AddError::Invalid { .. } => false,
    }
}

/// What a stub asks for, for the log: a query may be somebody's token.
fn plain(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Item { .. } => wanted.to_string(),
        Wanted::Url(url) => url_on_record(url).split('?').next().unwrap_or_default().to_owned(),
    }
}

/// Longest time before a stub that could not be taken is tried again.
const LONGEST_HOLD: Duration = Duration::from_secs(30 * 60);
