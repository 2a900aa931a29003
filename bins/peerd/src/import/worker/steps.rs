//! The steps of an import: each says what it did, what it waits for, or what went wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use download_registry::{Download, DownloadState, OperatorError, Timestamp};

use super::{Round, published_at};
use crate::downloads::owns_target;
use crate::import::arr::{Arr, ArrError, Command, CommandState};
use crate::import::confirm::Taken;
use crate::import::note::{Note, Stage};
use crate::import::patience::Weight;
use crate::import::unlink::Published;
use crate::import::{date, path_map, unlink};

/// What a step came to.
pub(super) enum Step {
    /// On to the next one.
    On,
    /// Something takes its time there.
    Later,
    Failed(Trouble),
    /// The row has left our hands.
    Over,
}

/// What went wrong with a step.
#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) said: String,
    pub(super) weight: Weight,
    pub(super) wait: Option<Duration>,
    pub(super) nobody_there: bool,
}

impl Trouble {
    fn new(said: impl Into<String>, weight: Weight) -> Self {
        Self { said: said.into(), weight, wait: None, nobody_there: false }
    }
}

impl From<ArrError> for Trouble {
    fn from(error: ArrError) -> Self {
        let nobody_there = error.weight() == Weight::Away;
        Self { wait: error.wait(), nobody_there, ..Self::new(error.to_string(), error.weight()) }
    }
}

