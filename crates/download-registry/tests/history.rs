//! The past is kept long enough to be understood, and no longer.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Fixture, LEASE, at, open};
use download_registry::{
    Claim, DownloadState as S, FailedTry, NewDownload, Next, Options, Problem, Registry, Timestamp,
};

async fn open_keeping(attempts: u32, transitions: u32) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let registry = reopen_keeping(dir.path(), attempts, transitions).await;
    Fixture { registry, dir }
}

async fn reopen_keeping(dir: &std::path::Path, attempts: u32, transitions: u32) -> Registry {
    let mut options = Options::default();
    options.keep_attempts = attempts;
    options.keep_transitions = transitions;
    Registry::open(dir.join("registry.db"), &options).await.unwrap()
}

async fn fail(registry: &Registry, claim: &Claim, times: i64) {
    for n in 0..times {
        let failed =
            FailedTry { problem: Problem::new(n.to_string(), "busy"), reset_bytes: 0, next: Next::TryAgain };
        registry.record_failure(&claim.fence, &failed, at(10 + n)).await.unwrap();
    }
}

#[tokio::test]
async fn a_living_row_keeps_so_many_entries_and_the_newest_ones() {
    let f = open_keeping(3, 5).await;
    let busy = f.begun("busy").await;
    let quiet = f.enqueue("quiet").await;
    fail(&f.registry, &busy, 40).await;

    let attempts = f.registry.attempts(busy.download.id, 100).await.unwrap();
    assert_eq!(attempts.iter().map(|a| a.n).collect::<Vec<_>>(), [39, 40, 41], "the count goes on");
    assert!(attempts[2].ended_at.is_none());
    let transitions = f.registry.transitions(busy.download.id, 100).await.unwrap();
    let reasons: Vec<_> = transitions.iter().map(|t| t.reason.as_deref().unwrap()).collect();
    assert_eq!(reasons, ["35", "36", "37", "38", "39"]);
    assert_eq!(f.registry.transitions(quiet.id, 100).await.unwrap().len(), 1, "each row on its own");
    assert_eq!(f.row(&busy).await.attempts, 40);
}

#[tokio::test]
async fn a_row_keeps_fifty_tries_and_two_hundred_changes_unless_asked_otherwise() {
    let f = open().await;
    let busy = f.begun("busy").await;
    fail(&f.registry, &busy, 210).await;
    assert_eq!(f.registry.attempts(busy.download.id, 1000).await.unwrap().len(), 50);
    assert_eq!(f.registry.transitions(busy.download.id, 1000).await.unwrap().len(), 200);
}

