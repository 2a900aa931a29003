//! The configuration: TOML through figment, defaults < file < environment < flags.
//!
//! [`Config::load`] is a function of its [`Sources`]: it reads the configuration file and the secrets it names, and
//! nothing of the process. One serde struct stands for each section; [`SECTIONS`] is the table of every key there is.
//! Whatever is not right is reported, all at once and with its place, before a port is bound ([`ConfigErrors`]).

mod byte_size;
mod certificates;
mod changes;
mod downloads;
mod duration;
mod environment;
mod file;
mod flags;
mod hooks;
mod housekeeping;
mod importing;
mod key_path;
mod keys;
mod kinds;
mod layer;
mod listeners;
mod merge;
mod paths;
mod peer_url;
mod problem;
mod secret;
mod section;
mod setting;
mod sharing;
mod sources;
mod template;
mod tries;
mod units;
mod validate;
mod watch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::Value;

pub use self::byte_size::ByteSize;
pub use self::changes::Changes;
pub use self::downloads::{DownloadsConfig, LimitsConfig, OnConflict};
pub use self::duration::{format_duration, parse_duration};
pub(crate) use self::file::is_name;
pub use self::flags::{Overrides, parse_share};
pub use self::hooks::{EventName, HookConfig};
pub use self::housekeeping::{LogConfig, LogFormat, LogLevel, RegistryConfig};
pub use self::importing::{ImportConfig, ImportKind, ImportWhen, ImporterUrl, ImporterUrlError, PathMapping};
pub(crate) use self::importing::{NO_IMPORTER, pattern};
pub use self::keys::{Key, SECTIONS, keys};
pub use self::listeners::{AdminConfig, AuthConfig, ServerConfig};
pub use self::paths::ResolvedPaths;
pub use self::peer_url::{PeerUrl, PeerUrlError};
pub use self::problem::{ConfigErrors, Excerpt, Place, Problem};
pub use self::secret::Secret;
pub use self::section::Section;
pub use self::sharing::{KeyConfig, PeerConfig, ShareConfig};
pub use self::sources::{SecretUse, Sources};
pub use self::template::template;
pub use self::tries::{Tries, TriesError};
pub use self::units::UnitError;
pub use self::watch::{OnDone, WatchConfig, archive_dir};

use self::key_path::KeyPath;
use self::merge::Merge;

/// The whole configuration, one field per section. Every value in it has been checked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: ServerConfig,
    /// `[admin]`
    pub admin: AdminConfig,
    /// `[auth]`
    pub auth: AuthConfig,
    /// `[keys.NAME]`
    pub keys: BTreeMap<String, KeyConfig>,
    /// `[shares.NAME]`
    pub shares: BTreeMap<String, ShareConfig>,
    /// `[peers.NAME]`
    pub peers: BTreeMap<String, PeerConfig>,
    /// `[downloads]`
    pub downloads: DownloadsConfig,
    /// `[limits]`
    pub limits: LimitsConfig,
    /// `[watch]`
    pub watch: WatchConfig,
    /// `[import.NAME]`
    pub import: BTreeMap<String, ImportConfig>,
    /// `[hooks.NAME]`
    pub hooks: BTreeMap<String, HookConfig>,
    /// `[registry]`
    pub registry: RegistryConfig,
    /// `[log]`
    pub log: LogConfig,
}

impl Config {
    /// Loads the configuration: finds the file, lays environment and flags over it, fetches the secrets, checks all.
    ///
    /// Without a file, variables and flags the result is the defaults.
    ///
    /// # Errors
    /// [`ConfigErrors`] holds every problem that could be found. Text that is not TOML, and a file that was given
    /// and cannot be read, are reported alone.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        Merge::of(sources)?.finish(sources)
    }
}

/// A configuration that is in order, and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub config: Config,
    /// What is allowed, but probably not meant.
    pub warnings: Vec<Problem>,
    /// The file it was read from, as given or found; `None` when there is none.
    pub file: Option<PathBuf>,
    /// The directories and files of the daemon, filled in.
    pub paths: ResolvedPaths,
    origins: BTreeMap<KeyPath, Place>,
    secrets: BTreeMap<KeyPath, Secret>,
    /// What the files of certificates and keys held, to tell a change of one.
    certificates: BTreeMap<KeyPath, blake3::Hash>,
}

impl Loaded {
    /// Every setting in force with its origin, in the order of [`keys`]; secrets are masked.
    pub fn settings(&self) -> Vec<EffectiveSetting> {
        let settings = self.paths_and_values().map(|(path, value)| EffectiveSetting {
            origin: self.origins.get(&path).cloned().unwrap_or(Place::Default),
            path: path.to_string(),
            value,
        });
        settings.collect()
    }

    /// Whether nobody told this process the secret that `[SECTION.NAME]` has under `key`: one that the service manager
    /// hands to the daemon alone.
    pub(crate) fn is_withheld(&self, section: &str, name: &str, key: &str) -> bool {
        let path = KeyPath::new([section, name, key]);
        self.origins.contains_key(&path) && !self.secrets.contains_key(&path)
    }

    /// The directory or file an empty path stands for.
    pub fn means(&self, path: &str) -> Option<&Path> {
        let (configured, resolved) = match path {
            "downloads.dir" => (&self.config.downloads.dir, &self.paths.downloads),
            "downloads.incomplete_dir" => (&self.config.downloads.incomplete_dir, &self.paths.incomplete),
            "registry.path" => (&self.config.registry.path, &self.paths.registry),
            _ => return None,
        };
        configured.as_os_str().is_empty().then_some(resolved)
    }

    /// Every setting in force, secrets masked.
    fn paths_and_values(&self) -> impl Iterator<Item = (KeyPath, Value)> {
        let table = toml::Table::try_from(&self.config).unwrap_or_default();
        let mut settings = Vec::new();
        for key in keys() {
            let mut steps = key.path().split('.');
            let (Some(section), Some(second)) = (steps.next(), steps.next()) else { continue };
            match (steps.next(), table.get(section).and_then(Value::as_table)) {
                (None, _) => settings.extend(setting(&table, &[section, second])),
                (Some(last), Some(entries)) => {
                    settings
                        .extend(entries.keys().filter_map(|name| setting(&table, &[section, name, last])));
                }
                (Some(_), None) => {}
            }
        }
        settings.into_iter()
    }
}

fn setting(table: &toml::Table, keys: &[&str]) -> Option<(KeyPath, Value)> {
    Some((KeyPath::new(keys.iter().copied()), key_path::get(table, keys)?.clone()))
}

/// One setting in force.
#[derive(Debug, Clone, PartialEq)]
pub struct EffectiveSetting {
    /// The dotted path, as TOML writes it.
    pub path: String,
    /// The value; `"***"` in place of a secret.
    pub value: Value,
    /// Who set it.
    pub origin: Place,
}
