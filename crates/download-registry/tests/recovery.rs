//! After a crash nothing is lost, and everything is somebody's to go on with.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use common::{LEASE, at, open};
use download_registry::{DownloadState as S, FailedTry, Next, Problem};

#[tokio::test]
async fn rows_a_dead_process_was_fetching_are_in_line_again_at_once() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..30).await;
    let failed = FailedTry { problem: Problem::new("cut", "cut"), reset_bytes: 0, next: Next::TryAgain };
    f.registry.record_failure(&claim.fence, &failed, at(3)).await.unwrap();

    let f = f.reopen().await;
    let recovered = f.registry.recover("worker", at(10), LEASE).await.unwrap();
    assert_eq!(recovered.requeued, [claim.download.id]);
    assert!(recovered.finalizing.is_empty());
    let row = f.row(&claim).await;
    assert_eq!((row.state, row.durable, row.attempts, row.lease), (S::Queued, 30, 1, None));
    assert_eq!(f.registry.transitions(row.id, 1).await.unwrap()[0].event, "recovered");
    let attempts = f.registry.attempts(row.id, 10).await.unwrap();
    assert_eq!(attempts.last().unwrap().outcome.as_deref(), Some("recovered"));

    let again = f.registry.recover("worker", at(11), LEASE).await.unwrap();
    assert!(again.requeued.is_empty(), "recovering twice finds nothing the second time");
    let next = f.claim(at(12)).await.unwrap();
    assert_eq!((next.download.id, next.fence.epoch()), (row.id, 2));
    assert_eq!(f.registry.resume_point(row.id).await.unwrap().unwrap().ranges, [0..30]);
}

#[tokio::test]
async fn rows_that_were_being_published_are_handed_to_the_caller() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..100).await;
    f.registry.seal(&claim.fence, at(3)).await.unwrap();

    let f = f.reopen().await;
    let recovered = f.registry.recover("worker", at(10), LEASE).await.unwrap();
    assert!(recovered.requeued.is_empty());
    let [ours] = recovered.finalizing.as_slice() else { panic!("{recovered:?}") };
    assert_eq!((ours.download.state, ours.fence.epoch()), (S::Finalizing, 2));
    assert!(f.registry.finish(&claim.fence, at(11)).await.is_err(), "the dead worker's fence is down");
    assert_eq!(f.registry.finish(&ours.fence, at(12)).await.unwrap().state, S::Completed);
}

#[tokio::test]
async fn rows_of_a_living_process_elsewhere_are_left_alone() {
    let f = open().await;
    f.enqueue("ours").await;
    f.enqueue("theirs").await;
    let ours = f.claim_as("one", at(1)).await.unwrap();
    let theirs = f.claim_as("two", at(1)).await.unwrap();
    let recovered = f.registry.recover("one", at(2), LEASE).await.unwrap();
    assert_eq!(recovered.requeued, [ours.download.id]);
    assert_eq!(f.row(&theirs).await.state, S::Downloading);

    let recovered = f.registry.recover("one", at(60_001), LEASE).await.unwrap();
    assert_eq!(recovered.requeued, [theirs.download.id], "a lease that ran out is anyone's");
}

#[tokio::test]
async fn everything_else_is_where_it_was() {
    let f = open().await;
    let paused = f.enqueue("paused").await;
    f.registry.pause(paused.id, at(1)).await.unwrap();
    let waiting = f.begun("waiting").await;
    f.registry.wait(&waiting.fence, at(900), &Problem::new("busy", "busy"), at(2)).await.unwrap();
    let done = f.published("done").await;
    let before = f.registry.list(&Default::default()).await.unwrap().items;

    let f = f.reopen().await;
    f.registry.recover("worker", at(10), LEASE).await.unwrap();
    assert_eq!(f.registry.list(&Default::default()).await.unwrap().items, before);
    assert_eq!(f.registry.next_due(at(10)).await.unwrap(), Some(at(900)));
    assert_eq!(before[0].id, done.id);
}

