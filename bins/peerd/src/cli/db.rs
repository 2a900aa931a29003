//! `peerd db`: looking after the database, whether or not the daemon runs.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use download_registry::{Inspection, OpenError};
use http::Method;
use serde_json::{Value, json};

use super::bars::size;
use super::client::{CallError, Daemon};
use super::config::{StateDir, load};
use super::{Global, fail, say};
use crate::exit::Exit;

/// Look after the database of the daemon, whether or not it runs.
#[derive(Debug, Args)]
pub(super) struct Db {
    #[command(subcommand)]
    command: DbCommand,
}

#[derive(Debug, Subcommand)]
enum DbCommand {
    /// Read every page of the database and name what is damaged
    Check(Check),
    /// Write a whole copy of the database, while the daemon goes on
    Backup(Backup),
}

/// Read every page of the database and name what is damaged; nothing is changed
#[derive(Debug, Args)]
struct Check {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
}

/// Write a whole copy of the database, while the daemon goes on
#[derive(Debug, Args)]
struct Backup {
    /// Where to write it; an older backup there is replaced, any other file is not
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    state: StateDir,
}

impl Db {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let outcome = match self.command {
            DbCommand::Check(check) => check.run(global).await,
            DbCommand::Backup(backup) => backup.run(global).await,
        };
        outcome.unwrap_or_else(|exit| exit)
    }
}

impl Check {
    async fn run(self, global: &Global) -> Result<Exit, Exit> {
        let path = find(&self.state, global).await?;
        let problems = match Inspection::open(&path).await {
            Ok(database) => database.check().await.map_err(|error| unreadable(&path, &error))?,
            Err(error) if error.is_bad_file() => vec![resume_fetch::describe(&error)],
            Err(error) => return Err(refused(&error)),
        };
        if self.json {
            say(&json!({ "path": path, "ok": problems.is_empty(), "problems": problems }).to_string());
        }
        if problems.is_empty() {
            return Ok(if self.json { Exit::Done } else { say(&format!("{}: sound", path.display())) });
        }
        for problem in &problems {
            super::remark(problem);
        }
        let path = path.display();
        let message = format!(
            "{path} is damaged; stop the daemon, keep a copy of the file, and put a backup in its place \
             (peerd db backup makes one)"
        );
        Err(fail(Exit::Data, message))
    }
}

impl Backup {
    async fn run(self, global: &Global) -> Result<Exit, Exit> {
        let path = find(&self.state, global).await?;
        let database = Inspection::open(&path).await.map_err(|error| refused(&error))?;
        database.backup(&self.file).await.map_err(|error| refused(&error))?;
        let bytes = self.file.metadata().map_or(0, |file| file.len());
        Ok(say(&format!("{} ({})", self.file.display(), size(bytes))))
    }
}

/// The database: that of the daemon that answers, else the one the configuration names.
async fn find(state: &StateDir, global: &Global) -> Result<PathBuf, Exit> {
    if !state.is_given() {
        match of_daemon(global).await {
            Ok(path) if path.exists() => return Ok(path),
            Ok(path) => {
                let message =
                    format!("{} is not on this machine; run this where the daemon runs", path.display());
                return Err(fail(Exit::Usage, message));
            }
            // Whoever named an address means that daemon and no other.
            Err(error) if global.url.is_some() => return Err(error.report()),
            Err(_) => {}
        }
    }
    let loaded = load(&state.sources(global.config.clone())?)?;
    Ok(loaded.paths.registry)
}

async fn of_daemon(global: &Global) -> Result<PathBuf, CallError> {
    let system = Daemon::find(global)?.call(Method::GET, "/system", None).await?;
    let path = system.get("registry").and_then(Value::as_str).map(PathBuf::from);
    path.ok_or_else(|| CallError {
        exit: Exit::General,
        message: "the daemon does not say where its database is; name it with --state-dir DIR".to_owned(),
    })
}

fn refused(error: &OpenError) -> Exit {
    let exit = match error {
        OpenError::Missing { path } => {
            let path = path.display();
            let message =
                format!("{path} does not exist; name the place with --state-dir DIR, or start: peerd serve");
            return fail(Exit::LocalIo, message);
        }
        error if error.is_bad_file() => Exit::Data,
        _ => Exit::LocalIo,
    };
    fail(exit, resume_fetch::describe(error))
}

fn unreadable(path: &Path, error: &dyn std::error::Error) -> Exit {
    fail(Exit::LocalIo, format_args!("cannot read {}: {}", path.display(), error))
}
