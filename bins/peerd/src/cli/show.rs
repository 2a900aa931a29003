//! `peerd show`: one download, and what happened to it.

use std::io::{self, IsTerminal};

use clap::Args;
use http::Method;
use serde_json::Value;

use super::bars::{duration, size};
use super::client::{CallError, Daemon};
use super::map::{self, Signs};
use super::{Global, say};
use crate::exit::Exit;

/// Show one download: how it stands, a map of what is here, its attempts, and what happened to it.
#[derive(Debug, Args)]
pub(super) struct Show {
    /// Its id, as `peerd ls` shows it
    id: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self, global: &Global) -> Exit {
        match self.read(global).await {
            Ok((mut row, history, _)) if self.json => {
                row["history"] = history;
                say(&row.to_string())
            }
            Ok((row, history, ranges)) => {
                let signs = if io::stdout().is_terminal() { Signs::BLOCKS } else { Signs::PLAIN };
                let map = map::line(&ranges, MAP_WIDTH, signs).map(|cells| format!("{:<14} {cells}", "map"));
                let lines = fields(&row).into_iter().chain(map);
                lines.chain(attempts(&history)).chain(events(&history)).for_each(|line| {
                    say(&line);
                });
                Exit::Done
            }
            Err(error) => error.report(),
        }
    }

    async fn read(&self, global: &Global) -> Result<(Value, Value, Value), CallError> {
        let daemon = Daemon::find(global)?;
        let path = format!("/downloads/{}", self.id);
        let row = daemon.call(Method::GET, &path, None).await?;
        let history = daemon.call(Method::GET, &format!("{path}/history"), None).await?;
        // The map is a picture, and no reason to show nothing at all.
        let ranges = daemon.call(Method::GET, &format!("{path}/ranges"), None).await.unwrap_or_default();
        Ok((row, history, ranges))
    }
}

/// What is known, one fact a line.
fn fields(row: &Value) -> Vec<String> {
    let known = row.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    known.map(|(name, value)| format!("{:<14} {}", label(name), shown(name, value))).collect()
}

/// What people call a field: the `attempts` of the row are those that failed, and the table below it has them all.
fn label(name: &str) -> &str {
    match name {
        "attempts" => "failed tries",
        name => name,
    }
}

fn shown(name: &str, value: &Value) -> String {
    let text = |key: &str| text(value, key).unwrap_or_default();
    match (name, value) {
        ("error", Value::Object(_)) => format!("{} ({})", text("message"), text("kind")),
        ("last_restart", Value::Object(_)) => {
            let discarded = value.get("discarded").and_then(Value::as_u64).unwrap_or_default();
            format!("{} at {}, {} discarded", text("reason"), text("at"), size(discarded))
        }
        ("total" | "durable" | "written", _) => match value.as_u64() {
            Some(bytes) if bytes >= 1024 => format!("{bytes} ({})", size(bytes)),
            _ => value.to_string(),
        },
        ("rate" | "limit_down", _) => format!("{}/s", size(value.as_u64().unwrap_or_default())),
        ("eta", _) => duration(std::time::Duration::from_secs(value.as_u64().unwrap_or_default())),
        (_, Value::String(text)) => text.clone(),
        _ => value.to_string(),
    }
}

fn attempts(history: &Value) -> Vec<String> {
    section(history, "attempts", |attempt| {
        let reason = text(attempt, "reason").map_or_else(String::new, |reason| format!(": {reason}"));
        let outcome = text(attempt, "outcome")
            .map_or_else(|| "running".to_owned(), |outcome| format!("{outcome}{reason}"));
        format!(
            "  {:>3}  {}  {:>10} to {:<10}  {}",
            attempt.get("n").and_then(Value::as_u64).unwrap_or_default(),
            text(attempt, "started_at").unwrap_or_default(),
            bytes(attempt, "from"),
            bytes(attempt, "to"),
            outcome.replace('_', " ")
        )
    })
}

fn events(history: &Value) -> Vec<String> {
    section(history, "events", |event| {
        let mut line = format!(
            "  {}  {:<18} {:<12} {:>10}",
            text(event, "at").unwrap_or_default(),
            text(event, "event").unwrap_or_default().replace('_', " "),
            text(event, "to").unwrap_or_default(),
            bytes(event, "durable"),
        );
        if let Some(reason) = text(event, "reason") {
            line.push_str(&format!("  {reason}"));
        }
        if event.get("discarded").is_some_and(|discarded| !discarded.is_null()) {
            line.push_str(&format!(", {} discarded", bytes(event, "discarded")));
        }
        line
    })
}

/// A heading and a line for each entry; nothing at all without entries.
fn section(history: &Value, name: &str, line: impl Fn(&Value) -> String) -> Vec<String> {
    let entries = history.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let heading = (!entries.is_empty()).then(|| format!("\n{name}"));
    heading.into_iter().chain(entries.iter().map(line)).collect()
}

fn text<'e>(entry: &'e Value, name: &str) -> Option<&'e str> {
    entry.get(name).and_then(Value::as_str)
}

fn bytes(entry: &Value, name: &str) -> String {
    entry.get(name).and_then(Value::as_u64).map_or_else(|| "-".to_owned(), size)
}

/// Cells of the map: with the name before it, a terminal of 80 characters has room for it.
const MAP_WIDTH: u64 = 60;
