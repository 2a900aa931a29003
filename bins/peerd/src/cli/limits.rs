//! `peerd limits`: how fast the running daemon may move bytes.

use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};

use super::client::Daemon;
use super::{Global, say};
use crate::config::ByteSize;
use crate::exit::Exit;

/// Show or set how fast the daemon may download and serve.
#[derive(Debug, Args)]
pub(super) struct Limits {
    #[command(subcommand)]
    command: Option<LimitsCommand>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum LimitsCommand {
    /// Set limits at once, until the daemon ends
    Set(Set),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct Set {
    /// Bytes per second for all downloads together, such as 3MiB; 0 = no limit
    #[arg(long, value_name = "RATE")]
    down: Option<ByteSize>,
    /// Bytes per second for everything that is served; 0 = no limit
    #[arg(long, value_name = "RATE")]
    up: Option<ByteSize>,
}

impl Limits {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let daemon = match Daemon::find(global) {
            Ok(daemon) => daemon,
            Err(error) => return error.report(),
        };
        let answer = match &self.command {
            None => daemon.call(Method::GET, "/limits", None).await,
            Some(LimitsCommand::Set(set)) => {
                let bytes = |rate: Option<ByteSize>| rate.map(ByteSize::bytes);
                let mut body = json!({});
                for (name, rate) in [("down", bytes(set.down)), ("up", bytes(set.up))] {
                    if let Some(rate) = rate {
                        body[name] = rate.into();
                    }
                }
                daemon.call(Method::PUT, "/limits", Some(body)).await
            }
        };
        match answer {
            Ok(limits) if self.json => say(&limits.to_string()),
            Ok(limits) => {
                for name in ["down", "up"] {
                    say(&format!("{name:<5} {}", rate(limits.get(name))));
                }
                Exit::Done
            }
            Err(error) => error.report(),
        }
    }
}

fn rate(value: Option<&Value>) -> String {
    match value.and_then(Value::as_u64) {
        None | Some(0) => "no limit".to_owned(),
        Some(bytes) => format!("{}/s", ByteSize(bytes)),
    }
}
