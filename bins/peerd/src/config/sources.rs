//! Everything a configuration is made from, handed in: nothing here reads the process by itself.

use std::collections::BTreeMap;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::flags::{Overrides, absolute};
use super::problem::{ConfigErrors, Place, Problem};
use crate::service_manager::PassedAddresses;

/// What [`Config::load`](super::Config::load) reads from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// `--config FILE`; must exist when given.
    pub file: Option<PathBuf>,
    /// The environment variables.
    pub environment: BTreeMap<String, OsString>,
    /// The flags that stand for settings.
    pub overrides: Overrides,
    /// Where sockets listen that the service manager passed, in place of `server.listen` and `admin.listen`.
    pub passed: PassedAddresses,
    /// What becomes of the secrets the configuration names.
    pub secrets: SecretUse,
    /// What relative paths of the command line are relative to.
    pub current_dir: PathBuf,
    /// The file used when there is no other; `/etc/peerd/peerd.toml` unless a test says otherwise.
    pub system_file: PathBuf,
}

/// What a configuration is loaded for, as far as its secrets go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SecretUse {
    /// To run the daemon: one that cannot be fetched is an error.
    #[default]
    Fetched,
    /// To look it over: credentials that only a service manager passes cannot be seen from elsewhere, which is a warning.
    Reviewed,
    /// To find the daemon: none is fetched, because whoever asks need not be allowed to read them.
    Ignored,
}

impl Default for Sources {
    /// No file, no variables, no flags; relative to the root directory.
    fn default() -> Self {
        Self {
            file: None,
            environment: BTreeMap::new(),
            overrides: Overrides::default(),
            passed: PassedAddresses::default(),
            secrets: SecretUse::default(),
            current_dir: PathBuf::from("/"),
            system_file: PathBuf::from(SYSTEM_FILE),
        }
    }
}

impl Sources {
    /// Takes the environment and the current directory of this process.
    ///
    /// Variables whose name is not UTF-8 are left out; none of ours is.
    ///
    /// # Errors
    /// The current directory is gone or cannot be read.
    pub fn from_process(file: Option<PathBuf>, overrides: Overrides) -> io::Result<Self> {
        let environment = env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
        Ok(Self {
            file,
            environment: environment.collect(),
            overrides,
            current_dir: env::current_dir().map_err(|error| {
                let message =
                    format!("the working directory is gone or cannot be read ({error}); cd to another");
                io::Error::new(error.kind(), message)
            })?,
            ..Self::default()
        })
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn variable(&self, name: &str) -> Option<&OsStr> {
        self.environment.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// A directory of the user: the variable if it is absolute, as the base directory specification asks, else
    /// `below` the home directory.
    pub(crate) fn user_dir(&self, variable: &str, below: &str) -> Option<PathBuf> {
        let named = self.variable(variable).map(PathBuf::from).filter(|dir| dir.is_absolute());
        named.or_else(|| Some(Path::new(self.variable("HOME")?).join(below)))
    }

    /// The first of the directories a service manager passes in a variable, separated by colons.
    pub(crate) fn service_dir(&self, variable: &str) -> Option<PathBuf> {
        let dir =
            env::split_paths(self.variable(variable)?).next().filter(|dir| !dir.as_os_str().is_empty())?;
        Some(absolute(&self.current_dir, &dir))
    }

    /// Finds and reads the file: its path and its text, or `None` when there is none.
    pub(crate) fn read_file(&self) -> Result<Option<(PathBuf, String)>, ConfigErrors> {
        let config = self.variable("PEERD_CONFIG").map(PathBuf::from);
        if let Some(path) = self.file.clone().or(config) {
            return match fs::read_to_string(absolute(&self.current_dir, &path)) {
                Ok(text) => Ok(Some((path, text))),
                Err(error) => Err(unreadable(path, &error)),
            };
        }
        for path in self.candidates() {
            match fs::read_to_string(&path) {
                Ok(text) => return Ok(Some((path, text))),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(error) => return Err(unreadable(path, &error)),
            }
        }
        Ok(None)
    }

    /// Where a file is looked for when none is given.
    fn candidates(&self) -> impl Iterator<Item = PathBuf> {
        let service = self.service_dir("CONFIGURATION_DIRECTORY").map(|dir| dir.join("peerd.toml"));
        let user = self.user_dir("XDG_CONFIG_HOME", ".config").map(|dir| dir.join("peerd/peerd.toml"));
        service.into_iter().chain(user).chain([self.system_file.clone()])
    }
}

fn unreadable(path: PathBuf, error: &io::Error) -> ConfigErrors {
    let place = Place::File { path, line: 0, column: 0, excerpt: None };
    let message = format!("cannot read the configuration file: {error}");
    ConfigErrors::new(vec![Problem { place, message, help: None }])
}

const SYSTEM_FILE: &str = "/etc/peerd/peerd.toml";
