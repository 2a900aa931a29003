//! The log stays short however busy the writer is, and what was folded out of it is in the database.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{at, new, open};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_begins_anew_though_somebody_is_always_writing() {
    let f = open().await;
    let log = f.registry.path().with_file_name("registry.db-wal");
    // Each row takes some thirty pages of the log: together more than it is ever to have.
    let long = "x".repeat(48 << 10);
    for n in 0..900 {
        let mut row = new(&format!("file-{n}"));
        row.url = format!("https://bob.example/{n}?{long}");
        f.registry.enqueue(&row, at(0)).await.unwrap();
        assert!(log.metadata().unwrap().len() < 128 << 20, "after {n} rows");
    }
    let folded = f.registry.path().metadata().unwrap().len();
    assert!(folded > 32 << 20, "{folded} bytes are in the database itself");
    assert_eq!(f.registry.check().await.unwrap(), [""; 0]);
    f.registry.close().await;
    assert!(!log.exists());
}
