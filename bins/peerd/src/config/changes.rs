//! What differs between two configurations, and whether that waits for the next start.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::{Table, Value};

use super::key_path::{KeyPath, get, insert, remove};
use super::keys::{Node, keys, node};
use super::problem::{ConfigErrors, Finding, Place, Problem, Spot};
use super::validate::judge;
use super::{Config, Loaded};

/// The settings a reload finds changed, as dotted paths, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those that hold at once.
    pub live: Vec<String>,
    /// Those that hold from the next start on.
    pub at_restart: Vec<String>,
}

impl Changes {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.at_restart.is_empty()
    }
}

impl Loaded {
    /// What `newer` changes. A secret or a certificate that was replaced counts, though nobody is told by what.
    pub fn changes(&self, newer: &Self) -> Changes {
        let (old, new) = (self.values(), newer.values());
        let mut changed = differing(&old, &new);
        for path in differing(&self.secrets, &newer.secrets) {
            let keys = path.keys();
            // A header is a part of its setting.
            changed.insert(KeyPath::new(keys.iter().take(SETTING_DEPTH).copied()));
        }
        // Renewed in place: the setting is as before, and what it names is not.
        changed.extend(differing(&self.certificates, &newer.certificates));
        let mut changes = Changes::default();
        for path in changed {
            let live = matches!(node(&path.keys()), Node::Setting(key) if key.is_live());
            let list = if live { &mut changes.live } else { &mut changes.at_restart };
            list.push(path.to_string());
        }
        changes
    }

    /// What is in force when this is applied to a daemon that was started with `started`: settings that wait for the
    /// next start keep the value of the last one.
    ///
    /// # Errors
    /// What is good by itself and wrong beside those values, such as a share around a directory that is still in use.
    pub(crate) fn beside(&self, started: &Self) -> Result<Config, ConfigErrors> {
        if let (Some(file), None) = (&started.file, &self.file) {
            // Without a file the defaults would hold: no shares, no keys, no peers. Nobody means that.
            let message = format!("the configuration file {} is gone", file.display());
            return Err(one_problem(&message));
        }
        let (mut table, before) = (self.table(), started.table());
        for key in keys().filter(|key| !key.is_live()) {
            for path in key.paths_in(&before).into_iter().chain(key.paths_in(&table)) {
                let path: Vec<_> = path.iter().map(String::as_str).collect();
                match get(&before, &path) {
                    Some(value) => insert(&mut table, &path, value.clone()),
                    None => drop(remove(&mut table, &path)),
                }
            }
        }
        // Both were read before, so that this cannot fail; and if it did, nothing would be applied.
        let config = Config::deserialize(table).map_err(|error| one_problem(&error.to_string()))?;
        let found = judge(&config, &started.paths).errors;
        if found.is_empty() {
            return Ok(config);
        }
        Err(ConfigErrors::new(found.iter().map(|finding| self.problem(finding)).collect()))
    }

    /// Everything in force, secrets included.
    fn table(&self) -> Table {
        let mut table = Table::try_from(&self.config).unwrap_or_default();
        for (path, secret) in &self.secrets {
            insert(&mut table, &path.keys(), Value::from(secret.expose()));
        }
        table
    }

    fn problem(&self, finding: &Finding) -> Problem {
        let place = match &finding.spot {
            Spot::Values(paths) => paths.iter().find_map(|path| self.origins.get(path)).cloned(),
            _ => None,
        };
        let help = "this depends on a setting that waits for the next start: restart peerd to apply both";
        let help = finding.help.clone().unwrap_or_else(|| help.to_owned());
        Problem { place: place.unwrap_or(Place::Default), message: finding.message.clone(), help: Some(help) }
    }

    fn values(&self) -> BTreeMap<KeyPath, Value> {
        self.paths_and_values().collect()
    }
}

fn differing<V: PartialEq>(old: &BTreeMap<KeyPath, V>, new: &BTreeMap<KeyPath, V>) -> BTreeSet<KeyPath> {
    let paths = old.keys().chain(new.keys());
    paths.filter(|path| old.get(*path) != new.get(*path)).cloned().collect()
}

fn one_problem(message: &str) -> ConfigErrors {
    ConfigErrors::new(vec![Problem { place: Place::Default, message: message.to_owned(), help: None }])
}

/// Section, name and key; below that everything is part of one setting.
const SETTING_DEPTH: usize = 3;
