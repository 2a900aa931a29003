//! `[registry]` and `[log]`: what the daemon remembers and what it says.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::keys::key;
use super::section::{Section, section};

/// `[registry]`: the database of downloads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// The database file; empty = `peerd.db` in the state directory. Default empty.
    pub path: PathBuf,
}

/// `[log]`: what goes to standard error.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least severe level written. Default `info`.
    pub level: LogLevel,
    /// How a line looks. Default `auto`.
    pub format: LogFormat,
}

/// Severity of a log line, the most severe first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Something is broken and needs somebody.
    Error,
    /// A retry, a restart, a doubtful setting.
    Warn,
    /// One line per change of state.
    #[default]
    Info,
    /// Requests and decisions.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name as configured, which is also the directive of a log filter.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    #[default]
    Auto,
    /// Text for people.
    Text,
    /// One JSON object a line.
    Json,
}

pub(crate) const REGISTRY: Section = section(
    "registry",
    "what the daemon remembers",
    &[key::<PathBuf>("registry.path", "path", "the database; empty is `peerd.db` in the state directory")],
);

pub(crate) const LOG: Section = section(
    "log",
    "what the daemon says",
    &[
        key::<LogLevel>(
            "log.level",
            "`error`, `warn`, `info`, `debug`, `trace`",
            "the least severe level written",
        )
        .live(),
        key::<LogFormat>(
            "log.format",
            "`auto`, `text`, `json`",
            "text for people or one JSON object a line; `auto` is text on a terminal, else JSON",
        ),
    ],
);
