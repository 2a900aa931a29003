//! One importer's worker: it takes the rows that are due, one after the other, a step further.

mod steps;

use std::sync::Arc;
use std::time::Duration;

use download_registry::{Download, DownloadId, DownloadState, OperatorError, Timestamp};
use retry_kit::Clock;
use tokio::sync::Notify;

use self::steps::{Step, Trouble};
use super::Shared;
use super::arr::ArrError;
use super::confirm::Taken;
use super::importer::Importer;
use super::note::{Note, Stage};
use super::patience::{Next, Weight, look_again};

/// Works for as long as it is polled. Dropping it loses nothing: what it was about to do is on record.
pub(super) async fn run(shared: Arc<Shared>, name: String) {
    let Some(importer) = shared.importers.get(&name) else { return };
    loop {
        let mut round = Round { shared: &shared, importer, since: shared.now(), taken: None, away: None };
        let mut due = Vec::new();
        for id in importer.due(shared.now()) {
            match shared.registry.get(id).await {
                Ok(row) => due.extend(round.accept(id, row)),
                Err(error) => {
                    tracing::warn!(error = %resume_fetch::describe(&error), "the registry failed; trying again");
                    importer.postpone(id, shared.now().saturating_add(STORAGE_PAUSE));
                }
            }
        }
        for (row, note) in due {
            round.advance(&row, note).await;
        }
        wait(&shared, importer, &importer.wake).await;
    }
}

/// Waits for the next row that is due, or for news.
async fn wait(shared: &Shared, importer: &Importer, wake: &Notify) {
    let next = importer.jobs().values().map(|job| job.due).min();
    let timer = async {
        match next {
            Some(next) => shared.clock.sleep(next.saturating_since(shared.now())).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = timer => {}
        () = wake.notified() => {}
    }
}

/// One pass over the rows that are due. The history is read once for all of them.
struct Round<'a> {
    shared: &'a Arc<Shared>,
    importer: &'a Importer,
    /// When the oldest of them was published.
    since: Timestamp,
    taken: Option<Result<Taken, ArrError>>,
    /// Nobody was there for a row of this round, or only somebody who has no time: so it is for the rest of it, and
    /// they do not wait for an answer one after the other.
    away: Option<Trouble>,
}

impl Round<'_> {
    /// Takes a row in, unless it is not ours any more.
    fn accept(&mut self, id: DownloadId, row: Option<Download>) -> Option<(Download, Note)> {
        let row = row.filter(|row| row.state == DownloadState::ImportQueued);
        let Some((row, mut note)) = row.and_then(|row| Note::of(&row).map(|note| (row, note))) else {
            self.importer.jobs().remove(&id);
            return None;
        };
        if self.importer.take_order(id) && note.stage != Stage::Confirmed {
            note.step(Stage::Sending);
            note.missing_since = None;
            (note.faults, note.queued_at) = (0, self.shared.now().as_millis());
        }
        self.since = self.since.min(published_at(&row, &note));
        Some((row, note))
    }

    /// Takes a row as far as it goes without waiting.
    async fn advance(&mut self, row: &Download, mut note: Note) {
        let outcome = loop {
            let step = match (&self.away, note.stage) {
                (Some(trouble), stage) if stage != Stage::Confirmed => Ok(Step::Failed(trouble.clone())),
                _ => self.step(row, &mut note).await,
            };
            let step = match step {
                Ok(Step::On) => continue,
                Ok(step) => step,
                Err(error) => break Err(error),
            };
            break match step {
                Step::Later => self.look_again(row, note).await,
                Step::Failed(trouble) => {
                    if trouble.nobody_there {
                        self.away = Some(trouble.clone());
                    }
                    self.failed(row, note, trouble).await
                }
                Step::On | Step::Over => {
                    self.importer.jobs().remove(&row.id);
                    Ok(())
                }
            };
        };
        match outcome {
            Ok(()) => {}
            // Deleted meanwhile, or in other hands.
            Err(OperatorError::NotFound(_) | OperatorError::WrongState(_)) => {
                self.importer.jobs().remove(&row.id);
            }
            Err(error) => {
                let text = resume_fetch::describe(&error);
                tracing::warn!(download_id = row.id.get(), error = %text, "the row cannot be written; trying again");
                self.importer.postpone(row.id, self.shared.now().saturating_add(STORAGE_PAUSE));
            }
        }
    }

    async fn look_again(&self, row: &Download, mut note: Note) -> Result<(), OperatorError> {
        let now = self.shared.now();
        if self.shared.patience.is_over(note.queued_at(), now) {
            let reason = note
                .reason
                .clone()
                .unwrap_or_else(|| format!("{} never came to an end with it", note.target));
            return self.give_up(row, note, &reason).await;
        }
        let began = note.sent_at.map_or(note.queued_at(), Timestamp::from_millis);
        let due = now.saturating_add(look_again(now.saturating_since(began)));
        note.attempts = 0;
        // Written for whoever reads it. When to look again is not worth a line on record.
        if Note::of(row).is_none_or(|known| (&known.reason, known.stage) != (&note.reason, note.stage)) {
            self.write(row, &note).await?;
        }
        self.importer.postpone(row.id, due);
        Ok(())
    }

    async fn failed(&self, row: &Download, mut note: Note, trouble: Trouble) -> Result<(), OperatorError> {
        let Trouble { said, weight, wait, .. } = trouble;
        note.attempts = note.attempts.saturating_add(1);
        note.faults = note.faults.saturating_add(u32::from(weight == Weight::Fault));
        let (now, counts) = (self.shared.now(), (note.attempts, note.faults));
        let next =
            self.shared.patience.after(weight, counts, wait, (note.queued_at(), now), &mut self.shared.rng());
        let reason = format!("{} {said}", note.target);
        match next {
            Next::At(due) => {
                let delay_ms = due.saturating_since(now).as_millis() as u64;
                let (target, attempt) = (&note.target, note.attempts);
                tracing::warn!(
                    download_id = row.id.get(),
                    target,
                    attempt,
                    delay_ms,
                    reason,
                    "the import is tried again"
                );
                self.shared.count(target, "retried");
                note.due = Some(due.as_millis());
                note.reason = Some(reason);
                self.write(row, &note).await?;
                self.importer.postpone(row.id, due);
                Ok(())
            }
            Next::GiveUp => {
                let tries = match note.attempts {
                    1 => String::new(),
                    tries => format!(" (after {tries} tries)"),
                };
                self.give_up(row, note, &format!("{reason}{tries}")).await
            }
        }
    }

    async fn give_up(&self, row: &Download, note: Note, reason: &str) -> Result<(), OperatorError> {
        if self.importer.is_ordered(row.id) {
            // Somebody wants it tried again, and was told that it will be.
            return Ok(());
        }
        self.importer.jobs().remove(&row.id);
        self.shared.give_up(row, note, reason).await
    }

    async fn write(&self, row: &Download, note: &Note) -> Result<(), OperatorError> {
        self.shared.registry.set_import_state(row.id, &note.text(), self.shared.now()).await.map(drop)
    }
}

/// Since when the file is there: what was taken from that path before was another one.
fn published_at(row: &Download, note: &Note) -> Timestamp {
    row.completed_at.unwrap_or(note.queued_at())
}

const STORAGE_PAUSE: Duration = Duration::from_secs(1);
