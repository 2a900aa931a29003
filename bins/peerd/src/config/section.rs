//! One section of the configuration: its keys, what it is for, and what is wrong with it as a whole.

use super::Config;
use super::keys::Key;
use super::paths::ResolvedPaths;
use super::validate::Verdict;

/// A table of the configuration, or a table of tables with names of their own, such as `[peers]`.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    name: &'static str,
    about: &'static str,
    entry: Option<&'static str>,
    keys: &'static [Key],
    judge: fn(&mut Verdict, &Config, &ResolvedPaths),
}

/// A section whose single values tell all that can be wrong with it.
pub(crate) const fn section(name: &'static str, about: &'static str, keys: &'static [Key]) -> Section {
    Section { name, about, entry: None, keys, judge: |_, _, _| {} }
}

impl Section {
    /// Its entries carry names of their own, such as this one.
    pub(crate) const fn of_entries_like(mut self, entry: &'static str) -> Self {
        self.entry = Some(entry);
        self
    }

    /// What no single value can show is judged by this.
    pub(crate) const fn judged_by(mut self, judge: fn(&mut Verdict, &Config, &ResolvedPaths)) -> Self {
        self.judge = judge;
        self
    }

    /// The name of the table.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it is for, in a few words.
    pub fn about(&self) -> &'static str {
        self.about
    }

    /// What one of its entries could be called; `None` for a section that is one table.
    pub fn entry_name(&self) -> Option<&'static str> {
        self.entry
    }

    /// Its keys, in the order they are documented.
    pub fn keys(&self) -> &'static [Key] {
        self.keys
    }

    pub(crate) fn judge(&self, verdict: &mut Verdict, config: &Config, paths: &ResolvedPaths) {
        (self.judge)(verdict, config, paths);
    }
}
