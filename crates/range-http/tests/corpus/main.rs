//! Replays what the fuzzer has found worth keeping.

#![cfg(feature = "std")]

mod targets;

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    if !fuzz.exists() {
        // A package of the crate: the fuzzer is not in it, nor what it found.
        return;
    }
    let directory = fuzz.join("corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(&directory).expect("every target has a corpus") {
        let path = entry.expect("a readable directory").path();
        let input = fs::read(&path).expect("a readable file");
        // Which input it was is said only if it fails.
        let shown = std::panic::catch_unwind(|| run(&input));
        assert!(shown.is_ok(), "{} fails on {}", target, path.display());
        count += 1;
    }
    assert!(count > 10, "{target} has {count} inputs");
}

#[test]
fn range() {
    replay("range", targets::range);
}

#[test]
fn content_range() {
    replay("content_range", targets::content_range);
}

#[test]
fn entity_tags() {
    replay("entity_tags", targets::entity_tags);
}

#[test]
fn dates() {
    replay("dates", targets::dates);
}

#[test]
fn multipart() {
    replay("multipart", targets::multipart);
}

#[test]
fn plan() {
    replay("plan", targets::plan_request);
}
