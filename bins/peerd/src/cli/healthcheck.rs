//! `peerd healthcheck`: is the daemon there? For container health checks and scripts.

use clap::Args;
use serde_json::json;

use super::client::Daemon;
use super::{Global, say, say_aside};
use crate::exit::Exit;

/// Ask whether the daemon is alive.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Healthcheck {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let answer = match Daemon::find(global) {
            Ok(daemon) => daemon.probe("/healthz").await,
            Err(error) => Err(error),
        };
        if self.json {
            say(&json!({ "alive": answer.is_ok() }).to_string());
        }
        match answer {
            Ok(()) => say_aside(global, "the daemon is alive"),
            Err(error) => error.report(),
        }
    }
}
