//! Intake: a request is checked as far as it can be, and becomes a row or a reason.

mod names;
mod request;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use download_registry::{
    Claimed, Conflict, Download, DownloadState, EnqueueError, Identity, Metadata as RowMetadata, NewDownload,
    Total, TotalSource,
};
use http::StatusCode;
use thiserror::Error;

pub(super) use self::names::Candidates;
use self::names::{name_in_url, plain_name, usable_name};
pub use self::request::{AddError, AddRequest, Hint, Source};
use super::lookout::of_question;
use super::peers::{Metadata, News, PeerError};
use super::{Downloads, Peer, Shared, disk};
use crate::config::OnConflict;
use crate::events::{Step, Why};

impl Downloads {
    /// Checks `request` and queues it. When this returns, the row survives a power cut.
    ///
    /// The peer is asked about the item first, for at most five seconds. If it cannot say, the row is queued without
    /// a name and the same checks run when it answers.
    ///
    /// # Errors
    /// [`AddError`] says why nothing was queued.
    pub async fn add(&self, request: AddRequest) -> Result<Download, AddError> {
        self.add_hinted(request, &Hint::default()).await
    }

    /// As [`Downloads::add`], with somebody's word for what the item is.
    ///
    /// # Errors
    /// [`AddError`] says why nothing was queued.
    ///
    /// # Cancel safety
    /// Safe. A dropped call queued nothing, or a row that nobody was told of yet.
    pub async fn add_hinted(&self, mut request: AddRequest, hint: &Hint) -> Result<Download, AddError> {
        let shared = &self.shared;
        if let Source::Item { peer, .. } = &mut request.source {
            *peer = shared.peers.find(peer).ok_or_else(|| AddError::PeerUnknown(peer.clone()))?;
        }
        let given = request.filename.as_deref().map(plain_name).transpose()?;
        let (url, metadata) = match &request.source {
            Source::Item { item, .. } if matches!(item.as_str(), "." | "..") => {
                // Whoever reads the path next would take it for a way up.
                return Err(AddError::Invalid { field: "item", reason: "not a name".to_owned() });
            }
            Source::Item { peer: name, item } => {
                let peer = shared.peers.get(name).ok_or_else(|| AddError::PeerUnknown(name.clone()))?;
                let metadata = match hint.ask_later {
                    true => None,
                    false => shared.ask(name, &peer, item).await?,
                };
                (peer.file_url(item), metadata.map(|metadata| hint.completes(metadata)))
            }
            Source::Url(url) => {
                let metadata = Metadata { filename: Some(name_in_url(url)?), size: None };
                (url_on_record(url).to_owned(), Some(metadata))
            }
        };
        if let Some(size) = metadata.as_ref().and_then(|metadata| metadata.size) {
            shared.check_size(size).await?;
        }
        let name = match (&given, &metadata) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(metadata)) => Some(usable_name(metadata, &url)),
            (None, None) => None,
        };
        let mut new = shared.new_download(&request, url, metadata.as_ref());
        if metadata.is_none() {
            // Soft: the peer's answer replaces it before the first byte.
            new.identity.total = hint.size.map(manifest);
        }
        let row = match name {
            None => shared.registry.enqueue(&new, shared.now()).await.map_err(refused)?,
            Some(name) => {
                let mut names = Candidates::new(name);
                loop {
                    shared.place(&mut new, &mut names).await?;
                    match shared.registry.enqueue(&new, shared.now()).await {
                        Ok(row) => break row,
                        Err(EnqueueError::Conflict(conflict)) if shared.may_rename(&conflict) => {}
                        Err(error) => return Err(refused(error)),
                    }
                }
            }
        };
        shared.tell(&row, Step::Created(&row));
        match row.state {
            DownloadState::Paused => shared.tell(&row, Step::Paused { durable: 0 }),
            _ => shared.tell(&row, Step::Queued(Why::Added)),
        }
        shared.wake.notify_one();
        Ok(row)
    }
}

impl Hint {
    fn completes(&self, metadata: Metadata) -> Metadata {
        Metadata {
            filename: metadata.filename.or_else(|| self.filename.clone()),
            size: metadata.size.or(self.size),
        }
    }
}

impl Shared {
    /// What the peer says about the item; `None` when it cannot be asked right now.
    async fn ask(
        self: &Arc<Self>,
        name: &str,
        peer: &Peer,
        item: &str,
    ) -> Result<Option<Metadata>, AddError> {
        match self.metadata(peer, item).await {
            Ok(metadata) => Ok(Some(metadata)),
            Err(PeerError::Status { status: StatusCode::NOT_FOUND | StatusCode::GONE, .. }) => {
                Err(AddError::ItemUnknown { peer: name.to_owned(), item: item.to_owned() })
            }
            Err(error) => {
                tracing::warn!(peer = name, item, %error, "the peer says nothing about the item yet");
                Ok(None)
            }
        }
    }

