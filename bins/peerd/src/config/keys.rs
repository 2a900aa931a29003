//! The table of every key there is: what is not in it is refused, in the file and in the environment.
//!
//! A key is built when its behaviour is; a key without behaviour has no line here, so nobody sets it in vain. What a
//! key takes and means stands with it, once: `peerd config init` and `docs/configuration.md` say the same words.

use std::sync::LazyLock;

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;
use super::key_path::{get, insert};
use super::section::Section;
use super::setting::{Flaw, Setting, Shape};
use super::{downloads, hooks, housekeeping, importing, listeners, sharing, watch};

/// Every section, in the order it is documented. A new one is a file of its own and a line here.
pub const SECTIONS: &[Section] = &[
    listeners::SERVER,
    listeners::ADMIN,
    listeners::AUTH,
    sharing::KEYS,
    sharing::SHARES,
    sharing::PEERS,
    downloads::DOWNLOADS,
    downloads::LIMITS,
    watch::WATCH,
    importing::IMPORT,
    hooks::HOOKS,
    housekeeping::REGISTRY,
    housekeeping::LOG,
];

/// Every key, in the order it is documented. `NAME` stands for the name of a table.
pub fn keys() -> impl Iterator<Item = &'static Key> {
    SECTIONS.iter().flat_map(Section::keys)
}

/// One key of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    path: &'static str,
    takes: &'static str,
    about: &'static str,
    example: Option<&'static str>,
    required: bool,
    live: bool,
    shape: Shape,
    read: fn(&Value) -> Result<Value, Vec<Flaw>>,
}

/// A key that takes what `T` reads; `takes` says so to people, with unit and bounds, and `about` what it is for.
pub(crate) const fn key<T: Setting>(path: &'static str, takes: &'static str, about: &'static str) -> Key {
    let (shape, read) = (T::SHAPE, T::read);
    Key { path, takes, about, example: None, required: false, live: false, shape, read }
}

impl Key {
    /// A table with a name is incomplete without it; `example` is what it could be, as TOML.
    pub(crate) const fn required(mut self, example: &'static str) -> Self {
        self.required = true;
        self.example(example)
    }

    /// What it could be, as TOML, where it has no default.
    pub(crate) const fn example(mut self, example: &'static str) -> Self {
        self.example = Some(example);
        self
    }

    /// A reload applies it; others wait for the next start.
    pub(crate) const fn live(mut self) -> Self {
        self.live = true;
        self
    }

    /// What it takes: unit and bounds.
    pub fn takes(&self) -> &'static str {
        self.takes
    }

    /// What it is for, in a line.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// Whether a reload applies it.
    pub fn is_live(&self) -> bool {
        self.live
    }

    /// Its value when nobody sets it, as TOML; `None` for one that is required or has none.
    pub fn default(&self) -> Option<String> {
        let value = get(&DEFAULTS, &self.path.split('.').collect::<Vec<_>>())?;
        (!self.required).then(|| value.to_string())
    }

    /// What it could be, as TOML, where it has no default.
    pub fn example_text(&self) -> Option<&'static str> {
        self.example
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

    /// Where a table sets it: at most one place, or one in each entry of its section.
    pub(crate) fn paths_in(&self, table: &Table) -> Vec<Vec<String>> {
        let steps: Vec<_> = self.path.split('.').map(str::to_owned).collect();
        let [section, name, key] = steps.as_slice() else { return vec![steps] };
        debug_assert_eq!(name, NAME);
        let entries = table.get(section).and_then(Value::as_table).into_iter().flat_map(Table::keys);
        entries.map(|entry| vec![section.clone(), entry.clone(), key.clone()]).collect()
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
    if let Some(key) = keys().find(whole) {
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
    for name in keys().filter_map(|key| key.below(table)) {
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
pub(crate) const NAME: &str = "NAME";

/// The configuration nobody wrote, with one entry of each kind that has a name.
static DEFAULTS: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table::new();
    for section in SECTIONS.iter().filter(|section| section.entry_name().is_some()) {
        insert(&mut table, &[section.name(), NAME], Value::Table(Table::new()));
    }
    for key in keys().filter(|key| key.required) {
        // A secret is deserialized from the text it was replaced by.
        let value = match key.shape {
            Shape::Secret => Value::from("x"),
            _ => key.example.and_then(|text| parse_value(text).ok()).unwrap_or_else(|| Value::from("")),
        };
        insert(&mut table, &key.path.split('.').collect::<Vec<_>>(), value);
    }
    let config = Config::deserialize(table).unwrap_or_default();
    Table::try_from(config).unwrap_or_default()
});

fn parse_value(text: &str) -> Result<Value, toml::de::Error> {
    let mut table = format!("value = {text}").parse::<Table>()?;
    Ok(table.remove("value").unwrap_or_else(|| Value::from("")))
}

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
        assert!(matches!(node(&["importer"]), Node::Unknown));
        assert!(matches!(node(&["server", "tls_certs"]), Node::Unknown));
        assert!(matches!(node(&["server", "listen", "x"]), Node::Unknown));
        assert_eq!(children(&["limits"]), ["down", "up"]);
    }

    #[test]
    fn every_key_stands_in_the_table_once_and_in_its_section() {
        for (index, key) in keys().enumerate() {
            assert!(keys().take(index).all(|other| other.path != key.path), "{}", key.path);
        }
        for section in SECTIONS {
            for key in section.keys() {
                assert!(key.path.starts_with(&format!("{}.", section.name())), "{}", key.path);
                assert_eq!(section.entry_name().is_some(), key.path.contains(NAME), "{}", key.path);
            }
        }
    }

    #[test]
    fn every_key_has_a_default_or_an_example() {
        for key in keys() {
            assert!(key.default().is_some() || key.example.is_some(), "{}", key.path);
        }
        assert_eq!(keys().find(|key| key.path == "limits.down").unwrap().default().unwrap(), "\"0\"");
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
