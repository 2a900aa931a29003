//! One layer of the configuration: what the file, the environment or the flags set, checked key by key.

use figment::value::{Dict, Map};
use figment::{Metadata, Profile, Provider};
use toml::{Table, Value};

use super::key_path::{KeyPath, get, insert, remove};
use super::keys::{Key, Node, children, nearest, node, variable};
use super::problem::{Finding, Spot};

/// What one source sets, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    name: &'static str,
    table: Table,
    set: Vec<KeyPath>,
    findings: Vec<Finding>,
    doubtful: Vec<KeyPath>,
}

impl Layer {
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Checks a value and keeps it when it is good.
    pub(crate) fn accept(&mut self, path: &KeyPath, key: &Key, value: &Value) {
        match key.read(value) {
            Ok(value) => self.put(path, value),
            Err(flaws) => {
                for flaw in flaws {
                    let inside = flaw.inside.map_or_else(|| path.clone(), |step| path.step(step));
                    let finding = Finding { help: flaw.help, ..Finding::at(&inside, flaw.message) };
                    self.reject(path, finding);
                }
            }
        }
    }

    /// Keeps a value that needs no check.
    pub(crate) fn put(&mut self, path: &KeyPath, value: Value) {
        insert(&mut self.table, &path.keys(), value);
        self.set.push(path.clone());
    }

    /// Keeps an empty table, so that a table with a name exists even when nothing is set in it.
    pub(crate) fn put_table(&mut self, path: &KeyPath) {
        if get(&self.table, &path.keys()).is_none() {
            insert(&mut self.table, &path.keys(), Value::Table(Table::new()));
        }
    }

    /// Notes what is wrong, and that what `path` was meant to be is not known.
    pub(crate) fn reject(&mut self, path: &KeyPath, finding: Finding) {
        self.doubtful.push(path.clone());
        self.note(finding);
    }

    pub(crate) fn note(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    /// Takes back what a higher layer sets, or what turned out to be wrong later.
    pub(crate) fn withdraw(&mut self, path: &KeyPath) {
        remove(&mut self.table, &path.keys());
        self.set.retain(|set| !set.starts_with(path));
    }

    /// Refuses a key that does not exist, with the one that was probably meant.
    pub(crate) fn refuse_unknown_key(&mut self, path: &KeyPath) {
        let keys = path.keys();
        let (name, table) = (path.last_key(), &keys[..keys.len() - 1]);
        let inside = match table {
            [] => String::new(),
            _ => format!(" in [{}]", KeyPath::new(table.iter().copied())),
        };
        let what = if table.is_empty() { "section" } else { "key" };
        let siblings = children(table);
        let close = nearest(name, siblings.iter().copied())
            .filter(|(candidate, distance)| *distance <= tolerance(candidate));
        let help = match close {
            Some((candidate, _)) => {
                self.doubtful.push(KeyPath::new(table.iter().copied().chain([candidate])));
                format!("did you mean `{candidate}`?")
            }
            None => elsewhere(name).unwrap_or_else(|| format!("known here: {}", siblings.join(", "))),
        };
        self.note(
            Finding::new(Spot::Name(path.clone()), format!("unknown {what} `{name}`{inside}")).help(help),
        );
    }

    /// Refuses a variable that names no setting, with the one that was probably meant.
    pub(crate) fn refuse_unknown_variable(&mut self, name: &str, path: &KeyPath) {
        let finding = Finding::new(Spot::Variable(name.to_owned()), "no setting has this name");
        let keys = path.keys();
        let candidates = super::keys::keys().map(|key| key.named_like(&keys)).collect::<Vec<_>>();
        let finding = match nearest(&path.keys().join("."), &candidates) {
            Some((candidate, _)) => {
                self.doubtful.push(KeyPath::new(candidate.split('.')));
                finding.help(format!("did you mean {} ({candidate})?", variable(candidate.split('.'))))
            }
            None => finding,
        };
        self.note(finding);
    }

    /// The settings this layer sets.
    pub(crate) fn set(&self) -> &[KeyPath] {
        &self.set
    }

    pub(crate) fn sets(&self, path: &KeyPath) -> bool {
        self.set.contains(path)
    }

    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// The value set at `path`.
    pub(crate) fn value(&self, path: &KeyPath) -> Option<&Value> {
        get(&self.table, &path.keys())
    }

    pub(crate) fn take_findings(&mut self) -> (Vec<Finding>, Vec<KeyPath>) {
        (std::mem::take(&mut self.findings), std::mem::take(&mut self.doubtful))
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let value = figment::value::Value::serialize(&self.table)?;
        Ok(value.into_dict().map(|dict| Profile::Default.collect(dict)).unwrap_or_default())
    }
}

/// Changes up to which a name is taken for a slip of the pen.
fn tolerance(candidate: &str) -> usize {
    (candidate.len() / 3).max(1)
}

/// Where a key of this name would be right.
fn elsewhere(name: &str) -> Option<String> {
    let homes = super::keys::keys().filter_map(|key| key.path().rsplit_once('.'));
    let homes =
        homes.filter(|(_, last)| *last == name).map(|(table, _)| format!("[{table}]")).collect::<Vec<_>>();
    if homes.is_empty() || matches!(node(&[name]), Node::Table | Node::Named) {
        return None;
    }
    Some(format!("`{name}` belongs in {}", homes.join(" or ")))
}
