//! The files we share: directories become items with ids, and ids become open files.
//!
//! Nobody outside names a path. An item is asked for by its id, the id leads to a path that a walk over the
//! share found, and that path is opened beneath the share's directory and nowhere else.

mod base32;
mod beneath;
mod error;
mod filter;
mod index;
mod item;
mod kept;
mod listing;
mod media_type;
mod scan;
mod scope;
mod share;
mod watch;

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use range_http::FileSource;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use error::{LibraryError, ListError, LookupError, RescanError};
pub use filter::PatternError;
pub use item::Item;
pub(crate) use kept::MOST as MOST_KEPT;
pub use listing::{ListQuery, Page};
pub(crate) use media_type::of as media_type;
pub use scope::Scope;
pub use share::{FIRST_WALK, NotReady, ScanError, ScanReport, ShareSpec, ShareStatus};

use index::Index;
use item::Tag;
use kept::KeptFiles;
use listing::Cursor;
use share::Share;

/// All shares of this daemon.
///
/// Look-ups by id and lists wait for the first walk over the shares they touch, up to [`FIRST_WALK`]; later
/// walks replace what is there without anyone waiting.
pub struct Library {
    shares: RwLock<BTreeMap<String, Arc<Share>>>,
    now: Box<dyn Fn() -> SystemTime + Send + Sync>,
    replaced: Notify,
    kept: Arc<KeptFiles>,
}

/// Shares that can be set: all that could fail has been done.
pub struct Arranged(BTreeMap<String, Arc<Share>>);

/// An item whose file is open. Cloning is cheap and shares the open file.
#[derive(Clone, Debug)]
pub struct OpenItem {
    /// What is told about it.
    pub item: Arc<Item>,
    /// Its bytes. Reading fails once the file is no longer what it was when it was opened.
    pub source: FileSource,
    /// When it was opened.
    pub seen_at: SystemTime,
    /// By the extension of its name.
    pub media_type: &'static str,
}

impl Library {
    /// A library of these shares; nothing is read yet. `now` tells the time.
    ///
    /// # Errors
    /// A pattern that cannot be read, or two shares of one name.
    pub fn new(
        specs: Vec<ShareSpec>,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, LibraryError> {
        let library = Self {
            shares: RwLock::default(),
            now: Box::new(now),
            replaced: Notify::new(),
            kept: Arc::default(),
        };
        library.set_shares(specs)?;
        Ok(library)
    }

    /// Replaces the shares. Those described as before keep what was found in them; the others need a walk. On
    /// an error nothing changes.
    ///
    /// # Errors
    /// As [`Library::new`].
    pub fn set_shares(&self, specs: Vec<ShareSpec>) -> Result<(), LibraryError> {
        self.put(self.arrange(specs)?);
        Ok(())
    }

    /// Does all of [`Library::set_shares`] that can fail, and changes nothing.
    ///
    /// # Errors
    /// As [`Library::new`].
    pub fn arrange(&self, specs: Vec<ShareSpec>) -> Result<Arranged, LibraryError> {
        let mut shares = BTreeMap::new();
        for spec in specs {
            let name = spec.name.clone();
            let share = match self.share(&name).filter(|share| *share.spec() == spec) {
                Some(share) => share,
                None => match Share::new(spec) {
                    Ok(share) => Arc::new(share),
                    Err(source) => return Err(LibraryError::Pattern { name, source }),
                },
            };
            if shares.insert(name.clone(), share).is_some() {
                return Err(LibraryError::DuplicateName { name });
            }
        }
        Ok(Arranged(shares))
    }

    /// Does the rest of it.
    pub fn put(&self, Arranged(shares): Arranged) {
        *self.shares.write().unwrap_or_else(PoisonError::into_inner) = shares;
        self.replaced.notify_one();
    }

    /// Walks every share once, one after the other, and logs what cannot be read.
    ///
    /// # Cancel safety
    /// Safe. The walk in progress ends; those not begun do not begin.
    pub async fn scan_all(&self) {
        for share in self.all() {
            self.walk(&share).await.ok();
        }
    }

    /// Keeps what is offered up to date until `stop`: walks every share, then again whenever the system tells
    /// of a change in it, and every `every` in case it does not (network file systems tell nothing). Follows
    /// [`Library::set_shares`].
    ///
    /// # Cancel safety
    /// Safe. Walks in progress end.
    pub async fn watch(self: Arc<Self>, every: Duration, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut followed = JoinSet::new();
            for share in self.all() {
                let library = Arc::clone(&self);
                followed.spawn(async move { watch::follow(&library, &share, every).await });
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.replaced.notified() => {}
            }
        }
    }

    /// Walks one share again.
    ///
    /// # Errors
    /// There is no such share, or its directory cannot be read; then it keeps the items it had.
    ///
    /// # Cancel safety
    /// Safe. A walk in progress ends and counts.
    pub async fn rescan(&self, share: &str) -> Result<ScanReport, RescanError> {
        let share = self.share(share).ok_or(RescanError::Unknown)?;
        Ok(self.walk(&share).await?)
    }

    async fn walk(&self, share: &Arc<Share>) -> Result<ScanReport, ScanError> {
        let walked = share.rescan((self.now)()).await;
        match &walked {
            Ok(report) if report.unreadable > 0 => tracing::warn!(
                share = share.name(),
                items = report.items,
                unreadable = report.unreadable,
                "parts of a share cannot be read"
            ),
            Ok(report) => tracing::debug!(share = share.name(), items = report.items, "walked a share"),
            Err(error) => tracing::warn!(
                share = share.name(),
                error = error as &dyn std::error::Error,
                "cannot walk a share"
            ),
        }
        walked
    }

