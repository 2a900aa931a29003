//! The pages people look things up in say what the program has, all of it and nothing else.
//!
//! `PEERD_WRITE_DOCS=1 cargo test -p peerd --test reference` writes the table of problems anew.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::Path;

use peerd::events::NAMES;
use peerd::exit::Exit;
use peerd::http::problem::TYPES;

fn page(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap()
}

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(name)
}

/// What stands in code style in the first column of the tables of a page.
fn first_column(page: &str) -> BTreeSet<String> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    cells
        .flat_map(|cell| cell.split('`').step_by(2))
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_type_of_problem_is_on_its_page_in_the_same_words() {
    let rows: String = TYPES.iter().map(|(name, meaning)| format!("| `{name}` | {meaning} |\n")).collect();
    let table = format!("| type | meaning |\n|---|---|\n{rows}");
    let page = page("problems.md");
    let (before, rest) = page.split_once("<!-- problems: begin -->\n").unwrap();
    let (written, after) = rest.split_once("<!-- problems: end -->").unwrap();
    if std::env::var_os("PEERD_WRITE_DOCS").is_some() {
        let marks = ["<!-- problems: begin -->\n", "<!-- problems: end -->"];
        std::fs::write(path("problems.md"), [before, marks[0], &table, marks[1], after].concat()).unwrap();
        return;
    }
    assert_eq!(written, table, "write it anew with PEERD_WRITE_DOCS=1");
    assert!(TYPES.is_sorted(), "whoever looks for one finds it by its name");
}

#[test]
fn no_type_of_problem_is_listed_that_nobody_gives() {
    fn sources(dir: &Path, into: &mut String) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, into);
            } else if !path.ends_with("problem/types.rs") {
                into.push_str(&std::fs::read_to_string(path).unwrap());
            }
        }
    }
    let mut program = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut program);
    let unused = TYPES.iter().filter(|(name, _)| !program.contains(&format!("\"{name}\"")));
    assert_eq!(unused.collect::<Vec<_>>(), [&("", ""); 0]);
}

#[test]
fn every_event_is_on_its_page() {
    let page = first_column(&page("events.md"));
    let told: BTreeSet<_> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let named: BTreeSet<_> =
        page.into_iter().filter(|name| name.contains('.') && !name.contains(' ')).collect();
    assert_eq!(named, told);
}

#[test]
fn every_exit_code_is_on_its_page() {
    let page = page("command-line.md");
    let (_, rest) = page.split_once("## Exit codes").unwrap();
    let (section, _) = rest.split_once("\n## ").unwrap();
    let codes: BTreeSet<_> = Exit::ALL.iter().map(|exit| (*exit as u8).to_string()).collect();
    assert_eq!(first_column(section), codes);
}
