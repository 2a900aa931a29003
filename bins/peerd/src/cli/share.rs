//! `peerd share`: what the running daemon offers to others.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::Value;

use super::bars::size;
use super::client::{CallError, Daemon, segment};
use super::{Global, say, say_aside};
use crate::exit::Exit;

/// Look at the shares of the daemon.
#[derive(Debug, Args)]
pub(super) struct Share {
    #[command(subcommand)]
    command: ShareCommand,
}

#[derive(Debug, Subcommand)]
enum ShareCommand {
    /// List shares, and what is in them
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Walk a share again now
    Rescan {
        /// Its name
        name: String,
    },
}

impl Share {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let outcome = match self.command {
            ShareCommand::Ls { json } => list(global, json).await,
            ShareCommand::Rescan { name } => rescan(global, &name).await,
        };
        outcome.unwrap_or_else(|error| error.report())
    }
}

async fn list(global: &Global, json: bool) -> Result<Exit, CallError> {
    let mut answer = Daemon::find(global)?.call(Method::GET, "/shares", None).await?;
    let shares = answer.get_mut("shares").map(Value::take).unwrap_or_default();
    if json {
        return Ok(say(&shares.to_string()));
    }
    let shares = shares.as_array().map(Vec::as_slice).unwrap_or_default();
    if shares.is_empty() {
        return Ok(say_aside(global, "nothing is shared; share a folder with: peerd serve --share DIR"));
    }
    for share in shares {
        let text = |name: &str| share.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| share.get(name).and_then(Value::as_u64);
        let items = number("items").map_or_else(|| "-".to_owned(), |items| items.to_string());
        let bytes = number("bytes").map_or_else(|| "-".to_owned(), size);
        let mut line = format!("{:<16} {items:>8}  {bytes:>10}  {}", text("name"), text("path"));
        if !text("error").is_empty() {
            line.push_str(&format!("\n{:>17}{}", "", text("error")));
        }
        say(&line);
    }
    Ok(Exit::Done)
}

async fn rescan(global: &Global, name: &str) -> Result<Exit, CallError> {
    let path = format!("/shares/{}/rescan", segment(name));
    let report = Daemon::find(global)?.call_patiently(Method::POST, &path).await?;
    let items = report.get("items").and_then(Value::as_u64).unwrap_or_default();
    Ok(say_aside(global, &format!("{name}: {items} items")))
}
