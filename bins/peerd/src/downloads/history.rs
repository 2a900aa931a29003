//! What happened to a download, as the registry wrote it down: its tries and its changes of state.

use download_registry::{Attempt, DownloadId, DownloadState, StorageError, Transition};
use serde::Serialize;

use super::Downloads;
use super::view::text;

/// The last tries and changes of a download, oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct HistoryView {
    attempts: Vec<AttemptView>,
    events: Vec<EventView>,
}

#[derive(Clone, Debug, Serialize)]
struct AttemptView {
    n: u32,
    started_at: String,
    ended_at: Option<String>,
    from: u64,
    to: Option<u64>,
    outcome: Option<String>,
    reason: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct EventView {
    at: String,
    event: String,
    reason: Option<String>,
    from: Option<&'static str>,
    to: &'static str,
    durable: u64,
    discarded: Option<u64>,
}

impl Downloads {
    /// What happened to a download; `None` if there is none.
    ///
    /// # Errors
    /// When the registry cannot be read.
    pub async fn history(&self, id: DownloadId) -> Result<Option<HistoryView>, StorageError> {
        let registry = &self.shared.registry;
        if registry.get(id).await?.is_none() {
            return Ok(None);
        }
        let attempts = registry.attempts(id, SHOWN).await?.into_iter().map(AttemptView::from);
        let events = registry.transitions(id, SHOWN).await?.into_iter().map(EventView::from);
        Ok(Some(HistoryView { attempts: attempts.collect(), events: events.collect() }))
    }
}

impl From<Attempt> for AttemptView {
    fn from(attempt: Attempt) -> Self {
        Self {
            n: attempt.n,
            started_at: text(attempt.started_at),
            ended_at: attempt.ended_at.map(text),
            from: attempt.from_bytes,
            to: attempt.to_bytes,
            outcome: attempt.outcome,
            reason: attempt.reason,
        }
    }
}

impl From<Transition> for EventView {
    fn from(change: Transition) -> Self {
        Self {
            at: text(change.at),
            event: change.event,
            reason: change.reason,
            from: change.from.map(DownloadState::as_str),
            to: change.to.as_str(),
            durable: change.durable,
            discarded: change.discarded,
        }
    }
}

/// Entries of each kind.
const SHOWN: u32 = 100;
