//! `docs/watch-folder.md` names the test of every case, and every test stands in it.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_case_on_the_page_has_its_test_and_every_test_its_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(root.join("../../docs/watch-folder.md")).expect("the page");
    let named: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.trim_end().strip_suffix("` |")?.rsplit('`').next())
        .map(str::to_owned)
        .collect();
    let mut tests = BTreeSet::new();
    for entry in std::fs::read_dir(root.join("tests/watch")).expect("the tests") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name == "page.rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("a test file");
        let after = text.split("#[tokio::test]\nasync fn ").skip(1);
        tests.extend(after.filter_map(|rest| rest.split('(').next()).map(str::to_owned));
    }
    assert_eq!(named, tests);
}
