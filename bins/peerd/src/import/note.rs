//! What is known of the import of one download: kept with its row, and shown to whoever looks at it.

use std::time::SystemTime;

use download_registry::{Download, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::unlink::Mark;
use crate::moment::rfc3339;

/// The record of one import. Written before the step it announces, so that a new process knows what the last one was
/// about to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    /// The importer.
    pub(super) target: String,
    pub(super) stage: Stage,
    /// The file, as the importer knows it.
    #[serde(default)]
    pub(super) path: Option<String>,
    /// The importer's number for the command it was given.
    #[serde(default)]
    pub(super) command_id: Option<i64>,
    /// Failures in a row.
    #[serde(default)]
    pub(super) attempts: u32,
    /// Failures that were the importer's own doing, over all commands.
    #[serde(default)]
    pub(super) faults: u32,
    /// When the next step is due, in milliseconds since 1970.
    #[serde(default)]
    pub(super) due: Option<i64>,
    /// What stands in the way, or stood there last.
    #[serde(default)]
    pub(super) reason: Option<String>,
    pub(super) queued_at: i64,
    #[serde(default)]
    pub(super) sent_at: Option<i64>,
    /// Whether the importer's history shows the file.
    #[serde(default)]
    pub(super) confirmed: bool,
    /// Whether our file was removed afterwards.
    #[serde(default)]
    pub(super) unlinked: bool,
    /// By what our file is told from another one of its name.
    #[serde(default)]
    pub(super) mark: Option<Mark>,
    /// Since when our file is not where it was published, as far as we have seen.
    #[serde(default)]
    pub(super) missing_since: Option<i64>,
}

/// How far an import is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// The command is to be given.
    Queued,
    /// The command is on its way, or was when the process ended: whether it arrived is not known.
    Sending,
    /// The importer has the command.
    Running,
    /// The command is done; the history does not show the file yet.
    Confirming,
    /// The history shows the file; what follows is our own tidying.
    Confirmed,
    /// Over.
    Done,
    /// Given up.
    Failed,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Running => "running",
            Self::Confirming => "confirming",
            Self::Confirmed => "confirmed",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

impl Note {
    /// A new import, due at once.
    pub(super) fn new(target: &str, path: Option<String>, now: Timestamp) -> Self {
        Self {
            target: target.to_owned(),
            stage: Stage::Queued,
            path,
            command_id: None,
            attempts: 0,
            faults: 0,
            due: None,
            reason: None,
            queued_at: now.as_millis(),
            sent_at: None,
            confirmed: false,
            unlinked: false,
            mark: None,
            missing_since: None,
        }
    }

    /// The note of a row; `None` when it has none that can be read.
    pub(super) fn of(row: &Download) -> Option<Self> {
        serde_json::from_str(row.import_state.as_deref()?).ok()
    }

    /// As the row keeps it.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn queued_at(&self) -> Timestamp {
        Timestamp::from_millis(self.queued_at)
    }

    /// When the next step may be taken.
    pub(super) fn due(&self) -> Timestamp {
        Timestamp::from_millis(self.due.unwrap_or(i64::MIN))
    }

    /// Moves on: what failed before does not count any more.
    pub(super) fn step(&mut self, stage: Stage) {
        self.stage = stage;
        self.attempts = 0;
        self.due = None;
    }
}

/// The `import` member of a download object; null for a download that nobody takes over.
pub(crate) fn shown(row: &Download) -> Value {
    let Some(note) = Note::of(row) else {
        return match row.import.as_deref() {
            None | Some(crate::config::NO_IMPORTER) => Value::Null,
            Some(target) => json!({ "target": target, "state": "wanted" }),
        };
    };
    let time = |at: i64| rfc3339(SystemTime::from(Timestamp::from_millis(at)));
    json!({
        "target": note.target,
        "state": note.stage.as_str(),
        "path": note.path,
        "command_id": note.command_id,
        "attempts": note.attempts,
        "retry_at": note.due.filter(|_| note.attempts > 0).map(time),
        "reason": note.reason,
        "queued_at": time(note.queued_at),
        "sent_at": note.sent_at.map(time),
        "unlinked": note.unlinked,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_read_back_as_it_was_written() {
        let mut note = Note::new("radarr", Some("/mnt/film.mkv".to_owned()), Timestamp::from_millis(5));
        note.command_id = Some(7);
        note.step(Stage::Running);
        note.due = Some(99);
        assert_eq!(serde_json::from_str::<Note>(&note.text()).unwrap(), note);
    }

    #[test]
    fn a_note_of_an_earlier_version_is_read_with_what_it_has() {
        let note: Note = serde_json::from_str(r#"{"target":"r","stage":"queued","queued_at":1}"#).unwrap();
        assert_eq!(note, Note::new("r", None, Timestamp::from_millis(1)));
    }
}
