//! `peerd import`: who takes finished files over, and handing one over once more.

use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::client::{CallError, Daemon};
use super::{Global, fail, ls, say, say_aside};
use crate::exit::Exit;

/// Look at the hand-off to Radarr and Sonarr.
#[derive(Debug, Args)]
pub(super) struct Import {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Debug, Subcommand)]
enum ImportCommand {
    /// List importers, and the downloads they have not taken yet
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask an importer who it is, and whether it sees our files
    Test {
        /// Its name in [import]
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Hand a finished download over once more
    Retry {
        /// Its id, as `peerd ls` shows it
        id: u64,
        /// To this importer instead of the last one
        #[arg(long, value_name = "NAME")]
        to: Option<String>,
    },
}

impl Import {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let outcome = match self.command {
            ImportCommand::Ls { json } => list(global, json).await,
            ImportCommand::Test { name, json } => test(global, &name, json).await,
            ImportCommand::Retry { id, to } => retry(global, id, to).await,
        };
        outcome.unwrap_or_else(|error| error.report())
    }
}

async fn list(global: &Global, json: bool) -> Result<Exit, CallError> {
    let daemon = Daemon::find(global)?;
    let mut answer = daemon.call(Method::GET, "/imports", None).await?;
    let importers = answer.get_mut("imports").map(Value::take).unwrap_or_default();
    if json {
        return Ok(say(&importers.to_string()));
    }
    let importers = importers.as_array().map(Vec::as_slice).unwrap_or_default();
    if importers.is_empty() {
        return Ok(say_aside(global, "no importer is configured; add [import.NAME] to the configuration"));
    }
    for importer in importers {
        let text = |name: &str| importer.get(name).and_then(Value::as_str).unwrap_or_default();
        let waiting = importer.get("waiting").and_then(Value::as_u64).unwrap_or_default();
        say(&format!("{:<16} {:<8} {waiting:>5} waiting  {}", text("name"), text("kind"), text("url")));
    }
    for row in ls::rows(&daemon, &[("state", Some("import_queued"))]).await? {
        let id = row.get("id").and_then(Value::as_u64).unwrap_or_default();
        let of_row = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let text =
            |name: &str| row.pointer(&format!("/import/{name}")).and_then(Value::as_str).unwrap_or_default();
        say(&format!("{id:>7}  {:<12} {:<12} {}", text("target"), text("state"), of_row("filename")));
        if !text("reason").is_empty() {
            say(&format!("{:>9}{}", "", text("reason")));
        }
    }
    Ok(Exit::Done)
}

async fn test(global: &Global, name: &str, json: bool) -> Result<Exit, CallError> {
    let path = format!("/imports/{}/test", utf8_percent_encode(name, NON_ALPHANUMERIC));
    let probe = Daemon::find(global)?.call(Method::POST, &path, None).await?;
    let text = |name: &str| probe.pointer(&format!("/{name}")).and_then(Value::as_str).unwrap_or_default();
    let exit = match text("error/kind") {
        "" => Exit::Done,
        "unreachable" => Exit::Unreachable,
        "key-refused" => Exit::KeyRefused,
        _ => Exit::General,
    };
    if json {
        say(&probe.to_string());
        return Ok(exit);
    }
    if exit != Exit::Done {
        return Ok(fail(exit, format_args!("{name}: {}", text("error/message"))));
    }
    let seen = match probe.get("path_visible").and_then(Value::as_bool) {
        Some(_) => "and sees our files at",
        None => "and is told our files are at",
    };
    Ok(say(&format!("{name}: {} {} answers, {seen} {}", text("app"), text("version"), text("path"))))
}

async fn retry(global: &Global, id: u64, to: Option<String>) -> Result<Exit, CallError> {
    let body = to.map_or_else(|| json!({}), |to| json!({ "import": to }));
    let row =
        Daemon::find(global)?.call(Method::POST, &format!("/downloads/{id}/import"), Some(body)).await?;
    let target = row.pointer("/import/target").and_then(Value::as_str).unwrap_or_default();
    Ok(say_aside(global, &format!("{id}: to be imported by {target}")))
}
