//! The table is complete: every row has a test with its number and a line in `docs/resume.md`, and every test that the
//! page names exists.

use std::path::{Path, PathBuf};

const SOURCES: [&str; 6] = [
    include_str!("partial.rs"),
    include_str!("whole.rs"),
    include_str!("past_the_end.rs"),
    include_str!("status.rs"),
    include_str!("length.rs"),
    include_str!("local.rs"),
];

/// 1 to 47, with the cases that came between two of them.
fn rows() -> Vec<String> {
    let mut rows: Vec<_> = (1..=47).map(|row| format!("{row:02}")).collect();
    rows.extend(["08b", "21b", "24b"].map(str::to_owned));
    rows
}

#[test]
fn every_row_has_a_test_that_bears_its_number() {
    let tests = SOURCES.concat();
    for row in rows() {
        let names = [format!("fn row_{row}_"), format!("fn rows_{row}_and_"), format!("_and_{row}_a_")];
        assert!(names.iter().any(|name| tests.contains(name)), "no test of row {row}");
    }
}

#[test]
fn every_row_stands_on_the_page() {
    let Some(page) = page() else { return };
    let first_cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let numbers: Vec<_> = first_cells.flat_map(|cell| cell.split(", ")).collect();
    for row in rows() {
        assert!(numbers.contains(&row.trim_start_matches('0')), "no line for row {row}");
    }
}

#[test]
fn every_test_the_page_names_exists() {
    let Some(page) = page() else { return };
    let mut sources = Vec::new();
    for folder in ["src", "tests"] {
        read_all(&crate_dir().join(folder), &mut sources);
    }
    // In the last column, between backticks: `file::a_test`, `…a_test_of_the_same_file` or `row_01…`.
    let last_cells = page.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit(" | ").next());
    let quoted = last_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let is_test = |name: &&str| name.contains("::") || name.contains("row_") || name.starts_with('…');
    let tests: Vec<_> = quoted.filter(is_test).collect();
    assert!(tests.len() > 40, "the page has another shape: {tests:?}");
    for test in tests.iter().filter(|test| **test != "resume_matrix::row_NN…") {
        let name = test.rsplit("::").next().unwrap_or_default();
        let begins = format!("fn {}", name.trim_matches('…'));
        let module = || sources.iter().any(|(path, _)| path.file_stem().is_some_and(|stem| stem == name));
        assert!(sources.iter().any(|(_, text)| text.contains(&begins)) || module(), "there is no {test}");
    }
}

/// The page is no part of the published crate.
fn page() -> Option<String> {
    std::fs::read_to_string(crate_dir().join("../../docs/resume.md")).ok()
}

fn read_all(folder: &Path, sources: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.extension() {
            _ if path.is_dir() => read_all(&path, sources),
            Some(extension) if extension == "rs" => {
                sources.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
            _ => {}
        }
    }
}

fn crate_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
