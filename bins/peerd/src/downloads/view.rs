//! A download as the admin API shows it: the row, and what its engine says right now.

use std::collections::BTreeMap;
use std::time::SystemTime;

use download_registry::{
    Download, DownloadId, DownloadState, ListError, ListQuery, Page, StorageError, Timestamp,
};
use resume_fetch::{Phase, Progress};
use serde::Serialize;

use super::Downloads;
use crate::moment::rfc3339;

/// The download object of the API.
#[derive(Clone, Debug, Serialize)]
pub struct DownloadView {
    id: i64,
    peer: Option<String>,
    item: Option<String>,
    url: String,
    filename: Option<String>,
    target: Option<String>,
    state: &'static str,
    retryable: bool,
    priority: i8,
    total: Option<u64>,
    total_source: Option<&'static str>,
    validator: Option<String>,
    durable: u64,
    written: u64,
    rate: u64,
    eta: Option<u64>,
    attempts: u32,
    restarts: u32,
    last_restart: Option<RestartView>,
    retry_at: Option<String>,
    limit_down: Option<u64>,
    import: serde_json::Value,
    error: Option<ErrorView>,
    created_at: String,
    updated_at: String,
    completed_at: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct RestartView {
    reason: String,
    discarded: u64,
    at: String,
}

#[derive(Clone, Debug, Serialize)]
struct ErrorView {
    kind: String,
    message: String,
}

impl Downloads {
    /// One download.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn view(&self, id: DownloadId) -> Result<Option<DownloadView>, StorageError> {
        Ok(self.shared.registry.get(id).await?.map(|row| self.view_of(row)))
    }

    /// A page of downloads, and the cursor of the next.
    ///
    /// # Errors
    /// [`ListError`] for a cursor of another list, or when the registry cannot be read.
    pub async fn list(&self, query: &ListQuery) -> Result<(Vec<DownloadView>, Option<String>), ListError> {
        let Page { items, next, .. } = self.shared.registry.list(query).await?;
        let views = items.into_iter().map(|row| self.view_of(row)).collect();
        Ok((views, next.map(|cursor| cursor.to_string())))
    }

    /// Every download that is not over, and the latest of those that are, the newest first; and whether there are
    /// more.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn snapshot(&self) -> Result<(Vec<DownloadView>, bool), ListError> {
        let (open, over): (Vec<_>, Vec<_>) = DownloadState::ALL
            .into_iter()
            .partition(|state| state.is_live() || *state == DownloadState::Failed);
        let (mut views, mut more) = (Vec::new(), false);
        for (states, limit) in [(open, SNAPSHOT_OPEN), (over, SNAPSHOT_OVER)] {
            let (rows, next) = self.list(&ListQuery { states, limit, ..ListQuery::default() }).await?;
            views.extend(rows);
            more |= next.is_some();
        }
        Ok((views, more))
    }

    /// How many rows there are in each state, as they are [shown](Self::view).
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn counts(&self) -> Result<BTreeMap<DownloadState, u64>, StorageError> {
        let enabled = self.shared.settings().enabled;
        let mut counts = BTreeMap::new();
        for (state, count) in self.shared.registry.counts().await? {
            *counts.entry(shown(state, enabled)).or_default() += count;
        }
        Ok(counts)
    }

    /// The object of a row just read or changed.
    pub fn view_of(&self, row: Download) -> DownloadView {
        let running = self.shared.running().get(&row.id).and_then(|running| *running.progress.borrow());
        DownloadView::new(row, running, self.shared.settings().enabled)
    }
}

/// The state people are shown: where downloads are disabled, all that are not over stand still.
fn shown(state: DownloadState, enabled: bool) -> DownloadState {
    if !enabled && state.is_live() { DownloadState::Paused } else { state }
}

impl DownloadView {
    fn new(row: Download, running: Option<Progress>, enabled: bool) -> Self {
        let import = crate::import::shown(&row);
        let now = running.filter(|_| row.state.is_leased());
        let rate = now.filter(|now| now.phase == Phase::Downloading).map_or(0.0, |now| now.rate);
        let url = match row.peer {
            Some(_) => row.url,
            // A query may be somebody's token.
            None => row.url.split('?').next().unwrap_or_default().to_owned(),
        };
        let mut error = row.error.map(|error| ErrorView { kind: error.kind, message: error.message });
        let state = shown(row.state, enabled);
        if state != row.state {
            let message = "downloads are disabled in the configuration".to_owned();
            error = Some(ErrorView { kind: "disabled".to_owned(), message });
        }
        Self {
            id: row.id.get(),
            peer: row.peer,
            item: row.item,
            url,
            filename: row.filename,
            target: row.target,
            state: state.as_str(),
            retryable: row.retryable,
            priority: row.priority.get(),
            total: row.identity.total.map(|total| total.bytes),
            total_source: row.identity.total.map(|total| total.source.as_str()),
            validator: row.identity.validator,
            durable: row.durable,
            // Between two checkpoints the engine is ahead of the row, and never behind it.
            written: now.map_or(row.durable, |now| now.written.max(row.durable)),
            rate: rate.round() as u64,
            eta: now.and_then(|now| now.eta).map(|eta| eta.as_secs()),
            attempts: row.attempts,
            restarts: row.restarts,
            last_restart: row.last_restart.map(|(restart, at)| RestartView {
                reason: restart.reason,
                discarded: restart.discarded,
                at: text(at),
            }),
            retry_at: row.retry_at.map(text),
            limit_down: row.limit_down,
            import,
            error,
            created_at: text(row.created_at),
            updated_at: text(row.updated_at),
            completed_at: row.completed_at.map(text),
        }
    }
}

pub(super) fn text(at: Timestamp) -> String {
    rfc3339(SystemTime::from(at))
}

/// Rows of a snapshot that are not over, and that are.
const SNAPSHOT_OPEN: u32 = 1000;
const SNAPSHOT_OVER: u32 = 100;
