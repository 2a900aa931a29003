//! Copies, checks and small records.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use std::sync::{Arc, Mutex};

use common::{at, open};
use download_registry::{Inspection, NewDownload, OpenError, Options, Registry, WriteObserver};

#[tokio::test]
async fn a_backup_taken_while_writing_is_a_registry_of_its_own() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..10).await;
    let copy = f.dir.path().join("copy.db");
    f.registry.backup(&copy).await.unwrap();
    f.durable(&claim, 10..20).await;

    let second = Registry::open(&copy, &Options::default()).await.unwrap();
    assert_eq!(second.ranges(claim.download.id).await.unwrap(), [0..10]);
    assert!(second.check().await.unwrap().is_empty());
    second.close().await;

    f.registry.backup(&copy).await.unwrap();
    let second = Registry::open(&copy, &Options::default()).await.unwrap();
    assert_eq!(
        second.ranges(claim.download.id).await.unwrap(),
        [0..20],
        "a second backup replaces the first"
    );
    second.close().await;
}

#[tokio::test]
async fn a_copy_does_not_replace_its_original() {
    let f = open().await;
    f.enqueue("film").await;
    let refused = f.registry.backup(f.registry.path()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
    f.enqueue("another").await;
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_copy_that_cannot_be_written_leaves_nothing_behind() {
    let f = open().await;
    let taken = f.dir.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    f.registry.backup(&taken).await.unwrap_err();
    let left: Vec<_> =
        std::fs::read_dir(f.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".new")), "{left:?}");
}

#[tokio::test]
async fn tidying_up_empties_the_log_and_keeps_the_rows() {
    let f = open().await;
    for name in ["a", "b", "c"] {
        f.enqueue(name).await;
    }
    let log = f.dir.path().join("registry.db-wal");
    assert!(log.metadata().unwrap().len() > 0);
    f.registry.tidy().await.unwrap();
    assert_eq!(log.metadata().unwrap().len(), 0);
    assert_eq!(f.registry.list(&Default::default()).await.unwrap().items.len(), 3);
    f.enqueue("d").await;
}

#[tokio::test]
async fn small_records_are_kept_by_kind_and_name() {
    let f = open().await;
    let r = &f.registry;
    assert!(r.add_record("peer", "bob", "{}", at(0)).await.unwrap());
    assert!(!r.add_record("peer", "bob", "other", at(1)).await.unwrap(), "the first one stays");
    assert_eq!(r.record("peer", "bob").await.unwrap().as_deref(), Some("{}"));
    r.put_record("peer", "bob", "{\"url\":1}", at(2)).await.unwrap();
    r.put_record("peer", "alice", "", at(2)).await.unwrap();
    r.put_record("key", "bob", "hash", at(2)).await.unwrap();

    let f = f.reopen().await;
    let r = &f.registry;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(r.records("peer").await.unwrap(), [pair("alice", ""), pair("bob", "{\"url\":1}")]);
    assert!(r.remove_record("peer", "bob").await.unwrap());
    assert!(!r.remove_record("peer", "bob").await.unwrap());
    assert_eq!(r.record("key", "bob").await.unwrap().as_deref(), Some("hash"));
}

#[tokio::test]
async fn a_registry_in_use_is_checked_and_copied_from_outside() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..10).await;
    let inspection = Inspection::open(f.registry.path()).await.unwrap();
    assert_eq!(inspection.check().await.unwrap(), [] as [String; 0]);
    let copy = f.dir.path().join("copy.db");
    inspection.backup(&copy).await.unwrap();
    f.durable(&claim, 10..20).await;
    inspection.backup(&copy).await.unwrap();
    inspection.close().await;
    let second = Registry::open(&copy, &Options::default()).await.unwrap();
    assert_eq!(second.ranges(claim.download.id).await.unwrap(), [0..20]);
    f.durable(&claim, 20..30).await;
}

#[tokio::test]
async fn a_registry_somebody_begins_to_work_with_is_read_again_as_one_in_use() {
    let f = open().await;
    f.enqueue("film").await;
    f.registry.close().await;
    let inspection = Inspection::open(f.registry.path()).await.unwrap();
    let f = f.reopen().await;
    f.enqueue("another").await;
    assert_eq!(inspection.check().await.unwrap(), [] as [String; 0]);
    let copy = f.dir.path().join("copy.db");
    inspection.backup(&copy).await.unwrap();
    inspection.close().await;
    let second = Registry::open(&copy, &Options::default()).await.unwrap();
    assert_eq!(second.list(&Default::default()).await.unwrap().items.len(), 2, "both of them");
}

#[tokio::test]
async fn looking_at_a_registry_that_rests_leaves_no_trace() {
    let f = open().await;
    f.enqueue("film").await;
    f.registry.close().await;
    let names = || {
        let entries = std::fs::read_dir(f.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let (path, before) = (f.registry.path().to_owned(), names());
    let bytes = std::fs::read(&path).unwrap();
    let inspection = Inspection::open(&path).await.unwrap();
    assert!(inspection.check().await.unwrap().is_empty());
    inspection.close().await;
    assert_eq!((names(), std::fs::read(&path).unwrap()), (before, bytes));
}

#[tokio::test]
async fn a_backup_from_outside_replaces_backups_and_nothing_else() {
    let f = open().await;
    let inspection = Inspection::open(f.registry.path()).await.unwrap();
    let film = f.dir.path().join("film.mkv");
    std::fs::write(&film, "a film").unwrap();
    for path in [film.as_path(), f.registry.path()] {
        let refused = inspection.backup(path).await.unwrap_err();
        assert!(matches!(refused, OpenError::Io { .. }), "{refused:?}");
    }
    assert_eq!(std::fs::read(&film).unwrap(), b"a film");
    let missing = Inspection::open(f.dir.path().join("missing.db")).await.unwrap_err();
    assert!(matches!(missing, OpenError::Missing { .. }), "{missing:?}");
}

/// What an observer was told, in order.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Option<bool>>>);

impl WriteObserver for Told {
    fn began(&self, writes: usize) {
        assert!(writes > 0);
        self.0.lock().unwrap().push(None);
    }

    fn ended(&self, committed: bool) {
        self.0.lock().unwrap().push(Some(committed));
    }
}

#[tokio::test]
async fn an_observer_hears_when_every_transaction_begins_and_ends() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Told::default());
    let mut options = Options::default();
    options.observer = Some(told.clone());
    let registry = Registry::open(dir.path().join("registry.db"), &options).await.unwrap();
    for url in ["https://a.example/", "https://b.example/"] {
        let new = NewDownload { url: url.to_owned(), ..NewDownload::default() };
        registry.enqueue(&new, at(0)).await.unwrap();
    }
    registry.list(&Default::default()).await.unwrap();
    assert_eq!(
        *told.0.lock().unwrap(),
        [None, Some(true), None, Some(true)],
        "reading is no transaction of the writer"
    );
}
