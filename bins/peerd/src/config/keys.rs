//! The table of every key there is: what is not in it is refused, in the file and in the environment.
//!
//! A key is built when its behaviour is; a key without behaviour has no line here, so nobody sets it in vain.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use toml::Value;

use super::byte_size::ByteSize;
use super::downloads::OnConflict;
use super::housekeeping::{LogFormat, LogLevel};
use super::peer_url::PeerUrl;
use super::secret::Secret;
use super::setting::{Flaw, Setting, Shape};
use super::tries::Tries;
use crate::http::client_address::Network;

/// Every key, in the order it is documented. `NAME` stands for the name of a table.
pub const KEYS: &[Key] = &[
    key::<Vec<SocketAddr>>("server.listen"),
    key::<u32>("server.max_connections"),
    key::<u32>("server.max_connections_per_key"),
    key::<Duration>("server.header_timeout"),
    key::<Duration>("server.write_stall_timeout"),
    key::<Duration>("server.shutdown_grace"),
    key::<Vec<Network>>("server.trusted_proxies"),
    key::<Vec<SocketAddr>>("admin.listen"),
    key::<bool>("admin.require_key"),
    key::<bool>("admin.metrics_key"),
    key::<Vec<String>>("admin.allowed_hosts"),
    key::<bool>("auth.require_key"),
    key::<Tries>("auth.failed_limit"),
    key::<Secret>("keys.NAME.secret").required(),
    key::<Vec<String>>("keys.NAME.shares"),
    key::<PathBuf>("shares.NAME.path").required(),
    key::<Vec<String>>("shares.NAME.include"),
    key::<Vec<String>>("shares.NAME.exclude"),
    key::<bool>("shares.NAME.follow_symlinks"),
    key::<PeerUrl>("peers.NAME.url").required(),
    key::<Secret>("peers.NAME.key"),
    key::<BTreeMap<String, Secret>>("peers.NAME.headers"),
    key::<u32>("peers.NAME.max_concurrent"),
    key::<ByteSize>("peers.NAME.limit_down"),
    key::<bool>("downloads.enabled"),
    key::<PathBuf>("downloads.dir"),
    key::<PathBuf>("downloads.incomplete_dir"),
    key::<OnConflict>("downloads.on_conflict"),
    key::<u32>("downloads.max_concurrent"),
    key::<u32>("downloads.connections"),
    key::<u32>("downloads.max_attempts"),
    key::<ByteSize>("downloads.attempts_reset_bytes"),
    key::<Duration>("downloads.retry_base"),
    key::<Duration>("downloads.retry_max"),
    key::<Duration>("downloads.max_retry_after"),
    key::<Duration>("downloads.retry_failed_every"),
    key::<Duration>("downloads.give_up_after"),
    key::<Duration>("downloads.connect_timeout"),
    key::<Duration>("downloads.response_timeout"),
    key::<Duration>("downloads.idle_timeout"),
    key::<ByteSize>("downloads.low_speed"),
    key::<ByteSize>("downloads.max_size"),
    key::<ByteSize>("downloads.min_free"),
    key::<ByteSize>("downloads.checkpoint_bytes"),
    key::<Duration>("downloads.checkpoint_interval"),
    key::<Duration>("downloads.keep_history"),
    key::<ByteSize>("limits.down"),
    key::<ByteSize>("limits.up"),
    key::<PathBuf>("registry.path"),
    key::<LogLevel>("log.level"),
    key::<LogFormat>("log.format"),
];

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    path: &'static str,
    required: bool,
    shape: Shape,
    read: fn(&Value) -> Result<Value, Vec<Flaw>>,
}

const fn key<T: Setting>(path: &'static str) -> Key {
    Key { path, required: false, shape: T::SHAPE, read: T::read }
}

