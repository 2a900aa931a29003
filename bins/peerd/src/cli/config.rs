//! `peerd check-config` and `peerd config`: what is wrong with the configuration, what holds, and what there is to set.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Global, fail, say, say_aside};
use crate::config::{self, Config, EffectiveSetting, Loaded, Overrides, Place, Problem, SecretUse, Sources};
use crate::exit::Exit;

/// Check the configuration and name every problem, with file, line and column.
#[derive(Debug, Args)]
pub(super) struct CheckConfig {
    /// The file to check [default: the one the daemon would read]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Take warnings for errors
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
}

/// Where the daemon keeps its state, for commands that read the configuration as it would.
#[derive(Debug, Args)]
pub(super) struct StateDir {
    /// State directory, as given to `peerd serve`
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl StateDir {
    pub(super) fn sources(&self, file: Option<PathBuf>) -> Result<Sources, Exit> {
        let overrides = Overrides { state_dir: self.state_dir.clone(), ..Overrides::default() };
        let sources = Sources::from_process(file, overrides).map_err(|error| fail(Exit::General, error))?;
        Ok(Sources { secrets: SecretUse::Reviewed, ..sources })
    }

    pub(super) fn is_given(&self) -> bool {
        self.state_dir.is_some()
    }
}

impl CheckConfig {
    pub(super) fn run(self, global: &Global) -> Exit {
        let sources = match self.state.sources(self.file.or_else(|| global.config.clone())) {
            Ok(sources) => sources,
            Err(exit) => return exit,
        };
        let (problems, warnings, file) = match Config::load(&sources) {
            Ok(loaded) => (Vec::new(), loaded.warnings, loaded.file),
            Err(errors) => (errors.problems().to_vec(), Vec::new(), None),
        };
        let is_wrong = !problems.is_empty() || self.strict && !warnings.is_empty();
        let exit = if is_wrong { Exit::Config } else { Exit::Done };
        if self.json {
            let of = |list: &[Problem]| list.iter().map(Problem::to_json).collect::<Vec<_>>();
            say(&json!({ "ok": !is_wrong, "errors": of(&problems), "warnings": of(&warnings) }).to_string());
            return exit;
        }
        for (index, problem) in problems.iter().enumerate() {
            super::remark(format_args!("{}error: {problem}", if index > 0 { "\n" } else { "" }));
        }
        for warning in &warnings {
            super::remark(format_args!("warning: {warning}"));
        }
        match (is_wrong, file) {
            (true, _) => fail(exit, count(problems.len(), warnings.len())),
            (false, Some(file)) => say(&format!("{}: no problem found", file.display())),
            (false, None) => {
                say("no configuration file: the defaults hold; write one with: peerd config init FILE")
            }
        }
    }
}

fn count(errors: usize, warnings: usize) -> String {
    let of = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, warnings) => format!("{}; --strict takes them for errors", of(warnings, "warning")),
        (errors, _) => format!("{}; check again with: peerd check-config", of(errors, "problem")),
    }
}

/// Look at the configuration, or write a first one.
#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every setting in force, as TOML, and where it comes from; secrets are masked
    Show(Show),
    /// Write a file with every key and its default, commented out
    Init(Init),
}

/// Print every setting in force, as TOML, and where it comes from; secrets are masked
#[derive(Debug, Args)]
struct Show {
    /// Say where it comes from also for what nobody set
    #[arg(long)]
    origin: bool,
    /// Print JSON, one setting a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    state: StateDir,
}

/// Write a file with every key and its default, commented out
#[derive(Debug, Args)]
struct Init {
    /// Where to write it; an existing file stays as it is [default: print it]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

impl ConfigCommand {
    pub(super) fn run(self, global: &Global) -> Exit {
        match self.action {
            Action::Show(show) => show.run(global),
            Action::Init(init) => init.run(global),
        }
    }
}

impl Show {
    fn run(&self, global: &Global) -> Exit {
        let loaded = match self.state.sources(global.config.clone()).and_then(|sources| load(&sources)) {
            Ok(loaded) => loaded,
            Err(exit) => return exit,
        };
        for setting in loaded.settings() {
            let EffectiveSetting { path, value, origin } = &setting;
            if self.json {
                let line = json!({ "key": path, "value": value, "origin": origin.to_string() });
                say(&line.to_string());
                continue;
            }
            let means = loaded.means(path).map(|path| format!("  # default: {}", path.display()));
            let origin = match (origin, means) {
                (Place::Default, Some(means)) => means,
                (Place::Default, None) if self.origin => "  # default".to_owned(),
                (Place::Default, None) => String::new(),
                (origin, _) => format!("  # {origin}"),
            };
            say(&format!("{path} = {value}{origin}"));
        }
        match &loaded.file {
            Some(file) => say_aside(global, &format!("# read from {}", file.display())),
            None => say_aside(global, "# no configuration file; write one with: peerd config init FILE"),
        }
    }
}

impl Init {
    fn run(&self, global: &Global) -> Exit {
        let Some(path) = &self.file else {
            return say(config::template().trim_end());
        };
        match write_new(path, &config::template()) {
            Ok(()) => {
                let path = path.display();
                say_aside(global, &format!("wrote {path}; check it with: peerd check-config {path}"))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let path = path.display();
                fail(
                    Exit::General,
                    format_args!("{path} exists and stays as it is; see every key with: peerd config init"),
                )
            }
            Err(error) => fail(Exit::LocalIo, format_args!("cannot write {}: {error}", path.display())),
        }
    }
}

/// Writes a file that was not there, for its owner alone: secrets may come to stand in it. A folder that is not there
/// yet is made: on a new machine nobody has one for it.
fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        // What stands in the way of a folder is not the file that is to stay as it is.
        std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => ErrorKind::NotADirectory.into(),
            _ => error,
        })?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Reads the configuration as the daemon would, or says everything that is wrong with it.
pub(super) fn load(sources: &Sources) -> Result<Loaded, Exit> {
    Config::load(sources).map_err(|errors| refuse(errors.problems()))
}

/// Says everything that is wrong with a configuration.
pub(super) fn refuse(problems: &[Problem]) -> Exit {
    for problem in problems {
        super::remark(format_args!("error: {problem}\n"));
    }
    fail(Exit::Config, count(problems.len(), 0))
}
