//! How a published file comes to its importer: the log of the registry says what was published, in order, and survives
//! everything. How far it was read stands in a record of its own.

use std::sync::Arc;
use std::time::Duration;

use download_registry::{
    Download, DownloadState, Event as RowEvent, ListError, ListQuery, OperatorError, StorageError,
};
use retry_kit::Clock;

use super::note::Note;
use super::route::Route;
use super::{Job, Shared};

/// Where to go on reading; `None` if there is no importer at all.
///
/// Files that were published while there was none are nobody's business later on: the first importer begins with what
/// comes after it.
pub(super) async fn open(shared: &Arc<Shared>) -> Result<Option<i64>, StorageError> {
    if shared.importers.is_empty() {
        shared.registry.remove_record(KIND, NAME).await?;
        return Ok(None);
    }
    let read = shared.registry.record(KIND, NAME).await?.and_then(|text| text.parse().ok());
    let from = match read {
        Some(from) => from,
        None => {
            let newest = shared.registry.newest_transition().await?;
            keep(shared, newest).await?;
            newest
        }
    };
    Ok(Some(from))
}

/// Hands the rows that are in line already to their importers.
pub(super) async fn take_up(shared: &Arc<Shared>) -> Result<(), ListError> {
    let mut query =
        ListQuery { states: vec![DownloadState::ImportQueued], limit: 1000, ..ListQuery::default() };
    loop {
        let page = shared.registry.list(&query).await?;
        for row in page.items {
            let note = Note::of(&row);
            match note.as_ref().and_then(|note| Some((note, shared.importers.get(&note.target)?))) {
                Some((note, importer)) => importer.put(row.id, Job { due: note.due(), again: false }),
                None => orphaned(shared, &row, note).await,
            }
        }
        query.cursor = page.next;
        if query.cursor.is_none() {
            return Ok(());
        }
    }
}

/// A row that waits for an importer the configuration does not know any more.
async fn orphaned(shared: &Arc<Shared>, row: &Download, note: Option<Note>) {
    let note = note.unwrap_or_else(|| Note::new("unknown", None, shared.now()));
    let reason = format!("no importer is called {} any more", note.target);
    if let Err(error) = shared.give_up(row, note, &reason).await {
        tracing::warn!(download_id = row.id.get(), error = %resume_fetch::describe(&error), "the row could not be written");
    }
}

/// Reads the log for as long as it is polled.
pub(super) async fn follow(shared: Arc<Shared>, mut from: i64) {
    loop {
        match read(&shared, &mut from).await {
            Ok(()) => shared.published.notified().await,
            Err(error) => {
                tracing::warn!(error = %resume_fetch::describe(&error), "cannot look for files to be imported; trying again");
                shared.clock.sleep(PAUSE).await;
            }
        }
    }
}

async fn read(shared: &Arc<Shared>, from: &mut i64) -> Result<(), OperatorError> {
    loop {
        let page = shared.registry.transitions_after(*from, PAGE).await?;
        let mut news = false;
        for transition in &page.transitions {
            if transition.event == RowEvent::Published.as_str() {
                news = true;
                if let Some(row) = shared.registry.get(transition.download).await? {
                    published(shared, &row).await?;
                }
            }
        }
        if let Some(last) = page.transitions.last() {
            *from = last.seq;
        }
        if news {
            keep(shared, *from).await?;
        }
        if page.transitions.is_empty() {
            *from = page.newest.max(*from);
            return Ok(());
        }
    }
}

/// Puts a row in line with whoever takes it. One that was there already has a note.
async fn published(shared: &Arc<Shared>, row: &Download) -> Result<(), OperatorError> {
    if row.state != DownloadState::Completed || row.import_state.is_some() {
        return Ok(());
    }
    let outcome = match shared.route(row) {
        Route::Nobody => return Ok(()),
        Route::To { target, also } => {
            if !also.is_empty() {
                let also = also.join(", ");
                tracing::info!(
                    download_id = row.id.get(),
                    target,
                    also,
                    "more than one importer would take it"
                );
            }
            shared.begin(row, target).await.map(drop)
        }
        Route::Unknown(target) => {
            let reason = format!("no importer is called {target}");
            let note = Note::new(target, None, shared.now());
            match shared.registry.import_queued(row.id, &note.text(), shared.now()).await {
                // By the log, so that it is told even if the process dies here.
                Ok(row) => shared.give_up(&row, note, &reason).await,
                Err(error) => Err(error),
            }
        }
    };
    match outcome {
        // Deleted, or moved on, since it was read.
        Err(OperatorError::NotFound(_) | OperatorError::WrongState(_)) => Ok(()),
        outcome => outcome,
    }
}

async fn keep(shared: &Arc<Shared>, seq: i64) -> Result<(), StorageError> {
    shared.registry.put_record(KIND, NAME, &seq.to_string(), shared.now()).await
}

const KIND: &str = "import";
const NAME: &str = "log";
const PAGE: u32 = 500;
const PAUSE: Duration = Duration::from_secs(1);
