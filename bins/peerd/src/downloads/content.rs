//! The bytes of a row, whatever becomes of it while somebody reads: still arriving, recorded in its part, or published.
//!
//! What is read belongs to one generation of the row. Its entity tag says which, and is the same before and after the
//! file gets its name: whoever began to read while it was arriving goes on with ranges of the same representation.

mod patience;
mod source;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use download_registry::{Download, DownloadId, DownloadState, StorageError, Timestamp, TotalSource};
use range_http::{ContentDisposition, EntityTag, FileSource, Representation};
use resume_fetch::Validator;
use thiserror::Error;

use self::patience::Patience;
use super::{Downloads, Engine, Shared};
use crate::library;

pub use source::RowSource;

/// Why the bytes of a row cannot be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContentError {
    /// There is no such row (any more).
    #[error("there is no such download")]
    Unknown,
    /// The row is there, and its bytes are not.
    #[error("{0}")]
    Gone(&'static str),
    /// The download failed.
    #[error("the download failed: {0}")]
    Failed(String),
    /// Nothing comes at this moment, and may later.
    #[error("{why}")]
    NotNow {
        /// What it waits for.
        why: String,
        /// When to ask again.
        retry_after: Duration,
    },
    /// The representation that was promised is not the one that is fetched now.
    #[error("the download started over")]
    Changed,
    /// Nothing came for that long.
    #[error("nothing came for {} s", .0.as_secs())]
    Stalled(Duration),
    /// The daemon goes away.
    #[error("the daemon stops")]
    Stopping,
    /// The bytes are there and cannot be read.
    #[error("the file cannot be read")]
    Unreadable(#[source] io::Error),
    /// The registry does not answer.
    #[error(transparent)]
    Registry(#[from] StorageError),
}

/// What a row's bytes are, and where to get them.
pub struct RowContent {
    shared: Arc<Shared>,
    id: DownloadId,
    generation: u64,
    representation: Representation,
    /// The file under its final name.
    published: Option<FileSource>,
    /// Nothing has happened to that file since it was whole: its bytes are those of the generation.
    untouched: bool,
}

impl Downloads {
    /// Finds out what the bytes of a row are: their number and validator. While nobody knows, the row is wanted, and its
    /// first answer is waited for up to [`HEAD_WAIT`].
    ///
    /// # Errors
    /// [`ContentError`] says why they cannot be had, or not now.
    ///
    /// # Cancel safety
    /// Safe. What was wanted is withdrawn.
    pub async fn content(&self, id: DownloadId) -> Result<RowContent, ContentError> {
        let shared = &self.shared;
        let patience = Patience::new(shared, id, HEAD_WAIT);
        let mut dead = None;
        let mut reading = None;
        loop {
            let mut turns = shared.turns.subscribe();
            let row = shared.row_to_read(id).await?;
            if let Some(content) = shared.known(row).await? {
                return Ok(content);
            }
            shared.somebody_may_come(id).await?;
            reading.get_or_insert_with(|| shared.reading(id));
            let engine = shared.engine_of(id).filter(|engine| dead != Some(engine.number));
            let told = async {
                match engine {
                    Some(engine) => engine.content.known().await.is_err().then_some(engine.number),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = told => match ended {
                    Some(number) => dead = Some(number),
                    // The row says it in a moment.
                    None => shared.clock.sleep(RACE).await,
                },
                _ = turns.changed() => {}
                () = patience.over() => return Err(nothing_known()),
                () = shared.shutdown.cancelled() => return Err(ContentError::Stopping),
            }
        }
    }
}

impl Shared {
    /// The engine of a row, while one runs.
    pub(super) fn engine_of(&self, id: DownloadId) -> Option<Engine> {
        self.running().get(&id)?.content.borrow().clone()
    }

    /// A row whose bytes can be had, or may come.
    async fn row_to_read(&self, id: DownloadId) -> Result<Download, ContentError> {
        let row = self.registry.get(id).await?.ok_or(ContentError::Unknown)?;
        match row.state {
            DownloadState::Cancelled => {
                Err(ContentError::Gone("the download was cancelled, and its bytes are gone"))
            }
            DownloadState::Failed => {
                Err(ContentError::Failed(row.error.map_or_else(String::new, |error| error.message)))
            }
            _ => Ok(row),
        }
    }

    /// What the bytes of a row are, once that is certain: what a peer's list says of a size binds none.
    async fn known(self: &Arc<Self>, row: Download) -> Result<Option<RowContent>, ContentError> {
        let total = row.identity.total.filter(|total| total.source != TotalSource::Manifest);
        let Some(total) = total.filter(|_| row.generation > 0).map(|total| total.bytes) else {
            return Ok(None);
        };
        let published =
            if row.state.is_published() { Some(self.published(&row, total).await?) } else { None };
        let tag = tag(&row, total);
        let untouched = published.as_ref().is_none_or(|file| is_untouched(&row, file));
        let representation = match &published {
            Some(file) => {
                let of_file = file.representation(self.clock.wall());
                if !tag.is_weak() && untouched { of_file.with_etag(tag) } else { of_file }
            }
            None => Representation::new(total).with_etag(tag),
        };
        let filename = row.filename.unwrap_or_default();
        let kind = library::media_type(Path::new(&filename));
        let representation = representation
            .with_content_type(kind)
            .with_cache_control("private, no-cache, no-transform")
            .with_field("x-content-type-options", "nosniff");
        let representation = match opened_as(kind) {
            OpenedAs::Media => representation.with_content_disposition(ContentDisposition::inline(&filename)),
            OpenedAs::Image => representation
                .with_content_disposition(ContentDisposition::inline(&filename))
                .with_field("content-security-policy", HARMLESS),
            OpenedAs::Nothing => representation
                .with_content_disposition(ContentDisposition::attachment(&filename))
                .with_field("content-security-policy", HARMLESS),
        };
        let (shared, id, generation) = (Arc::clone(self), row.id, row.generation);
        Ok(Some(RowContent { shared, id, generation, representation, published, untouched }))
    }

    /// Opens the file that a row has published, if it is still that one.
    pub(super) async fn published(&self, row: &Download, total: u64) -> Result<FileSource, ContentError> {
        let Some(target) = row.target.clone() else { return Err(NOT_THERE) };
        let latest = self.registry.latest_for_target(&target).await?;
        if latest.is_some_and(|latest| latest.id > row.id && latest.state.is_published()) {
            return Err(ContentError::Gone("a later download has replaced the file"));
        }
        let opened = tokio::task::spawn_blocking(move || open_published(Path::new(&target)));
        match opened.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(Some(file)) if file.stamp().len == total => Ok(file),
            Ok(Some(_)) => Err(ContentError::Gone("the file was replaced")),
            Ok(None) => Err(not_now("the disk with the file is not there", PAUSED_WAIT)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(NOT_THERE),
            Err(error) => Err(ContentError::Unreadable(error)),
        }
    }

    /// Refuses to wait where nobody is going to bring a byte soon.
    async fn somebody_may_come(&self, id: DownloadId) -> Result<(), ContentError> {
        let row = self.row_to_read(id).await?;
        let now = self.now();
        match row.state {
            DownloadState::Paused => Err(not_now("the download is paused", PAUSED_WAIT)),
            DownloadState::Queued | DownloadState::Waiting if !self.settings().enabled => {
                Err(not_now("downloads are disabled in the configuration", PAUSED_WAIT))
            }
            DownloadState::Waiting => match row.retry_at.map(|at| at.saturating_since(now)) {
                Some(wait) if wait > HEAD_WAIT => {
                    let reason = row.error.map_or_else(String::new, |error| format!(": {}", error.message));
                    Err(not_now(format!("the download waits for its next try{reason}"), wait))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

impl RowContent {
    /// Length, validators and fields.
    pub fn representation(&self) -> &Representation {
        &self.representation
    }

    /// Reads the bytes up to `end`.
    pub fn into_source(self, end: u64) -> RowSource {
        RowSource::new(self.shared, self.id, self.generation, end, self.published)
    }
}

impl ContentError {
    /// Whether a new look at the row may lead to its bytes.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Changed)
    }
}

/// The file under the name, not a link in its place; `None` where not even its directory is.
fn open_published(target: &Path) -> io::Result<Option<FileSource>> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match open(target, flags, Mode::empty()) {
        Ok(file) => FileSource::new(std::fs::File::from(file)).map(Some),
        Err(_) if !target.parent().is_some_and(Path::is_dir) => Ok(None),
        // A link is not what was published.
        Err(rustix::io::Errno::LOOP) => Err(io::ErrorKind::NotFound.into()),
        Err(error) => Err(error.into()),
    }
}

/// What a browser makes of a file that somebody opens by its address.
#[derive(Debug, PartialEq, Eq)]
enum OpenedAs {
    /// A player. It fetches the file once more, which a sandbox would not let it.
    Media,
    Image,
    /// Saved: whoever offers a page must not have it shown as one of ours.
    Nothing,
}

fn opened_as(kind: &str) -> OpenedAs {
    match kind.split('/').next() {
        Some("audio" | "video") => OpenedAs::Media,
        Some("image") => OpenedAs::Image,
        _ => OpenedAs::Nothing,
    }
}

/// The entity tag of a generation: strong when the source's own validator vouches for every byte of it.
fn tag(row: &Download, total: u64) -> EntityTag {
    let of = format!("{} {} {} {total}", row.id, row.created_at.as_millis(), row.generation);
    let opaque = format!("{}-{}", row.id, &blake3::hash(of.as_bytes()).to_hex()[..16]);
    let validator = row.identity.validator.as_deref().and_then(|text| text.parse::<Validator>().ok());
    let tag = match validator.is_some_and(|validator| validator.is_strong()) {
        true => EntityTag::strong(&opaque),
        false => EntityTag::weak(&opaque),
    };
    tag.expect("digits, hex and a dash")
}

/// Whether nothing has happened to the published file since: no change of it is later than the word that it is whole.
fn is_untouched(row: &Download, file: &FileSource) -> bool {
    let changed_ms = file.stamp().ctime_ns.div_euclid(1_000_000);
    row.completed_at.map(Timestamp::as_millis).is_some_and(|at| changed_ms <= i128::from(at))
}

fn not_now(why: impl Into<String>, retry_after: Duration) -> ContentError {
    ContentError::NotNow { why: why.into(), retry_after }
}

fn nothing_known() -> ContentError {
    not_now("the peer has not said yet how long the file is", RETRY_AFTER)
}

/// No script of an image, nor a page of ours around it.
const HARMLESS: &str = "sandbox; default-src 'none'; style-src 'unsafe-inline'";
const NOT_THERE: ContentError = ContentError::Gone("the file is not where it was published");

/// How long an answer waits for its first byte before it says that nothing comes.
const HEAD_WAIT: Duration = Duration::from_secs(10);
/// How long a body waits for its next byte while nothing at all comes in.
const BODY_WAIT: Duration = Duration::from_secs(60);
/// When to ask again for what may come any moment.
const RETRY_AFTER: Duration = Duration::from_secs(5);
/// When to ask again for what waits for somebody to do something.
const PAUSED_WAIT: Duration = Duration::from_secs(30);
/// The record and the engine are a moment apart.
const RACE: Duration = Duration::from_millis(20);
