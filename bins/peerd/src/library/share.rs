//! One shared directory: how it is described, and what its last walk found.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use std::{fmt, io};

use serde::Serialize;
use tokio::sync::watch;

use super::LookupError;
use super::beneath::Root;
use super::filter::{Filter, PatternError};
use super::index::Index;
use super::scan::scan;

/// A directory to share, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareSpec {
    /// The first half of every id in it.
    pub name: String,
    /// The directory; it may be a link itself, and need not be there yet.
    pub root: PathBuf,
    /// Globs of what is offered. `*` stays within a path segment, `**` crosses them; without a slash the
    /// pattern is tried on the file name at any depth.
    pub include: Vec<String>,
    /// Globs of what is not, files and whole directories.
    pub exclude: Vec<String>,
    /// Whether links are followed; even then they lead only beneath `root`.
    pub follow_symlinks: bool,
}

/// What one walk over a share found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ScanReport {
    /// Files offered.
    pub items: usize,
    /// The sum of their sizes in bytes.
    pub bytes: u64,
    /// Files and directories that could not be read.
    pub unreadable: usize,
}

/// A share as it stands.
#[derive(Clone, Debug)]
pub struct ShareStatus {
    /// Its name.
    pub name: String,
    /// The shared directory.
    pub root: PathBuf,
    /// What the last successful walk found; `None` before the first has ended.
    pub report: Option<ScanReport>,
    /// When that walk ended.
    pub scanned_at: Option<SystemTime>,
    /// Why the last walk failed, if it did.
    pub error: Option<String>,
}

/// Why a share could not be walked.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the shared directory {}", root.display())]
pub struct ScanError {
    /// The shared directory.
    pub root: PathBuf,
    #[source]
    source: io::Error,
}

/// The first walk over a share has not ended yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a share is being read for the first time")]
pub struct NotReady;

pub(super) struct Share {
    spec: ShareSpec,
    filter: Filter,
    /// `None` until the first walk has ended, well or not.
    index: watch::Sender<Option<Arc<Index>>>,
    last: Mutex<LastScan>,
    number: u64,
    /// One walk at a time.
    walking: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct LastScan {
    report: Option<ScanReport>,
    scanned_at: Option<SystemTime>,
    error: Option<String>,
}

impl Share {
    pub(super) fn new(spec: ShareSpec) -> Result<Self, PatternError> {
        Ok(Self {
            filter: Filter::new(&spec.include, &spec.exclude)?,
            spec,
            index: watch::Sender::new(None),
            last: Mutex::default(),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            walking: Arc::default(),
        })
    }

    /// Walks the directory and replaces the index. If it cannot be read the last index stays: a disk that is
    /// away for a moment takes no id with it.
    ///
    /// # Cancel safety
    /// Safe. A walk that has begun ends and counts, whether or not anyone still waits for it.
    pub(super) async fn rescan(self: &Arc<Self>, now: SystemTime) -> Result<ScanReport, ScanError> {
        let turn = Arc::clone(&self.walking).lock_owned().await;
        let share = Arc::clone(self);
        let walk = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let found = share.root().and_then(|root| scan(&root, &share.filter, share.spec.follow_symlinks));
            share.record(found, now)
        });
        walk.await.unwrap_or_else(|fault| Err(self.failed(io::Error::other(fault))))
    }

    fn record(&self, found: io::Result<Index>, now: SystemTime) -> Result<ScanReport, ScanError> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(index) => {
                let report = ScanReport {
                    items: index.entries().len(),
                    bytes: index.bytes(),
                    unreadable: index.unreadable(),
                };
                *last = LastScan { report: Some(report), scanned_at: Some(now), error: None };
                self.index.send_replace(Some(Arc::new(index)));
                Ok(report)
            }
            Err(error) => {
                last.error = Some(error.to_string());
                self.index.send_if_modified(|index| {
                    let first = index.is_none();
                    index.get_or_insert_default();
                    first
                });
                Err(self.failed(error))
            }
        }
    }

    fn failed(&self, source: io::Error) -> ScanError {
        ScanError { root: self.spec.root.clone(), source }
    }

    /// Opens the shared directory as it is now: it may have been mounted or replaced since the last time.
    pub(super) fn root(&self) -> io::Result<Root> {
        Root::open(&self.spec.root, self.spec.follow_symlinks)
    }

    /// The last index; waits for the first walk to end, up to [`FIRST_WALK`].
    pub(super) async fn index(&self) -> Result<Arc<Index>, NotReady> {
        if let Some(index) = &*self.index.borrow() {
            return Ok(Arc::clone(index));
        }
        let mut index = self.index.subscribe();
        let found = tokio::time::timeout(FIRST_WALK, index.wait_for(Option::is_some)).await;
        found.ok().and_then(Result::ok).and_then(|index| index.clone()).ok_or(NotReady)
    }

    /// What it means that an id is not in the index: after a failed walk nothing, the file may be there.
    pub(super) fn missing(&self) -> LookupError {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match &last.error {
            Some(error) => LookupError::Unreadable(io::Error::other(error.clone())),
            None => LookupError::Unknown,
        }
    }

    /// Whether a change at this place under the shared directory can change what is offered.
    pub(super) fn concerns(&self, place: &Path) -> bool {
        let within = place.strip_prefix(&self.spec.root).unwrap_or(place);
        self.filter.enters(within.as_os_str().as_bytes())
    }

    /// What no other share of this process has, even one of the same name.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn spec(&self) -> &ShareSpec {
        &self.spec
    }

    pub(super) fn name(&self) -> &str {
        &self.spec.name
    }

    pub(super) fn status(&self) -> ShareStatus {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        ShareStatus {
            name: self.spec.name.clone(),
            root: self.spec.root.clone(),
            report: last.report,
            scanned_at: last.scanned_at,
            error: last.error.clone(),
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("spec", &self.spec).finish_non_exhaustive()
    }
}

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// How long anyone waits for the first walk over a share.
pub const FIRST_WALK: Duration = Duration::from_secs(10);
