//! Whoever looks for a message finds it.

use std::collections::BTreeSet;

use peerd::failure::Failure;
use peerd::http::problem::TYPES;
use resume_fetch::RestartReason;

use crate::pages::{files_in, first_column, names, read, top};

const PAGE: &str = "docs/troubleshooting.md";

#[test]
fn every_problem_every_kind_of_failure_and_every_reason_has_its_row_and_no_other() {
    let page = read(PAGE);
    assert_eq!(names(&page, "problems"), set(TYPES.iter().map(|(name, _)| *name)));
    assert_eq!(names(&page, "kinds"), set(Failure::ALL.into_iter().map(Failure::as_str)));
    assert_eq!(names(&page, "reasons"), set(RestartReason::ALL.into_iter().map(RestartReason::as_str)));
}

#[test]
fn every_message_on_the_page_is_one_the_program_says() {
    let mut program = String::new();
    for room in ["bins/peerd/src", "crates/resume-fetch/src", "crates/download-registry/src"] {
        for file in files_in(&top().join(room), "rs") {
            // Without its comments, and with long texts in one piece: they go on behind a backslash in the next line.
            let source = std::fs::read_to_string(file).unwrap();
            let lines = source.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
            for line in lines {
                match line.strip_suffix('\\') {
                    Some(begun) => program.push_str(begun),
                    None => program.extend([line, "\n"]),
                }
            }
        }
    }
    let (page, program) = (read(PAGE), program.to_lowercase());
    let messages = ["said", "start", "log"].into_iter().flat_map(|table| first_column(&page, table));
    let nobody_says = |message: &String| {
        let mut parts = message.split('…').map(|part| part.trim().to_lowercase());
        parts.any(|part| !program.contains(&part))
    };
    let unsaid: Vec<_> = messages.filter(nobody_says).collect();
    assert!(unsaid.is_empty(), "nobody says {unsaid:#?}");
}

fn set<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.map(str::to_owned).collect()
}
