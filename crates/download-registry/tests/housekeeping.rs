//! Copies, checks, old rows and small records.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use common::{at, open};
use download_registry::{DownloadState as S, Options, Problem, Registry};

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
async fn old_rows_go_a_few_at_a_time_and_failed_ones_stay() {
    let f = open().await;
    for name in ["a", "b", "c"] {
        f.published(name).await;
    }
    let asked = f.published("asked").await;
    f.registry.import_queued(asked.id, "", at(5)).await.unwrap();
    let failed = f.enqueue("failed").await;
    f.registry.reject(failed.id, &Problem::new("gone", "gone"), false, None, at(1)).await.unwrap();

    assert_eq!(f.registry.prune(at(4), 10).await.unwrap(), 0, "changed at that very moment is not before it");
    assert_eq!(f.registry.prune(at(5), 2).await.unwrap(), 2);
    assert_eq!(f.registry.prune(at(5), 2).await.unwrap(), 1);
    let left: Vec<_> = f.registry.list(&Default::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|row| row.state).collect::<Vec<_>>(), [S::Failed, S::ImportQueued]);
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn the_log_of_all_downloads_can_be_followed_by_number() {
    let f = open().await;
    f.enqueue("a").await;
    f.enqueue("b").await;
    let first = f.registry.transitions_after(0, 1).await.unwrap();
    let rest = f.registry.transitions_after(first[0].seq, 10).await.unwrap();
    assert_eq!((first.len(), rest.len()), (1, 1));
    assert!(rest[0].seq > first[0].seq);
    assert_ne!(rest[0].download, first[0].download);
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