    /// How every share stands, in the order of their names.
    pub fn shares(&self) -> Vec<ShareStatus> {
        self.all().iter().map(|share| share.status()).collect()
    }

    /// What is told about an item.
    ///
    /// # Errors
    /// There is no such item within `scope`, or it cannot be looked at.
    ///
    /// # Cancel safety
    /// Safe. Nothing is changed.
    pub async fn item(&self, id: &str, scope: &Scope) -> Result<Arc<Item>, LookupError> {
        self.find(id, scope, false).await.map(|open| open.item)
    }

    /// Opens the file of an item, or shares one that is open already and still what its path leads to.
    ///
    /// # Errors
    /// There is no such item within `scope`, or it cannot be opened. A file that is gone, became something
    /// other than a regular file, lies outside the share or may not be read by us is no item; one whose whole
    /// share is away is.
    ///
    /// # Cancel safety
    /// Safe. A file opened meanwhile is closed.
    pub async fn open(&self, id: &str, scope: &Scope) -> Result<OpenItem, LookupError> {
        self.find(id, scope, true).await
    }

    /// Opens the file of an item; whether to keep it open is for the caller to say.
    async fn find(&self, id: &str, scope: &Scope, keep: bool) -> Result<OpenItem, LookupError> {
        let (name, tag) = Tag::split_id(id).ok_or(LookupError::Unknown)?;
        let share = self.share(name).filter(|_| scope.allows(name)).ok_or(LookupError::Unknown)?;
        let index = share.index().await?;
        let now = (self.now)();
        if index.find(tag).is_some()
            && let Some(open) = self.kept.open((share.number(), tag), now)
        {
            return Ok(open);
        }
        let shared = Arc::clone(&share);
        let opening = tokio::task::spawn_blocking(move || open_anew(&shared, &index, tag, now));
        let opened =
            opening.await.unwrap_or_else(|fault| Err(LookupError::Unreadable(io::Error::other(fault))));
        let Opened { open, metadata, keep_under } = opened?;
        if let Some(path) = keep_under.filter(|_| keep) {
            self.kept.keep((share.number(), tag), path, &metadata, &open);
        }
        Ok(open)
    }

    /// One page of the items within `scope`, ordered by share and path.
    ///
    /// The order does not depend on when a file came, so pages neither repeat nor skip a file that stays.
    ///
    /// # Errors
    /// A cursor that is none of ours.
    ///
    /// # Cancel safety
    /// Safe. Nothing is changed.
    pub async fn list(&self, query: &ListQuery, scope: &Scope) -> Result<Page<Item>, ListError> {
        let cursor = match &query.cursor {
            Some(text) => Some(Cursor::parse(text).ok_or(ListError::BadCursor)?),
            None => None,
        };
        let mut shares = Vec::new();
        for share in self.all() {
            let wanted = query.share.as_deref().is_none_or(|wanted| wanted == share.name());
            if wanted && scope.allows(share.name()) {
                let index = share.index().await?;
                shares.push((share, index));
            }
        }
        let words: Vec<_> = query.search.to_lowercase().split_whitespace().map(str::to_owned).collect();
        let (limit, now) = (query.limit.max(1), (self.now)());
        let collecting =
            tokio::task::spawn_blocking(move || listing::page(&shares, &words, cursor.as_ref(), limit, now));
        collecting.await.map_err(|fault| ListError::Unreadable(io::Error::other(fault)))
    }

    fn share(&self, name: &str) -> Option<Arc<Share>> {
        self.shares.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    fn all(&self) -> Vec<Arc<Share>> {
        self.shares.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

impl std::fmt::Debug for Library {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Library").field("shares", &self.all()).finish_non_exhaustive()
    }
}

/// A file fresh from the disk.
struct Opened {
    open: OpenItem,
    metadata: Metadata,
    /// Its path, if it can be kept open.
    keep_under: Option<PathBuf>,
}

/// Blocking.
fn open_anew(share: &Share, index: &Index, tag: Tag, now: SystemTime) -> Result<Opened, LookupError> {
    // A share that is away is no reason to tell anyone that its items are gone.
    let root = share.root().map_err(LookupError::Unreadable)?;
    let Some(entry) = index.find(tag) else { return Err(share.missing()) };
    let (file, metadata) = root.open_file(entry.path()).map_err(|error| refused(share, error))?;
    let keep_under = kept::is_known_from_memory(&file).then(|| share.spec().root.join(entry.as_path()));
    let item = Arc::new(Item::new(share.name(), tag, entry.as_path(), &metadata, now));
    let source = FileSource::new(file).map_err(LookupError::Unreadable)?;
    let open = OpenItem { item, source, seen_at: now, media_type: media_type::of(entry.as_path()) };
    Ok(Opened { open, metadata, keep_under })
}

/// What a failed open means for whoever asked.
fn refused(share: &Share, error: io::Error) -> LookupError {
    match error.kind() {
        io::ErrorKind::NotFound => LookupError::Unknown,
        io::ErrorKind::PermissionDenied => {
            // Whether a file exists that we may not read is nobody's business outside.
            tracing::warn!(share = share.name(), "a shared file may not be read by this user");
            LookupError::Unknown
        }
        _ => LookupError::Unreadable(error),
    }
}

#[cfg(test)]
mod tests;
