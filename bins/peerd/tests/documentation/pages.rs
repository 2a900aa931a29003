//! The pages, and what stands in them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The top of the repository.
pub(crate) fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file, by its path from the top.
pub(crate) fn read(path: &str) -> String {
    let path = top().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page that is about the whole: the README, the documentation, the READMEs and changes of the crates.
pub(crate) fn all() -> Vec<PathBuf> {
    let mut pages = vec![top().join("README.md"), top().join("bins/peerd/CHANGELOG.md")];
    pages.extend(files_in(&top().join("docs"), "md"));
    for entry in fs::read_dir(top().join("crates")).unwrap() {
        let names = ["README.md", "CHANGELOG.md"].map(|name| entry.as_ref().unwrap().path().join(name));
        pages.extend(names.into_iter().filter(|page| page.exists()));
    }
    pages.sort();
    pages
}

/// The files below a directory whose names end so.
pub(crate) fn files_in(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_in(&path, extension));
        } else if path.extension().is_some_and(|is| is == extension) {
            found.push(path);
        }
    }
    found
}

/// A page without its blocks of code.
pub(crate) fn prose(page: &str) -> String {
    let mut code = false;
    let outside = page.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    outside.collect::<Vec<_>>().join("\n")
}

/// The lines of its blocks of code, of these languages.
pub(crate) fn code<'a>(page: &'a str, languages: &[&str]) -> Vec<&'a str> {
    let (mut code, mut wanted) = (false, false);
    let mut lines = Vec::new();
    for line in page.lines() {
        match line.trim_start().strip_prefix("```") {
            Some(language) => {
                code = !code;
                wanted = code && languages.contains(&language.trim());
            }
            None if wanted => lines.push(line),
            None => {}
        }
    }
    lines
}

/// What stands between backticks in prose.
pub(crate) fn quoted(prose: &str) -> impl Iterator<Item = &str> {
    prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// What stands in the first column of the table between two marks, `<!-- NAME: begin -->` and its end.
pub(crate) fn first_column(page: &str, name: &str) -> Vec<String> {
    let (_, rest) = page.split_once(&format!("<!-- {name}: begin -->")).expect(name);
    let (table, _) = rest.split_once(&format!("<!-- {name}: end -->")).expect(name);
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    cells.map(|(cell, _)| cell.to_owned()).collect()
}

/// The same, each of them once.
pub(crate) fn names(page: &str, table: &str) -> BTreeSet<String> {
    let column = first_column(page, table);
    let names: BTreeSet<_> = column.iter().cloned().collect();
    assert_eq!(names.len(), column.len(), "{table}: something stands there twice: {column:?}");
    names
}
