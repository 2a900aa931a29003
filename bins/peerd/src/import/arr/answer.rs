//! What importers answer: the few members that matter, from strangers.

use serde::Deserialize;
use serde_json::Value;

use super::error::tidy;

/// What `system/status` says.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::import) struct Status {
    #[serde(default)]
    pub(in crate::import) app_name: String,
    #[serde(default)]
    pub(in crate::import) version: String,
}

/// A command, as the importer keeps it.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::import) struct Command {
    pub(in crate::import) id: i64,
    #[serde(default)]
    pub(in crate::import) name: String,
    #[serde(default)]
    pub(in crate::import) status: String,
    #[serde(default)]
    pub(in crate::import) message: Option<String>,
    #[serde(default)]
    pub(in crate::import) queued: Option<String>,
    #[serde(default)]
    pub(in crate::import) body: Option<CommandBody>,
}

/// What a command was given.
#[derive(Clone, Debug, Deserialize)]
pub(in crate::import) struct CommandBody {
    #[serde(default)]
    pub(in crate::import) path: Option<String>,
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::import) enum CommandState {
    Pending,
    Done,
    Failed(String),
}

/// Something the importer did.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::import) struct Record {
    #[serde(default)]
    pub(in crate::import) event_type: String,
    #[serde(default)]
    pub(in crate::import) date: String,
    #[serde(default)]
    pub(in crate::import) data: Value,
}

/// A page of what it did, the latest first.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::import) struct History {
    pub(in crate::import) records: Vec<Record>,
    #[serde(default)]
    pub(in crate::import) total_records: u64,
}

impl Command {
    pub(in crate::import) fn state(&self) -> CommandState {
        match self.status.to_ascii_lowercase().as_str() {
            "completed" => CommandState::Done,
            "failed" | "aborted" | "cancelled" | "orphaned" => {
                let said = self.message.as_deref().map(tidy).filter(|said| !said.is_empty());
                let said = said.map_or_else(String::new, |said| format!(": {said}"));
                CommandState::Failed(format!("the command {}{said}", self.status.to_ascii_lowercase()))
            }
            _ => CommandState::Pending,
        }
    }
}

impl Record {
    /// The path a file was imported from, if that is what happened.
    pub(in crate::import) fn imported_from(&self) -> Option<&str> {
        let imported = self.event_type.eq_ignore_ascii_case("downloadFolderImported");
        self.data.get("droppedPath").and_then(Value::as_str).filter(|_| imported)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_command_is_pending_until_it_says_how_it_ended() {
        let command = |status: &str, message: &str| -> Command {
            serde_json::from_value(json!({ "id": 1, "status": status, "message": message })).unwrap()
        };
        assert_eq!(command("completed", "").state(), CommandState::Done);
        assert_eq!(command("Started", "").state(), CommandState::Pending);
        assert_eq!(command("", "").state(), CommandState::Pending);
        let failed = CommandState::Failed("the command failed: no folder".to_owned());
        assert_eq!(command("failed", "no folder").state(), failed);
    }

    #[test]
    fn only_an_import_counts_as_one() {
        let record = |kind: &str, data: Value| -> Record {
            serde_json::from_value(json!({ "eventType": kind, "date": "", "data": data })).unwrap()
        };
        let data = json!({ "droppedPath": "/a", "importedPath": "/b" });
        assert_eq!(record("downloadFolderImported", data.clone()).imported_from(), Some("/a"));
        assert_eq!(record("grabbed", data).imported_from(), None);
        assert_eq!(record("downloadFolderImported", json!(null)).imported_from(), None);
    }
}
