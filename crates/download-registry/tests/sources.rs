//! A download is its bytes, not its address: addresses come and go, and nothing that is durable is lost.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use common::{Fixture, at, identity, open};
use download_registry::{DownloadId, DownloadState as S, OperatorError, Source, SourceReport, WorkerError};

async fn urls(f: &Fixture, id: DownloadId) -> Vec<String> {
    f.registry.sources(id).await.unwrap().into_iter().map(|source| source.url).collect()
}

async fn sources(f: &Fixture, id: DownloadId) -> Vec<Source> {
    f.registry.sources(id).await.unwrap()
}

fn list(urls: &[&str]) -> Vec<String> {
    urls.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn the_address_a_download_was_enqueued_with_is_its_first_source() {
    let f = open().await;
    let row = f.enqueue("film").await;
    let source = sources(&f, row.id).await.remove(0);
    assert_eq!((source.url, source.updated_at), (row.url, at(0)));
    assert_eq!((source.validator, source.supports_ranges, source.disabled), (None, None, None));
    assert_eq!(urls(&f, DownloadId::new(99)).await, [""; 0]);
}

#[tokio::test]
async fn a_replaced_address_loses_no_bytes() {
    let f = open().await;
    let claim = f.begun("film").await;
    let id = claim.download.id;
    f.durable(&claim, 0..40).await;
    let before = f.row(&claim).await;

    let fresh = "https://bob.example/film?token=new";
    let row = f.registry.replace_sources(id, &list(&[fresh]), at(5)).await.unwrap();
    assert_eq!(row.url, fresh);
    assert_eq!((row.state, row.generation, row.durable), (S::Downloading, before.generation, 40));
    assert_eq!((row.identity, row.lease), (before.identity, before.lease));
    assert_eq!(f.registry.ranges(id).await.unwrap(), [0..40]);

    // The worker goes on where it was, and so does the next one.
    f.registry.record_durable(&claim.fence, 1, &[40..50], at(6)).await.unwrap();
    f.registry.release(&claim.fence, at(7)).await.unwrap();
    let next = f.claim(at(8)).await.unwrap();
    assert_eq!((next.download.url.as_str(), next.download.durable), (fresh, 50));
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn sources_keep_their_order_and_what_is_known_of_them() {
    let f = open().await;
    let claim = f.begun("film").await;
    let (id, first) = (claim.download.id, claim.download.url.clone());
    let answered =
        SourceReport::Answered { validator: Some("\"v1\"".to_owned()), supports_ranges: Some(true) };
    assert!(f.registry.report_source(&claim.fence, &first, &answered, at(3)).await.unwrap());

    let order = list(&["https://c.example/", &first, "https://a.example/"]);
    f.registry.replace_sources(id, &order, at(4)).await.unwrap();
    let f = f.reopen().await;
    assert_eq!(urls(&f, id).await, order);
    let known = &sources(&f, id).await[1];
    assert_eq!((known.validator.as_deref(), known.supports_ranges), (Some("\"v1\""), Some(true)));

    f.registry.replace_sources(id, &list(&["https://a.example/"]), at(5)).await.unwrap();
    assert_eq!(urls(&f, id).await, ["https://a.example/"]);
    f.registry.replace_sources(id, &list(&[&first]), at(6)).await.unwrap();
    assert_eq!(sources(&f, id).await[0].validator, None, "what was dropped is forgotten");
    f.registry.delete(id).await.unwrap();
    assert_eq!(urls(&f, id).await, [""; 0]);
}

#[tokio::test]
async fn a_list_that_is_no_list_of_sources_changes_nothing() {
    let f = open().await;
    let row = f.enqueue("film").await;
    for nonsense in
        [&[][..], &[""], &["https://a.example/", ""], &["https://a.example/", "https://a.example/"]]
    {
        let refused = f.registry.replace_sources(row.id, &list(nonsense), at(1)).await;
        assert!(matches!(refused, Err(OperatorError::Sources)), "{nonsense:?}: {refused:?}");
    }
    assert_eq!(f.registry.get(row.id).await.unwrap().unwrap(), row);
    assert_eq!(urls(&f, row.id).await, [row.url]);
    let missing =
        f.registry.replace_sources(DownloadId::new(99), &list(&["https://a.example/"]), at(1)).await;
    assert!(matches!(missing, Err(OperatorError::NotFound(_))));
}

#[tokio::test]
async fn a_disabled_source_comes_back_with_time_or_with_an_answer() {
    let f = open().await;
    let claim = f.begun("film").await;
    let (id, url) = (claim.download.id, claim.download.url.clone());
    let gone = SourceReport::Disabled { until: at(100), reason: "not-found".to_owned() };
    assert!(f.registry.report_source(&claim.fence, &url, &gone, at(3)).await.unwrap());
    let source = sources(&f, id).await.remove(0);
    assert_eq!(source.disabled, Some((at(100), "not-found".to_owned())));
    assert!(!source.is_usable(at(99)) && source.is_usable(at(100)));

    let answered = SourceReport::Answered { validator: None, supports_ranges: Some(false) };
    assert!(f.registry.report_source(&claim.fence, &url, &answered, at(4)).await.unwrap());
    let source = sources(&f, id).await.remove(0);
    assert_eq!((source.disabled.clone(), source.supports_ranges), (None, Some(false)));
    assert!(source.is_usable(at(5)));
}

#[tokio::test]
async fn a_report_about_a_source_that_was_replaced_or_by_a_worker_that_was_is_dropped() {
    let f = open().await;
    let claim = f.begun("film").await;
    let (id, old) = (claim.download.id, claim.download.url.clone());
    f.registry.replace_sources(id, &list(&["https://a.example/"]), at(3)).await.unwrap();
    let answered = SourceReport::Answered { validator: None, supports_ranges: Some(true) };
    assert!(!f.registry.report_source(&claim.fence, &old, &answered, at(4)).await.unwrap());

    f.registry.pause(id, at(5)).await.unwrap();
    let late = f.registry.report_source(&claim.fence, "https://a.example/", &answered, at(6)).await;
    assert!(matches!(late, Err(WorkerError::Fenced { .. })));
    assert_eq!(sources(&f, id).await[0].supports_ranges, None);
}

#[tokio::test]
async fn another_address_with_other_bytes_is_another_generation_and_not_a_splice() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..40).await;
    f.registry.replace_sources(claim.download.id, &list(&["https://a.example/"]), at(3)).await.unwrap();
    let other = identity(100, "\"other\"");
    let refused = f.registry.adopt_identity(&claim.fence, 1, &other, at(4)).await;
    assert!(matches!(refused, Err(WorkerError::IdentityChanged { durable: 40 })));
}
