//! `peerd ls`: what the daemon has in its queue.

use clap::Args;
use download_registry::DownloadState;
use http::Method;
use serde_json::Value;

use super::bars::{duration, size};
use super::client::{CallError, Daemon};
use super::{Global, say};
use crate::exit::Exit;

/// List the daemon's downloads.
#[derive(Debug, Args)]
pub(super) struct Ls {
    /// Only downloads in this state, such as failed; several with commas
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    /// Only downloads from this peer
    #[arg(long, value_name = "NAME")]
    peer: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Ls {
    pub(super) async fn run(self, global: &Global) -> Exit {
        match self.rows(global).await {
            Ok(rows) if self.json => say(&Value::Array(rows).to_string()),
            Ok(rows) if rows.is_empty() => {
                super::say_aside(global, "nothing queued; add something with: peerd add PEER/ITEM")
            }
            Ok(rows) => {
                say(&format!(
                    "{:>5}  {:<12} {:>5}  {:>10}  {:>14}  {}",
                    "ID", "STATE", "DONE", "SIZE", "RATE", "NAME"
                ));
                rows.iter().map(line).for_each(|line| {
                    say(&line);
                });
                Exit::Done
            }
            Err(error) => error.report(),
        }
    }

    async fn rows(&self, global: &Global) -> Result<Vec<Value>, CallError> {
        let daemon = Daemon::find(global)?;
        rows(&daemon, &[("state", self.state.as_deref()), ("peer", self.peer.as_deref())]).await
    }
}

/// The state of a row; `None` for one that this program has not heard of.
pub(super) fn state(row: &Value) -> Option<DownloadState> {
    row.get("state")?.as_str()?.parse().ok()
}

/// Every row that the query picks, page by page.
pub(super) async fn rows(daemon: &Daemon, query: &[(&str, Option<&str>)]) -> Result<Vec<Value>, CallError> {
    let mut first = url::form_urlencoded::Serializer::new(String::new());
    first.append_pair("limit", "500");
    for (name, value) in query {
        if let Some(value) = value {
            first.append_pair(name, value);
        }
    }
    let first = first.finish();
    let (mut rows, mut path) = (Vec::new(), format!("/downloads?{first}"));
    loop {
        let mut page = daemon.call(Method::GET, &path, None).await?;
        if let Some(Value::Array(items)) = page.get_mut("downloads").map(Value::take) {
            rows.extend(items);
        }
        let Some(cursor) = page.get("next").and_then(Value::as_str) else { return Ok(rows) };
        let cursor: String = url::form_urlencoded::byte_serialize(cursor.as_bytes()).collect();
        path = format!("/downloads?{first}&cursor={cursor}");
    }
}

/// One line of the list; under it, why a download is not moving.
fn line(row: &Value) -> String {
    let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| row.get(name).and_then(Value::as_u64);
    let total = number("total");
    let done = match (number("written"), total) {
        (Some(written), Some(total)) if total > 0 => format!("{} %", written.saturating_mul(100) / total),
        (Some(_), Some(_)) => "100 %".to_owned(),
        _ => "-".to_owned(),
    };
    let rate = row.get("rate").and_then(Value::as_f64).filter(|rate| *rate >= 1.0);
    let name = [text("filename"), text("item"), text("url")].into_iter().find(|name| !name.is_empty());
    let mut line = format!(
        "{:>5}  {:<12} {:>5}  {:>10}  {:>14}  {}",
        number("id").unwrap_or_default(),
        text("state"),
        done,
        total.map_or_else(|| "-".to_owned(), size),
        rate.map_or_else(String::new, |rate| format!("{}/s", size(rate as u64))),
        name.unwrap_or_default(),
    );
    if let Some(eta) = number("eta") {
        line.push_str(&format!(" ({} left)", duration(std::time::Duration::from_secs(eta))));
    }
    let moving = matches!(text("state"), "downloading" | "finalizing");
    if let Some(message) = row.pointer("/error/message").filter(|_| !moving).and_then(Value::as_str) {
        line.push_str(&format!("\n{:>7}{message}", ""));
    }
    line
}
