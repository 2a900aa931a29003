//! Settings from environment variables: `PEERD_DOWNLOADS__MAX_CONCURRENT=2`.
//!
//! A variable is a setting when its name begins with `PEERD_` and has `__` between the levels; others, such as
//! `PEERD_CONFIG`, are none of our business here.

use std::collections::BTreeMap;
use std::ffi::OsString;

use toml::Table;

use super::file::{bad_name, is_name};
use super::key_path::{KeyPath, get};
use super::keys::{Node, PREFIX, node};
use super::layer::Layer;
use super::problem::{Finding, Spot};
use super::setting::from_variable;

/// Which variable set which setting.
pub(crate) type Variables = BTreeMap<KeyPath, String>;

/// Reads the settings among the variables.
///
/// Names of tables are matched with those of `file` whatever their case, else they are lower case.
pub(crate) fn read(environment: &BTreeMap<String, OsString>, file: &Table) -> (Layer, Variables) {
    let mut layer = Layer::new("the environment");
    let mut variables = Variables::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix(PREFIX).filter(|rest| rest.contains("__")) else { continue };
        let path = path_of(rest, file);
        let Node::Setting(key) = node(&path.keys()) else {
            layer.refuse_unknown_variable(name, &path);
            continue;
        };
        variables.insert(path.clone(), name.clone());
        if let &[_, entry, _] = path.keys().as_slice()
            && !is_name(entry)
        {
            layer.reject(&path, Finding::new(Spot::Variable(name.clone()), bad_name(entry)));
            continue;
        }
        let text = value.to_str().ok_or_else(|| "the value is not UTF-8 text".to_owned());
        match text.and_then(|text| from_variable(key.shape(), text)) {
            Ok(value) => layer.accept(&path, key, &value),
            Err(message) => layer.reject(&path, Finding::at(&path, message)),
        }
    }
    (layer, variables)
}

fn path_of(rest: &str, file: &Table) -> KeyPath {
    let mut keys = rest.split("__").map(str::to_ascii_lowercase).collect::<Vec<_>>();
    if let [section, name, ..] = keys.as_mut_slice()
        && matches!(node(&[section.as_str()]), Node::Named)
        && let Some(known) = get(file, &[section.as_str()]).and_then(|entries| entries.as_table())
        && !known.contains_key(name)
        && let Some(spelling) = known.keys().find(|known| known.eq_ignore_ascii_case(name))
    {
        name.clone_from(spelling);
    }
    KeyPath::new(keys)
}

#[cfg(test)]
mod tests {
    use toml::Value;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, OsString> {
        variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect()
    }

    #[test]
    fn only_names_with_two_underscores_are_settings() {
        let variables = [("PEERD_CONFIG", "x"), ("PEERD_LOG_FOO", "x"), ("OTHER__LOG__LEVEL", "x")];
        let (mut layer, _) = read(&environment(&variables), &Table::new());
        assert!(layer.set().is_empty());
        assert!(layer.take_findings().0.is_empty());
    }

    #[test]
    fn a_variable_sets_the_key_its_name_spells() {
        let variables = [("PEERD_DOWNLOADS__MAX_CONCURRENT", "2"), ("PEERD_PEERS__BOB__KEY", "0012")];
        let (layer, names) = read(&environment(&variables), &Table::new());
        let path = KeyPath::new(["downloads", "max_concurrent"]);
        assert_eq!(layer.value(&path), Some(&Value::from(2)));
        assert_eq!(names[&path], "PEERD_DOWNLOADS__MAX_CONCURRENT");
        assert_eq!(layer.value(&KeyPath::new(["peers", "bob", "key"])), Some(&Value::from("0012")));
    }

    #[test]
    fn the_name_of_a_table_matches_that_of_the_file_in_any_case() {
        let file = "[peers.Bob]\nurl = 'http://x/'".parse().unwrap();
        let (layer, _) = read(&environment(&[("PEERD_PEERS__BOB__KEY", "k")]), &file);
        assert_eq!(layer.set(), [KeyPath::new(["peers", "Bob", "key"])]);
    }

    #[test]
    fn a_variable_that_names_no_setting_is_refused_with_the_nearest() {
        let variables = [("PEERD_DOWNLOADS__MAX_CONCURENT", "9"), ("PEERD_PEER__BOB__KEY", "x")];
        let (mut layer, _) = read(&environment(&variables), &Table::new());
        let help = layer.take_findings().0.into_iter().map(|f| f.help.unwrap()).collect::<Vec<_>>();
        assert_eq!(
            help,
            [
                "did you mean PEERD_DOWNLOADS__MAX_CONCURRENT (downloads.max_concurrent)?",
                "did you mean PEERD_PEERS__BOB__KEY (peers.bob.key)?"
            ]
        );
    }
}
