//! `peerd check-config` and `peerd config show`: what is wrong with the configuration, and what holds.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Global, fail, say};
use crate::config::{Config, Loaded, Overrides, Sources};
use crate::exit::Exit;

/// Check the configuration and name every problem.
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// The file to check [default: the one the daemon would read]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl CheckConfig {
    pub(super) fn run(self, global: &Global) -> Exit {
        let loaded = match load(self.file.or_else(|| global.config.clone())) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        for warning in &loaded.warnings {
            eprintln!("warning: {warning}");
        }
        match loaded.file {
            Some(file) => say(&format!("{}: no problem found", file.display())),
            None => say("no configuration file: the defaults hold"),
        }
    }
}

/// Look at the configuration.
#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every setting with its value and where it comes from; secrets are masked
    Show {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(self, global: &Global) -> Exit {
        let Action::Show { json } = self.action;
        let loaded = match load(global.config.clone()) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        for setting in loaded.settings() {
            let (path, value, origin) = (&setting.path, &setting.value, &setting.origin);
            match json {
                true => {
                    say(&json!({ "key": path, "value": value, "origin": origin.to_string() }).to_string())
                }
                false => say(&format!("{path} = {value}  # {origin}")),
            };
        }
        Exit::Done
    }
}

fn load(file: Option<PathBuf>) -> Result<Loaded, Exit> {
    let sources =
        Sources::from_process(file, Overrides::default()).map_err(|error| fail(Exit::General, error))?;
    Config::load(&sources).map_err(|errors| {
        eprintln!("{errors}");
        Exit::Config
    })
}