    /// Asks a peer about an item, and takes in what that shows of the peer.
    async fn metadata(self: &Arc<Self>, peer: &Peer, item: &str) -> Result<Metadata, PeerError> {
        let answer = self.peers.metadata(peer, item).await;
        match &answer {
            Ok(_) => self.heard_of(peer, News::Answered, "").await,
            Err(error) => {
                self.heard_of(peer, of_question(error), &resume_fetch::describe(error)).await;
            }
        }
        answer
    }

    pub(super) async fn check_size(&self, size: u64) -> Result<(), AddError> {
        if let Some(max) = self.settings().max_size.filter(|max| size > *max) {
            return Err(AddError::TooLarge { size, max });
        }
        let needed = size.saturating_add(self.settings().min_free);
        match self.disk.free(&self.settings().incomplete_dir).await {
            Some(free) if free < needed => Err(AddError::DiskFull { needed, free }),
            _ => Ok(()),
        }
    }

    fn new_download(&self, request: &AddRequest, url: String, metadata: Option<&Metadata>) -> NewDownload {
        let (peer, item) = match &request.source {
            Source::Item { peer, item } => (Some(peer.clone()), Some(item.clone())),
            Source::Url(_) => (None, None),
        };
        NewDownload {
            peer,
            item,
            url,
            filename: None,
            target: None,
            part: None,
            priority: request.priority,
            paused: request.paused,
            identity: Identity { total: metadata.and_then(announced), validator: None },
            digests: request.digests,
            limit_down: request.limit_down,
            import: request.import.clone(),
        }
    }

    async fn place(&self, new: &mut NewDownload, names: &mut Candidates) -> Result<(), AddError> {
        let (name, target) = self.free_target(names).await?;
        new.part = Some(path_text(&self.part_path(&name)));
        new.target = Some(path_text(&target));
        new.filename = Some(name);
        Ok(())
    }

    /// The next candidate whose target is free on disk, or may be replaced.
    pub(super) async fn free_target(&self, names: &mut Candidates) -> Result<(String, PathBuf), AddError> {
        for _ in 0..MAX_CANDIDATES {
            let name = names.next_name();
            let target = self.settings().dir.join(&name);
            let taken = match self.settings().on_conflict {
                OnConflict::Replace => false,
                OnConflict::Fail | OnConflict::Rename => disk::exists(target.clone()).await,
            };
            match self.settings().on_conflict {
                OnConflict::Fail if taken => return Err(AddError::DestinationExists(name)),
                OnConflict::Rename if taken => {}
                _ => return Ok((name, target)),
            }
        }
        Err(AddError::DestinationExists(names.next_name()))
    }

    /// A part file of its own for every row: two rows never share one, whatever becomes of either.
    fn part_path(&self, name: &str) -> PathBuf {
        let token = self.rng().u32(..);
        self.settings().incomplete_dir.join(format!("{name}.{token:08x}.part"))
    }

    /// Whether another name gets a row past a live one that is in its way.
    pub(super) fn may_rename(&self, conflict: &Conflict) -> bool {
        match conflict.what {
            Claimed::Target => self.settings().on_conflict == OnConflict::Rename,
            Claimed::Part => true,
            _ => false,
        }
    }

    /// Asks about a row that was queued before its peer could be asked.
    pub(super) async fn describe(
        self: &Arc<Self>,
        peer: &Peer,
        item: &str,
        url: &str,
    ) -> Result<Described, DescribeError> {
        let metadata = self.metadata(peer, item).await?;
        if let Some(size) = metadata.size {
            self.check_size(size).await?;
        }
        let names = Candidates::new(usable_name(&metadata, url));
        Ok(Described { names, total: announced(&metadata) })
    }

    /// The next name, target and part for such a row.
    pub(super) async fn place_described(
        &self,
        described: &mut Described,
    ) -> Result<RowMetadata, DescribeError> {
        let (name, target) = self.free_target(&mut described.names).await?;
        Ok(RowMetadata {
            part: Some(path_text(&self.part_path(&name))),
            target: Some(path_text(&target)),
            filename: Some(name),
            total: described.total,
        })
    }
}

/// What a peer said about a row that had no name yet.
pub(super) struct Described {
    names: Candidates,
    total: Option<Total>,
}

/// Why a row could not be given its name.
#[derive(Debug, Error)]
pub(super) enum DescribeError {
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error(transparent)]
    Check(#[from] AddError),
}

fn announced(metadata: &Metadata) -> Option<Total> {
    metadata.size.map(manifest)
}

fn manifest(bytes: u64) -> Total {
    Total { bytes, source: TotalSource::Manifest }
}

/// What of a URL a row keeps: what stands behind the hash is never sent.
pub(crate) fn url_on_record(url: &str) -> &str {
    url.split('#').next().unwrap_or_default()
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn refused(error: EnqueueError) -> AddError {
    match error {
        EnqueueError::Conflict(conflict) => {
            AddError::DestinationActive { id: conflict.id, what: conflict.what }
        }
        error => error.into(),
    }
}

const MAX_CANDIDATES: u32 = 1000;