#[tokio::test]
async fn a_row_that_ran_out_of_attempts_comes_back_by_itself() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..30).await;
    let next = Next::GiveUp { retryable: true, retry_at: Some(at(1_800_000)) };
    let failed = FailedTry { problem: Problem::new("refused", "refused"), reset_bytes: 0, next };
    f.registry.record_failure(&claim.fence, &failed, at(3)).await.unwrap();

    assert_eq!(f.registry.next_due(at(4)).await.unwrap(), Some(at(1_800_000)));
    assert!(f.claim(at(1_800_000)).await.is_none(), "failed rows are not claimed");
    assert!(f.registry.revive_failed(at(1_799_999)).await.unwrap().is_empty());
    assert_eq!(f.registry.revive_failed(at(1_800_000)).await.unwrap(), [claim.download.id]);
    let row = f.row(&claim).await;
    assert_eq!((row.state, row.attempts, row.durable, row.retryable), (S::Queued, 0, 30, false));
}

#[tokio::test]
async fn a_worker_that_stops_in_good_order_leaves_its_row_for_the_next() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..30).await;
    let row = f.registry.release(&claim.fence, at(5)).await.unwrap();
    assert_eq!((row.state, row.attempts, row.durable), (S::Queued, 0, 30));
}

#[tokio::test]
async fn a_crowd_of_failed_rows_comes_back_in_bites_those_that_waited_longest_first() {
    let f = open().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(f.registry.path());
    let mut db = sqlx::ConnectOptions::connect(&options).await.unwrap();
    let crowd = "
        WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 501)
        INSERT INTO download (url, state, last_event, retryable, retry_at, created_at, updated_at)
        SELECT 'https://example.org/' || n, 'failed', 'failed', 1, 1000 - n, 0, 0 FROM n";
    sqlx::raw_sql(crowd).execute(&mut db).await.unwrap();
    sqlx::Connection::close(db).await.unwrap();

    let first = f.registry.revive_failed(at(0)).await.unwrap();
    assert_eq!((first.len(), first[0].get(), first[499].get()), (500, 501, 2));
    assert_eq!(f.registry.revive_failed(at(0)).await.unwrap().len(), 1);
    assert!(f.registry.revive_failed(at(0)).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_start_learns_whose_a_part_is_and_where_bytes_should_be() {
    let f = open().await;
    let done = f.published("done").await;
    let claim = f.begun("running").await;
    f.durable(&claim, 0..30).await;
    let given_up = f.begun("cancelled").await;
    f.registry.cancel(given_up.download.id, at(3)).await.unwrap();
    let set_aside = f.enqueue("paused").await;
    f.registry.pause(set_aside.id, at(3)).await.unwrap();

    let begun = f.registry.begun_parts().await.unwrap();
    assert_eq!(begun.len(), 1, "bytes are on record of one: {begun:?}");
    assert_eq!((begun[0].id, begun[0].state, begun[0].durable), (claim.download.id, S::Downloading, 30));
    assert_eq!(Some(&begun[0].path), claim.download.part.as_ref());

    let paths: Vec<_> = [&claim.download, &given_up.download, &set_aside, &done]
        .iter()
        .map(|row| row.part.clone().unwrap())
        .chain(["/nobody's.part".to_owned()])
        .collect();
    let mut known = f.registry.parts_at(&paths).await.unwrap();
    known.sort_by_key(|part| part.id);
    let seen: Vec<_> = known.iter().map(|part| (part.id, part.state)).collect();
    let expected = [
        (claim.download.id, S::Downloading),
        (given_up.download.id, S::Cancelled),
        (set_aside.id, S::Paused),
    ];
    assert_eq!(seen, expected, "that of a published row is its file now");

    let path = given_up.download.part.as_deref().unwrap();
    let own = path.rsplit_once('/').unwrap().0.to_owned() + "/";
    for (directory, outside) in [(own.as_str(), 0), ("/elsewhere/", 1), ("/zz/", 1), ("/", 0)] {
        let found = f.registry.cancelled_parts_outside(directory).await.unwrap();
        assert_eq!(found.len(), outside, "{directory}: {found:?}");
    }
}