#[tokio::test]
async fn other_limits_hold_from_the_next_entry_on() {
    let f = open_keeping(30, 30).await;
    let busy = f.begun("busy").await;
    fail(&f.registry, &busy, 20).await;
    f.registry.close().await;
    let registry = reopen_keeping(f.dir.path(), 0, 0).await;
    assert_eq!(registry.transitions(busy.download.id, 100).await.unwrap().len(), 22);
    fail(&registry, &busy, 1).await;
    assert_eq!(registry.transitions(busy.download.id, 100).await.unwrap().len(), 1, "one is the least");
    assert_eq!(registry.attempts(busy.download.id, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn old_rows_go_a_few_at_a_time_oldest_first_and_failed_ones_stay() {
    let f = open().await;
    for name in ["a", "b", "c"] {
        f.published(name).await;
    }
    let asked = f.published("asked").await;
    f.registry.import_queued(asked.id, "", at(5)).await.unwrap();
    let failed = f.enqueue("failed").await;
    f.registry.reject(failed.id, &Problem::new("gone", "gone"), false, None, at(1)).await.unwrap();
    let cancelled = f.enqueue("cancelled").await;
    f.registry.cancel(cancelled.id, at(2)).await.unwrap();

    assert_eq!(
        f.registry.prune(at(2), 10, None).await.unwrap(),
        0,
        "changed at that very moment is not before it"
    );
    assert_eq!(f.registry.prune(at(5), 1, None).await.unwrap(), 1);
    assert!(f.registry.get(cancelled.id).await.unwrap().is_none(), "the oldest change goes first");
    assert_eq!(f.registry.prune(at(5), 2, None).await.unwrap(), 2);
    assert_eq!(f.registry.prune(at(5), 2, None).await.unwrap(), 1);
    let left: Vec<_> = f.registry.list(&Default::default()).await.unwrap().items;
    assert_eq!(left.iter().map(|row| row.state).collect::<Vec<_>>(), [S::Failed, S::ImportQueued]);
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_whose_import_is_pending_is_not_pruned() {
    let f = open().await;
    let published = async |name: &str| {
        let new = NewDownload { import: Some("radarr".to_owned()), ..common::new(name) };
        f.published_as(new).await.id
    };
    let (unasked, refused) = (published("unasked").await, published("refused").await);
    f.registry.import_queued(refused, "asked", at(1)).await.unwrap();
    assert_eq!(f.registry.prune(at(9), 10, None).await.unwrap(), 0);
    f.registry.import_failed(refused, "not a film", at(2)).await.unwrap();
    assert_eq!(f.registry.prune(at(9), 10, None).await.unwrap(), 1);
    assert!(
        f.registry.get(unasked).await.unwrap().is_some() && f.registry.get(refused).await.unwrap().is_none()
    );
}

#[tokio::test]
async fn the_log_of_all_downloads_is_followed_by_number() {
    let f = open().await;
    assert_eq!(f.registry.newest_transition().await.unwrap(), 0);
    let nothing = f.registry.transitions_after(0, 0).await.unwrap();
    assert!(nothing.transitions.is_empty() && nothing.complete);

    let (a, b) = (f.enqueue("a").await, f.enqueue("b").await);
    f.registry.pause(a.id, at(1)).await.unwrap();
    let first = f.registry.transitions_after(0, 2).await.unwrap();
    assert!(first.complete);
    assert_eq!(first.newest, f.registry.newest_transition().await.unwrap());
    let last = first.transitions.last().unwrap().seq;
    let rest = f.registry.transitions_after(last, 2).await.unwrap();
    let seen: Vec<_> =
        first.transitions.iter().chain(&rest.transitions).map(|t| (t.download, t.to)).collect();
    assert_eq!(seen, [(a.id, S::Queued), (b.id, S::Queued), (a.id, S::Paused)]);
    assert_eq!(rest.transitions.last().unwrap().seq, rest.newest, "caught up");

    let f = f.reopen().await;
    f.enqueue("c").await;
    let next = f.registry.transitions_after(rest.newest, 0).await.unwrap();
    assert_eq!((next.transitions.len(), next.complete), (1, true), "numbers go on after a restart");
    assert_eq!(next.transitions[0].seq, rest.newest + 1);
}

#[tokio::test]
async fn a_follower_that_missed_something_is_told() {
    let f = open().await;
    let (a, _) = (f.enqueue("a").await, f.enqueue("b").await);
    let newest = f.registry.newest_transition().await.unwrap();
    let page = async |seq| f.registry.transitions_after(seq, 0).await.unwrap();
    assert!(page(0).await.complete);
    assert!(!page(newest + 1).await.complete, "a number that was never given");
    assert!(!page(-1).await.complete);

    f.registry.delete(a.id).await.unwrap();
    let after = page(0).await;
    assert_eq!((after.transitions.len(), after.complete), (1, false), "an entry went with its row");
    assert!(page(1).await.complete, "and this follower had seen it");

    // The newest entry may be the one that goes; its number is not given again.
    let c = f.enqueue("c").await;
    f.registry.delete(c.id).await.unwrap();
    assert_eq!(f.registry.newest_transition().await.unwrap(), newest + 1);
    assert!(!page(newest).await.complete);
    assert!(page(newest + 1).await.complete);
}

#[tokio::test]
async fn what_a_crowded_row_loses_is_missing_in_the_log_too() {
    let f = open_keeping(5, 5).await;
    let busy = f.begun("busy").await;
    let before = f.registry.newest_transition().await.unwrap();
    fail(&f.registry, &busy, 10).await;
    let page = f.registry.transitions_after(before, 0).await.unwrap();
    assert_eq!((page.transitions.len(), page.complete), (5, false));
    let (oldest, newest) = (page.transitions[0].seq, page.newest);
    assert!(f.registry.transitions_after(oldest - 1, 0).await.unwrap().complete);
    assert_eq!(newest, before + 10);
}

#[tokio::test]
async fn a_worker_starts_counting_from_the_failures_that_still_count() {
    let f = open().await;
    let claim = f.begun("film").await;
    let busy = |next| FailedTry { problem: Problem::new("busy", "busy"), reset_bytes: 20, next };
    for _ in 0..3 {
        f.registry.record_failure(&claim.fence, &busy(Next::TryAgain), at(3)).await.unwrap();
    }
    f.durable(&claim, 0..19).await;
    let row = f.row(&claim).await;
    assert_eq!(
        (row.progress_since_failure(), row.attempts_so_far(20), row.attempts_after_failure(20)),
        (19, 3, 4)
    );

    // The process dies; the next one brings what was missing, and dies as well.
    let died_and_back = async |now: Timestamp| {
        f.registry.recover("worker", now, LEASE).await.unwrap();
        f.claim(now).await.unwrap()
    };
    let claim = died_and_back(at(5)).await;
    f.durable(&claim, 19..20).await;
    let claim = died_and_back(at(6)).await;
    assert_eq!(claim.download.attempts_so_far(20), 0, "enough progress, though no single run brought it");
    assert_eq!(claim.download.attempts_so_far(0), 3, "zero switches the reset off");
    let failed = f.registry.record_failure(&claim.fence, &busy(Next::TryAgain), at(7)).await.unwrap();
    assert_eq!((failed.attempts, failed.attempts_mark), (1, 20));
}
