//! `docs/other-clients.md` shows every case with every client, and how to see it oneself. Its figures are of the day they
//! were measured; `examples/other_clients` measures them again.

#[path = "../examples/other_clients/names.rs"]
mod names;

use names::{Case, Client};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/other-clients.md");

#[test]
fn both_tables_have_a_column_for_every_client() {
    let titles: Vec<_> = Client::ALL.iter().map(|client| client.title()).collect();
    let headings: Vec<_> = rows().into_iter().filter(|cells| cells[1..] == titles).collect();
    let corners: Vec<_> = headings.iter().map(|cells| cells[0].as_str()).collect();
    assert_eq!(corners, ["what became of the file", "requests: body bytes"]);
}

#[test]
fn both_tables_have_a_result_for_every_case_and_client() {
    for case in Case::ALL {
        let of_case: Vec<_> = rows().into_iter().filter(|cells| cells[0] == case.title()).collect();
        assert_eq!(of_case.len(), 2, "rows of {}", case.title());
        for cells in of_case {
            assert_eq!(cells.len(), 1 + Client::ALL.len(), "{cells:?}");
            let measured = |cell: &String| !cell.is_empty() && cell != "not installed";
            assert!(cells.iter().all(measured), "{cells:?}");
        }
    }
}

#[test]
fn every_client_is_named_with_its_version_and_its_command() {
    for client in Client::ALL {
        let [program, command] = [client.program().to_owned(), client.command()];
        let line = page().lines().any(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.first() == Some(&"-")
                && words.get(1) == Some(&&*program)
                && words
                    .get(2)
                    .is_some_and(|version| version.starts_with(|first: char| first.is_ascii_digit()))
                && line.ends_with(&format!("`{command}`"))
        });
        assert!(line, "no line with the version of {program} and `{command}`");
    }
}

#[test]
fn the_command_that_measures_it_stands_on_the_page() {
    let command = "cargo run -p scripted-peer --example other_clients -- --peerd target/release/peerd";
    assert!(page().contains(command));
}

/// The cells of every line that is a row of a table.
fn rows() -> Vec<Vec<String>> {
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().to_owned()).collect();
    let page = page();
    page.lines().filter_map(|line| line.strip_prefix('|')?.strip_suffix('|')).map(cells).collect()
}

fn page() -> String {
    std::fs::read_to_string(PAGE).unwrap_or_else(|error| panic!("{PAGE}: {error}"))
}
