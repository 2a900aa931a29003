//! `docs/recovery.md` and these tests say the same: every test stands on the page, every test the page names exists.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use peerd::config::keys;

#[test]
fn every_test_of_recovery_stands_on_the_page_and_every_test_on_the_page_exists() {
    let tests = tests_in(&here().join("tests/recovery"));
    let named = named_in("recovery.md");
    let elsewhere: BTreeSet<_> = [here().join("tests"), here().join("src"), here().join("../../crates")]
        .iter()
        .flat_map(|folder| tests_in(folder))
        .collect();
    let unknown: Vec<_> = named.difference(&elsewhere).collect();
    assert_eq!(unknown, [] as [&String; 0], "named on the page, and not there");
    // Those of this file are about the pages themselves.
    let own = tests_of(include_str!("page.rs"));
    let missing: Vec<_> = tests.difference(&named).filter(|test| !own.contains(*test)).collect();
    assert_eq!(missing, [] as [&String; 0], "not on the page");
}

#[test]
fn every_test_the_page_for_those_who_come_from_jack_names_exists() {
    let folders = [here().join("tests"), here().join("src"), here().join("../../crates")];
    let tests: BTreeSet<_> = folders.iter().flat_map(|folder| tests_in(folder)).collect();
    let unknown: Vec<_> = named_in("from-jack.md").difference(&tests).cloned().collect();
    assert_eq!(unknown, [] as [&str; 0], "named on the page, and not there");
}

#[test]
fn every_setting_the_page_for_those_who_come_from_jack_names_exists() {
    let keys: BTreeSet<_> = keys().map(peerd::config::Key::path).collect();
    let sections = ["server.", "admin.", "auth.", "keys.", "shares.", "peers.", "downloads.", "limits."];
    let text = page("from-jack.md");
    let quoted = text.split('`').skip(1).step_by(2).filter_map(|quoted| quoted.split(' ').next());
    let is_setting = |name: &&str| {
        sections.iter().any(|section| name.starts_with(section)) && !name.chars().any(char::is_uppercase)
            || name.contains(".NAME.")
    };
    let named: BTreeSet<_> = quoted.filter(is_setting).collect();
    assert!(named.len() > 15, "the page has another shape: {named:?}");
    let unknown: Vec<_> = named.difference(&keys).collect();
    assert_eq!(unknown, [] as [&&str; 0], "named on the page, and no setting");
}

/// What stands between backticks on a page of `docs` and can only be the name of a test.
fn named_in(page: &str) -> BTreeSet<String> {
    let text = self::page(page);
    let quoted = text.split('`').skip(1).step_by(2);
    let last = quoted.map(|name| name.rsplit("::").next().unwrap_or_default());
    let is_test = |name: &&str| name.matches('_').count() >= 4 && name.chars().all(is_of_a_name);
    let named: BTreeSet<_> = last.filter(is_test).map(str::to_owned).collect();
    assert!(named.len() > 10, "{page} has another shape: {named:?}");
    named
}

fn page(name: &str) -> String {
    std::fs::read_to_string(here().join("../../docs").join(name)).expect("a page")
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// The names of all tests below a folder.
fn tests_in(folder: &Path) -> BTreeSet<String> {
    let text = |path: PathBuf| std::fs::read_to_string(path).expect("a source");
    sources_in(folder).into_iter().flat_map(|path| tests_of(&text(path))).collect()
}

fn tests_of(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[tokio::test") || line == "#[test]" {
            marked = true;
        } else if let Some(rest) = line.strip_prefix("async fn ").or(line.strip_prefix("fn "))
            && std::mem::take(&mut marked)
        {
            found.extend(rest.split('(').next().map(str::to_owned));
        }
    }
    found
}

fn sources_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if path.is_dir() => found.extend(sources_in(&path)),
            Some(extension) if extension == "rs" => found.push(path),
            _ => {}
        }
    }
    found
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
