//! `peerd healthcheck`: is the daemon there? For container health checks and scripts.

use clap::Args;

use super::client::Daemon;
use super::{Global, say_aside};
use crate::exit::Exit;

/// Ask whether the daemon is alive.
#[derive(Debug, Args)]
pub(super) struct Healthcheck {}

impl Healthcheck {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let answer = match Daemon::find(global) {
            Ok(daemon) => daemon.probe("/healthz").await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(()) => say_aside(global, "the daemon is alive"),
            Err(error) => error.report(),
        }
    }
}
