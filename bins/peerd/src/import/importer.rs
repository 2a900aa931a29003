//! One importer, and the rows it is still to take.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use download_registry::{DownloadId, Timestamp};
use tokio::sync::Notify;

use super::arr::Arr;
use crate::config::ImportConfig;

/// One Radarr or Sonarr, and what is to be done there.
pub(super) struct Importer {
    pub(super) config: ImportConfig,
    pub(super) arr: Arr,
    jobs: Mutex<HashMap<DownloadId, Job>>,
    pub(super) wake: Notify,
}

/// A row that a worker looks after; what it knows of it stands in the registry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) due: Timestamp,
    /// Whether somebody wants the command given again.
    pub(super) again: bool,
}

impl Importer {
    pub(super) fn new(config: ImportConfig, arr: Arr) -> Self {
        Self { config, arr, jobs: Mutex::default(), wake: Notify::new() }
    }

    pub(super) fn jobs(&self) -> MutexGuard<'_, HashMap<DownloadId, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, id: DownloadId, job: Job) {
        self.jobs().insert(id, job);
        self.wake.notify_one();
    }

    /// The rows whose time has come, the longest due first.
    pub(super) fn due(&self, now: Timestamp) -> Vec<DownloadId> {
        let jobs = self.jobs();
        let mut due: Vec<_> =
            jobs.iter().filter(|(_, job)| job.due <= now).map(|(id, job)| (job.due, *id)).collect();
        due.sort_unstable();
        due.truncate(ROUND);
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Sets when a row is looked at again, unless somebody wants it sooner.
    pub(super) fn postpone(&self, id: DownloadId, due: Timestamp) {
        if let Some(job) = self.jobs().get_mut(&id)
            && !job.again
        {
            *job = Job { due, again: false };
        }
    }

    pub(super) fn is_ordered(&self, id: DownloadId) -> bool {
        self.jobs().get(&id).is_some_and(|job| job.again)
    }

    /// Whether somebody wants the command given again; asked once.
    pub(super) fn take_order(&self, id: DownloadId) -> bool {
        self.jobs().get_mut(&id).is_some_and(|job| std::mem::take(&mut job.again))
    }
}

/// Rows of one round.
const ROUND: usize = 200;
