//! A row says how the bytes lie in its part file, from before that matters until the next generation begins.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use common::{LEASE, at, identity, open};
use download_registry::{Layout, Restart, WorkerError};

#[tokio::test]
async fn a_generation_begins_as_a_prefix_and_once_scattered_stays_a_map() {
    let f = open().await;
    let claim = f.begun("film").await;
    let id = claim.download.id;
    assert_eq!(f.registry.resume_point(id).await.unwrap().unwrap().layout, Layout::Prefix);
    for again in [false, true] {
        f.registry.scatter(&claim.fence, 1, at(2)).await.unwrap();
        assert_eq!(f.row(&claim).await.layout, Layout::Map, "said again: {again}");
    }
    // Even where the ranges are one run from the start again.
    f.durable(&claim, 50..60).await;
    f.registry.subtract(&claim.fence, 1, &[50..60], at(3)).await.unwrap();
    f.durable(&claim, 0..10).await;
    f.registry.release(&claim.fence, at(4)).await.unwrap();
    let f = f.reopen().await;
    let point = f.registry.resume_point(id).await.unwrap().unwrap();
    assert_eq!((point.layout, point.ranges), (Layout::Map, vec![0..10]));

    let claim = f.claim(at(5)).await.unwrap();
    let restart = Restart { reason: "validator_changed".to_owned(), discarded: 10 };
    let next = identity(100, "\"v2\"");
    f.registry.begin_generation(&claim.fence, &next, Some(&restart), at(6)).await.unwrap();
    assert_eq!(f.row(&claim).await.layout, Layout::Prefix, "another file");
    f.registry.scatter(&claim.fence, 2, at(7)).await.unwrap();
    f.registry.begin_generation(&claim.fence, &next, None, at(8)).await.unwrap();
    assert_eq!(f.row(&claim).await.layout, Layout::Prefix, "also where nothing had to be given up");
}

#[tokio::test]
async fn a_straggler_of_an_older_generation_scatters_nothing() {
    let f = open().await;
    let claim = f.begun("film").await;
    let restart = Restart { reason: "validator_changed".to_owned(), discarded: 0 };
    let next = identity(100, "\"v2\"");
    f.registry.begin_generation(&claim.fence, &next, Some(&restart), at(2)).await.unwrap();
    let refused = f.registry.scatter(&claim.fence, 1, at(3)).await.unwrap_err();
    assert!(matches!(refused, WorkerError::StaleGeneration { asked: 1, current: 2 }), "{refused:?}");
    assert_eq!(f.row(&claim).await.layout, Layout::Prefix);
}

#[tokio::test]
async fn a_worker_whose_lease_is_over_scatters_nothing() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.registry.recover_expired("other", at(120_000), LEASE).await.unwrap();
    let refused = f.registry.scatter(&claim.fence, 1, at(120_000)).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Fenced { epoch: 1, .. }), "{refused:?}");
    assert_eq!(f.row(&claim).await.layout, Layout::Prefix);
}
