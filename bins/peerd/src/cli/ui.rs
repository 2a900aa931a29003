//! `peerd ui`: a link to the web page that logs in once.

use clap::Args;
use http::Method;
use serde_json::Value;

use super::client::{CallError, Daemon};
use super::{Global, say, say_aside};
use crate::exit::Exit;

/// Print a link to the web page; it logs in once, within a minute.
#[derive(Debug, Args)]
pub(super) struct Ui {}

impl Ui {
    pub(super) async fn run(self, global: &Global) -> Exit {
        match link(global).await {
            Ok(link) => {
                say(&link);
                say_aside(global, "open it within a minute; it logs in once, for 12 hours")
            }
            Err(error) => error.report(),
        }
    }
}

async fn link(global: &Global) -> Result<String, CallError> {
    let daemon = Daemon::find(global)?;
    let answer = daemon.call(Method::POST, "/session/link", None).await?;
    let path = answer.get("path").and_then(Value::as_str).unwrap_or("/");
    Ok(format!("{}{path}", daemon.base()))
}
