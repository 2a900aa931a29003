//! One live row owns a destination, its part file, and the item it fetches.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{at, new, open};
use download_registry::{Claimed, Conflict, EnqueueError, Metadata, OperatorError, Problem, WorkerError};

#[tokio::test]
async fn the_second_live_row_for_the_same_thing_is_refused_and_names_the_first() {
    let f = open().await;
    let first = f.enqueue("film").await;
    for (what, change) in [(Claimed::Target, 0), (Claimed::Part, 1), (Claimed::Item, 2)] {
        let mut other = new("other");
        match change {
            0 => other.target.clone_from(&first.target),
            1 => other.part.clone_from(&first.part),
            _ => other.item.clone_from(&first.item),
        }
        let refused = f.registry.enqueue(&other, at(1)).await.unwrap_err();
        assert!(
            matches!(refused, EnqueueError::Conflict(Conflict { id, what: w }) if id == first.id && w == what),
            "{what}: {refused:?}"
        );
    }
    assert_eq!(f.registry.counts().await.unwrap().values().sum::<u64>(), 1);
}

#[tokio::test]
async fn a_row_that_is_no_longer_live_makes_room() {
    let f = open().await;
    let first = f.published("film").await;
    let second = f.enqueue("film").await;
    f.registry.cancel(second.id, at(5)).await.unwrap();
    let third = f.enqueue("film").await;
    f.registry.reject(third.id, &Problem::new("gone", "gone"), true, None, at(6)).await.unwrap();
    let fourth = f.enqueue("film").await;
    assert_eq!(f.registry.latest_for_item("bob", "film").await.unwrap().unwrap().id, fourth.id);
    assert_eq!(f.registry.latest_for_target("/data/film.mkv").await.unwrap().unwrap().id, fourth.id);
    assert_eq!(f.registry.latest_for_item("bob", "nothing").await.unwrap(), None);
    assert!(first.id < second.id && second.id < third.id && third.id < fourth.id);
}

#[tokio::test]
async fn a_destination_learnt_late_is_checked_like_one_known_from_the_start() {
    let f = open().await;
    let owner = f.enqueue("film").await;
    f.claim(at(1)).await.unwrap();
    let mut late = new("late");
    (late.filename, late.target, late.part) = (None, None, None);
    f.registry.enqueue(&late, at(1)).await.unwrap();
    let claim = f.claim(at(2)).await.unwrap();

    let told = Metadata { target: owner.target.clone(), ..Metadata::default() };
    let refused = f.registry.describe(&claim.fence, &told, at(3)).await.unwrap_err();
    assert!(
        matches!(refused, WorkerError::Conflict(Conflict { id, what: Claimed::Target }) if id == owner.id)
    );
    assert_eq!(f.row(&claim).await.target, None);

    let told = Metadata { target: Some("/data/late.mkv".to_owned()), ..Metadata::default() };
    f.registry.describe(&claim.fence, &told, at(4)).await.unwrap();
    f.registry.describe(&claim.fence, &told, at(5)).await.unwrap();
}

#[tokio::test]
async fn a_failed_row_does_not_come_back_over_a_live_one() {
    let f = open().await;
    let failed = f.enqueue("film").await;
    f.registry.reject(failed.id, &Problem::new("busy", "busy"), true, Some(at(50)), at(1)).await.unwrap();
    let live = f.enqueue("film").await;

    let refused = f.registry.retry(failed.id, at(2)).await.unwrap_err();
    assert!(matches!(refused, OperatorError::Conflict(Conflict { id, .. }) if id == live.id), "{refused:?}");
    assert_eq!(f.registry.next_due(at(2)).await.unwrap(), Some(at(50)));
    assert!(f.registry.revive_failed(at(50)).await.unwrap().is_empty());
    assert_eq!(f.registry.next_due(at(2)).await.unwrap(), None, "it was superseded; it does not ask again");
    let error = f.registry.get(failed.id).await.unwrap().unwrap().error.unwrap();
    let message = format!("download {} has taken its place; before that: busy", live.id);
    assert_eq!((error.kind.as_str(), error.message), ("superseded", message));
    f.registry.delete(live.id).await.unwrap();
    f.registry.retry(failed.id, at(60)).await.unwrap();
}
