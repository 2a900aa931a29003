//! The path of one setting, such as `peers.bob.url` or `server.listen[1]`, and the tree it points into.

use std::fmt;

use toml::{Table, Value};

/// Where a setting stands: the keys from the top, and possibly an item of its list.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct KeyPath(Vec<Step>);

/// One step down the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    /// Into a table.
    Key(String),
    /// Into a list, counted from zero.
    Item(usize),
}

impl KeyPath {
    pub(crate) fn new<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.into())).collect())
    }

    pub(crate) fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    pub(crate) fn step(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// The path without its last step; `None` at the top.
    pub(crate) fn parent(&self) -> Option<Self> {
        let (_, parents) = self.0.split_last()?;
        Some(Self(parents.to_vec()))
    }

    /// The keys on the way, without list items.
    pub(crate) fn keys(&self) -> Vec<&str> {
        let keys = self.0.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Item(_) => None,
        });
        keys.collect()
    }

    /// The last key.
    pub(crate) fn last_key(&self) -> &str {
        self.keys().last().copied().unwrap_or_default()
    }

    pub(crate) fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

/// As TOML writes it: names with dots are quoted.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(item) => write!(f, "[{item}]")?,
                Step::Key(key) => {
                    if index > 0 {
                        f.write_str(".")?;
                    }
                    let bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    if !key.is_empty() && key.chars().all(bare) {
                        f.write_str(key)?;
                    } else {
                        write!(f, "{key:?}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// The value at a path of keys.
pub(crate) fn get<'t>(table: &'t Table, keys: &[&str]) -> Option<&'t Value> {
    let (last, parents) = keys.split_last()?;
    let mut table = table;
    for key in parents {
        table = table.get(*key)?.as_table()?;
    }
    table.get(*last)
}

/// Puts a value at a path of keys and makes the tables on the way.
pub(crate) fn insert(table: &mut Table, keys: &[&str], value: Value) {
    let Some((last, parents)) = keys.split_last() else { return };
    let mut table = table;
    for key in parents {
        let entry = table.entry(*key).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(below) = entry else { return };
        table = below;
    }
    table.insert((*last).to_owned(), value);
}

/// Takes the value at a path of keys out of the tree; the tables around it stay.
pub(crate) fn remove(table: &mut Table, keys: &[&str]) -> Option<Value> {
    let (last, parents) = keys.split_last()?;
    let mut table = table;
    for key in parents {
        table = table.get_mut(*key)?.as_table_mut()?;
    }
    table.remove(*last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_like_toml() {
        assert_eq!(KeyPath::new(["server", "listen"]).item(1).to_string(), "server.listen[1]");
        assert_eq!(KeyPath::new(["peers", "bob.example", "url"]).to_string(), "peers.\"bob.example\".url");
    }

    #[test]
    fn what_was_put_at_a_path_is_found_there_and_can_be_taken_out() {
        let mut table = Table::new();
        insert(&mut table, &["peers", "bob", "url"], Value::from("x"));
        assert_eq!(get(&table, &["peers", "bob", "url"]), Some(&Value::from("x")));
        assert_eq!(remove(&mut table, &["peers", "bob", "url"]), Some(Value::from("x")));
        assert_eq!(get(&table, &["peers", "bob", "url"]), None);
        assert!(get(&table, &["peers", "bob"]).is_some());
    }
}
