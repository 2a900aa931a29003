//! `docs/chunks.md` names every id that a test here bears, and every test that it names exists.

use std::path::{Path, PathBuf};

#[test]
fn every_id_of_a_test_stands_on_the_page_with_that_test() {
    let Some(page) = page() else { return };
    for (path, text) in sources(&["tests/chunks", DAEMON_TESTS]) {
        let file = path.file_stem().unwrap().to_string_lossy().into_owned();
        let lines: Vec<_> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let comment = line.strip_prefix("// ").or_else(|| line.strip_prefix("/// "));
            let ids: Vec<_> = comment.map(ids).unwrap_or_default();
            let Some(test) = lines[at..].iter().take(5).find_map(|line| name_of(line)) else { continue };
            for id in ids {
                let row = page.lines().find(|row| row.starts_with(&format!("| {id} |")));
                let named = row.is_some_and(|row| row.contains(&format!("`{file}::{test}`")));
                assert!(named, "{id} of {file}::{test} is missing on the page");
            }
        }
    }
}

#[test]
fn every_test_that_the_page_names_exists() {
    let Some(page) = page() else { return };
    let sources = sources(&["src", "tests", DAEMON_TESTS, "../../bins/peerd/src/downloads/content"]);
    let rows = page.lines().filter(|row| row.starts_with("| C") || row.starts_with("| P"));
    let tests: Vec<_> = rows.flat_map(|row| row.split('`').skip(1).step_by(2)).collect();
    assert!(tests.len() > 80, "the page has another shape: {tests:?}");
    for test in tests {
        let function = format!("fn {}(", test.rsplit("::").next().unwrap_or_default());
        assert!(sources.iter().any(|(_, text)| text.contains(&function)), "there is no {test}");
    }
}

/// `C02, P20: because` has two.
fn ids(comment: &str) -> Vec<&str> {
    let list = comment.split(':').next().unwrap_or_default().split(", ");
    let is_id = |id: &str| id.len() == 3 && id.starts_with(['C', 'P']) && id[1..].parse::<u8>().is_ok();
    let ids: Vec<_> = list.collect();
    if ids.iter().all(|id| is_id(id)) { ids } else { Vec::new() }
}

fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix("async fn ")?.split('(').next()
}

/// The page is no part of the published crate.
fn page() -> Option<String> {
    std::fs::read_to_string(crate_dir().join("../../docs/chunks.md")).ok()
}

fn sources(folders: &[&str]) -> Vec<(PathBuf, String)> {
    let mut sources = Vec::new();
    let mut folders: Vec<_> = folders.iter().map(|folder| crate_dir().join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                sources.push((path, text));
            }
        }
    }
    sources
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Where the daemon's tests of reading are, seen from this crate. The page is not read elsewhere.
const DAEMON_TESTS: &str = "../../bins/peerd/tests/content";