impl Round<'_> {
    /// Takes the step the note stands before.
    pub(super) async fn step(&mut self, row: &Download, note: &mut Note) -> Result<Step, OperatorError> {
        match note.stage {
            Stage::Queued => self.send(row, note).await,
            Stage::Sending => self.find_out(row, note).await,
            Stage::Running => self.follow(row, note).await,
            Stage::Confirming => Ok(self.confirm(row, note).await),
            Stage::Confirmed => self.finish(row, note).await,
            Stage::Done | Stage::Failed => Ok(Step::Over),
        }
    }

    /// Gives the command.
    async fn send(&mut self, row: &Download, note: &mut Note) -> Result<Step, OperatorError> {
        let Some(ours) = row.target.as_deref() else { return Ok(Step::Over) };
        let path = path_map::theirs(ours.as_ref(), &self.importer.config.path_map);
        note.path = Some(path.clone());
        if is_missing(ours).await {
            return self.gone(row, note, ours).await;
        }
        note.missing_since = None;
        note.stage = Stage::Sending;
        note.sent_at = Some(self.shared.now().as_millis());
        // Before the command: a process that dies now leaves behind that it may have arrived.
        self.write(row, note).await?;
        match self.arr().scan(&path).await {
            Ok(command) => self.given(row, note, &command).await,
            Err(error) => {
                if !error.is_in_doubt() {
                    note.stage = Stage::Queued;
                }
                Ok(Step::Failed(error.into()))
            }
        }
    }

    /// A file that is not there was perhaps taken without being asked for: importers look into folders by themselves,
    /// and move a file before they write that into their history. Or its disk is away.
    async fn gone(&mut self, row: &Download, note: &mut Note, ours: &str) -> Result<Step, OperatorError> {
        match self.shows(row, note).await {
            Ok(true) => {
                note.step(Stage::Confirmed);
                note.confirmed = true;
                self.write(row, note).await?;
                Ok(Step::On)
            }
            Ok(false) => {
                let folder = Path::new(ours).parent().and_then(Path::to_str).unwrap_or_default();
                if is_missing(folder).await {
                    note.missing_since = None;
                    let said = "was not asked: the folder of the file is not there; is its disk mounted?";
                    return Ok(Step::Failed(Trouble::new(said, Weight::Away)));
                }
                let now = self.shared.now();
                let since = *note.missing_since.get_or_insert(now.as_millis());
                let weight = self.shared.patience.missing(Timestamp::from_millis(since), now);
                Ok(Step::Failed(Trouble::new("was not asked: the file is not there any more", weight)))
            }
            Err(error) => Ok(Step::Failed(error.into())),
        }
    }

    /// Finds out what became of a command nobody knows the answer to.
    async fn find_out(&mut self, row: &Download, note: &mut Note) -> Result<Step, OperatorError> {
        let path = note.path.clone().unwrap_or_default();
        match self.shows(row, note).await {
            Ok(true) => {
                note.step(Stage::Confirmed);
                note.confirmed = true;
                self.write(row, note).await?;
                return Ok(Step::On);
            }
            Ok(false) => {}
            Err(error) if error.weight() == Weight::Away => return Ok(Step::Failed(error.into())),
            Err(error) => self.shrug(row, &error),
        }
        let given = match self.arr().commands().await {
            Ok(commands) => commands.into_iter().find(|command| self.is_ours(command, &path, note)),
            Err(error) if error.weight() == Weight::Away => return Ok(Step::Failed(error.into())),
            Err(error) => {
                self.shrug(row, &error);
                None
            }
        };
        match given {
            Some(command) => self.given(row, note, &command).await,
            None => {
                note.stage = Stage::Queued;
                Ok(Step::On)
            }
        }
    }

    /// Whether a command is the one we gave, and not over yet. One that is over would show in the history if it had
    /// taken the file.
    fn is_ours(&self, command: &Command, path: &str, note: &Note) -> bool {
        let given = command.body.as_ref().and_then(|body| body.path.as_deref());
        let queued = command.queued.as_deref().and_then(date::parse);
        let sent = Timestamp::from_millis(note.sent_at.unwrap_or(i64::MAX)).saturating_sub(CLOCKS_APART);
        command.name == self.arr().command_name()
            && given.is_some_and(|given| path_map::same(given, path))
            && queued.is_some_and(|queued| queued >= sent)
            && command.state() == CommandState::Pending
    }

    async fn given(&self, row: &Download, note: &mut Note, command: &Command) -> Result<Step, OperatorError> {
        note.step(Stage::Running);
        note.command_id = Some(command.id);
        note.reason = None;
        self.write(row, note).await?;
        let (target, path) = (&note.target, note.path.as_deref());
        tracing::info!(
            download_id = row.id.get(),
            target,
            path,
            command = command.id,
            "the importer looks at it"
        );
        Ok(Step::On)
    }

    /// Looks how far the command is.
    async fn follow(&mut self, row: &Download, note: &mut Note) -> Result<Step, OperatorError> {
        let Some(id) = note.command_id else {
            note.stage = Stage::Queued;
            return Ok(Step::On);
        };
        let state = match self.arr().command(id).await {
            Ok(command) => command.state(),
            // It forgets commands after a while; its history does not.
            Err(error) if error.is_not_found() && self.importer.config.confirm => CommandState::Done,
            Err(error) if error.is_not_found() => {
                CommandState::Failed("it does not know the command any more".to_owned())
            }
            Err(error) => return Ok(Step::Failed(error.into())),
        };
        match state {
            CommandState::Pending => Ok(Step::Later),
            CommandState::Done => {
                note.step(if self.importer.config.confirm { Stage::Confirming } else { Stage::Confirmed });
                self.write(row, note).await?;
                Ok(Step::On)
            }
            CommandState::Failed(said) => {
                // It is given once more, after a pause; unless the file turns out to be there.
                note.stage = Stage::Sending;
                Ok(Step::Failed(Trouble::new(said, Weight::Fault)))
            }
        }
    }

    /// Looks for the file in the history.
    async fn confirm(&mut self, row: &Download, note: &mut Note) -> Step {
        match self.shows(row, note).await {
            Ok(true) => {
                note.step(Stage::Confirmed);
                note.confirmed = true;
                note.reason = None;
                match self.write(row, note).await {
                    Ok(()) => Step::On,
                    Err(_) => Step::Later,
                }
            }
            Ok(false) => {
                let target = &note.target;
                let said =
                    format!("{target} has looked at it, and its history does not show it yet; see there why");
                if note.reason.as_deref() != Some(&said) {
                    tracing::warn!(download_id = row.id.get(), target, path = note.path, "not imported yet");
                    note.reason = Some(said);
                }
                Step::Later
            }
            Err(error) => Step::Failed(error.into()),
        }
    }

    /// Lets go of our copy, if that is wanted, and of the row.
    async fn finish(&self, row: &Download, note: &mut Note) -> Result<Step, OperatorError> {
        if self.shared.unlink && note.confirmed {
            match self.unlink(row, note).await? {
                Ok(removed) => note.unlinked = removed,
                Err(reason) => {
                    tracing::warn!(download_id = row.id.get(), reason, "imported, and our copy stays");
                    note.reason = Some(format!("imported; our copy stays: {reason}"));
                }
            }
        }
        note.step(Stage::Done);
        self.shared.done(row, note.clone()).await?;
        Ok(Step::Over)
    }

    async fn unlink(&self, row: &Download, note: &Note) -> Result<Result<bool, String>, OperatorError> {
        let Some(target) = row.target.as_deref() else { return Ok(Ok(false)) };
        // Whoever removed the row since it was read keeps the file: it is theirs now.
        let current = self.shared.registry.get(row.id).await?.ok_or(OperatorError::NotFound(row.id))?;
        if current.state != DownloadState::ImportQueued {
            return Ok(Err("the download is in other hands".to_owned()));
        }
        if !owns_target(&self.shared.registry, &current).await? {
            return Ok(Err("a later download has this name".to_owned()));
        }
        let size = row.identity.total.map(|total| total.bytes);
        let ours = Published { size, mark: note.mark, at: published_at(row, note) };
        Ok(unlink::unlink(PathBuf::from(target), self.shared.dir.clone(), ours).await)
    }

    /// Whether the history shows the file of a row.
    async fn shows(&mut self, row: &Download, note: &Note) -> Result<bool, ArrError> {
        let taken = match self.taken.take() {
            Some(taken) => taken,
            None => Taken::read(self.arr(), self.since, &self.shared.clock).await,
        };
        let path = note.path.as_deref().unwrap_or_default();
        // What failed once in this round would fail for every row of it.
        match self.taken.insert(taken) {
            Ok(taken) => Ok(taken.shows(path, published_at(row, note))),
            Err(error) => Err(error.clone()),
        }
    }

    /// What we wanted to know is not worth waiting for: giving the command twice does no harm.
    fn shrug(&self, row: &Download, error: &ArrError) {
        tracing::debug!(download_id = row.id.get(), %error, "the importer does not say what it has done");
    }

    fn arr(&self) -> &Arr {
        &self.importer.arr
    }
}

async fn is_missing(path: &str) -> bool {
    let path = path.to_owned();
    let found = tokio::task::spawn_blocking(move || std::fs::symlink_metadata(path)).await;
    matches!(found, Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound)
}

/// How far the importer's clock may be from ours when its commands are looked through.
const CLOCKS_APART: Duration = Duration::from_secs(10 * 60);