impl Key {
    const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The dotted path, with `NAME` where a table has a name of its own: `peers.NAME.url`.
    pub fn path(&self) -> &'static str {
        self.path
    }

    /// The environment variable that sets it: `PEERD_PEERS__NAME__URL`.
    pub fn variable(&self) -> String {
        variable(self.path.split('.'))
    }

    /// Whether a table with a name is incomplete without it.
    pub fn is_required(&self) -> bool {
        self.required
    }

    /// Whether its value must not be shown.
    pub fn is_secret(&self) -> bool {
        matches!(self.shape, Shape::Secret | Shape::SecretTable)
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    pub(crate) fn read(&self, value: &Value) -> Result<Value, Vec<Flaw>> {
        (self.read)(value)
    }

    /// The path with the `NAME` of the table a user wrote.
    pub(crate) fn named_like(&self, keys: &[&str]) -> String {
        let step = |(index, step)| if step == NAME { keys.get(index).copied().unwrap_or(NAME) } else { step };
        self.path.split('.').enumerate().map(step).collect::<Vec<_>>().join(".")
    }

    /// The keys below a table, the `NAME` replaced by that of the table.
    fn below(&self, table: &[&str]) -> Option<&'static str> {
        let mut steps = self.path.split('.');
        let matches = table.iter().all(|name| steps.next().is_some_and(|step| step == NAME || step == *name));
        if matches { steps.next() } else { None }
    }
}

/// What stands at a path.
pub(crate) enum Node {
    /// A setting.
    Setting(&'static Key),
    /// A table with known keys.
    Table,
    /// A table whose entries carry names of their own, such as `[peers]`.
    Named,
    /// Nothing.
    Unknown,
}

/// Finds what stands at a path of keys.
pub(crate) fn node(path: &[&str]) -> Node {
    let whole = |key: &&Key| {
        let steps = key.path.split('.').collect::<Vec<_>>();
        steps.len() == path.len() && steps.iter().zip(path).all(|(step, name)| *step == NAME || step == name)
    };
    if let Some(key) = KEYS.iter().find(whole) {
        return Node::Setting(key);
    }
    match children(path).first() {
        Some(&NAME) => Node::Named,
        Some(_) => Node::Table,
        None => Node::Unknown,
    }
}

/// The names that may stand in a table, in the order of the documentation.
pub(crate) fn children(table: &[&str]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for name in KEYS.iter().filter_map(|key| key.below(table)) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The variable of a path of keys.
pub(crate) fn variable<'k>(keys: impl Iterator<Item = &'k str>) -> String {
    let keys = keys.map(str::to_ascii_uppercase).collect::<Vec<_>>();
    format!("{PREFIX}{}", keys.join("__"))
}

/// The candidate that takes the fewest changes to reach, with their number.
pub(crate) fn nearest<'c, S: AsRef<str> + ?Sized>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c S>,
) -> Option<(&'c S, usize)> {
    let plain = |text: &str| text.to_ascii_lowercase().replace('-', "_");
    let word = plain(word);
    let distance = |candidate: &S| strsim::damerau_levenshtein(&word, &plain(candidate.as_ref()));
    candidates
        .into_iter()
        .map(|candidate| (candidate, distance(candidate)))
        .min_by_key(|(_, distance)| *distance)
}

/// What the environment variables of settings begin with.
pub(crate) const PREFIX: &str = "PEERD_";
const NAME: &str = "NAME";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_setting_a_table_or_unknown() {
        assert!(matches!(node(&["server", "listen"]), Node::Setting(key) if key.path() == "server.listen"));
        assert!(
            matches!(node(&["peers", "bob", "url"]), Node::Setting(key) if key.path() == "peers.NAME.url")
        );
        assert!(matches!(node(&["server"]), Node::Table));
        assert!(matches!(node(&["peers"]), Node::Named));
        assert!(matches!(node(&["peers", "bob"]), Node::Table));
        assert!(matches!(node(&["watch"]), Node::Unknown));
        assert!(matches!(node(&["server", "tls_cert"]), Node::Unknown));
        assert!(matches!(node(&["server", "listen", "x"]), Node::Unknown));
        assert_eq!(children(&["limits"]), ["down", "up"]);
    }

    #[test]
    fn no_key_stands_in_the_table_twice() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|other| other.path != key.path), "{}", key.path);
        }
    }

    #[test]
    fn the_nearest_name_takes_the_fewest_changes() {
        assert_eq!(
            nearest("max_conccurrent", &["max_attempts", "max_concurrent"]),
            Some((&"max_concurrent", 1))
        );
        assert_eq!(nearest("max-size", &["max_size"]), Some((&"max_size", 0)));
    }
}
