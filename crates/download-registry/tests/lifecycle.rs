//! A row moves through SQL exactly as the state table says, and its history is complete.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use common::{Fixture, at, identity, new, open};
use download_registry::{
    Digests, Download, DownloadId, DownloadState as S, FailedTry, IllegalTransition, Metadata, Next,
    OperatorError, Priority, Problem, Restart, Total, TotalSource, WorkerError,
};
use sqlx::{ConnectOptions, Connection, sqlite::SqliteConnectOptions};

#[tokio::test]
async fn a_download_goes_from_the_queue_to_the_importer() {
    let f = open().await;
    let queued = f.enqueue("film").await;
    assert_eq!((queued.state, queued.generation, queued.durable), (S::Queued, 0, 0));

    let claim = f.claim(at(10)).await.unwrap();
    assert_eq!(claim.download.state, S::Downloading);
    assert_eq!((claim.fence.id(), claim.fence.epoch()), (queued.id, 1));
    assert_eq!(claim.download.lease.as_ref().unwrap().until, at(60_010));

    let generation =
        f.registry.begin_generation(&claim.fence, &identity(100, "\"v1\""), None, at(11)).await.unwrap();
    assert_eq!(generation, 1);
    assert_eq!(f.registry.record_durable(&claim.fence, 1, &[0..60], at(12)).await.unwrap(), 60);
    assert_eq!(f.registry.record_durable(&claim.fence, 1, &[60..100], at(13)).await.unwrap(), 100);
    assert_eq!(f.registry.seal(&claim.fence, at(14)).await.unwrap().state, S::Finalizing);

    let done = f.registry.finish(&claim.fence, at(15)).await.unwrap();
    assert_eq!((done.state, done.durable, done.completed_at), (S::Completed, 100, Some(at(15))));
    assert!(done.lease.is_none());
    assert!(f.registry.ranges(done.id).await.unwrap().is_empty());

    let asked = f.registry.import_queued(done.id, "command 12", at(16)).await.unwrap();
    assert_eq!((asked.state, asked.import_state.as_deref()), (S::ImportQueued, Some("command 12")));
    let back = f.registry.import_failed(done.id, "folder missing", at(17)).await.unwrap();
    assert_eq!((back.state, back.completed_at), (S::Completed, Some(at(15))));
    f.registry.import_queued(done.id, "command 13", at(18)).await.unwrap();
    assert_eq!(f.registry.imported(done.id, "moved", at(19)).await.unwrap().state, S::Imported);

    let log = f.registry.transitions(done.id, 100).await.unwrap();
    let story: Vec<_> = log.iter().map(|t| (t.event.as_str(), t.from, t.to)).collect();
    assert_eq!(
        story,
        [
            ("enqueued", None, S::Queued),
            ("claimed", Some(S::Queued), S::Downloading),
            ("sealed", Some(S::Downloading), S::Finalizing),
            ("published", Some(S::Finalizing), S::Completed),
            ("import_queued", Some(S::Completed), S::ImportQueued),
            ("import_failed", Some(S::ImportQueued), S::Completed),
            ("import_queued", Some(S::Completed), S::ImportQueued),
            ("imported", Some(S::ImportQueued), S::Imported),
        ]
    );
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn everything_that_was_asked_for_is_remembered() {
    let f = open().await;
    let mut asked = new("film");
    asked.priority = Priority::new(-3).unwrap();
    asked.paused = true;
    asked.identity = identity(7, "\"tag\"");
    asked.digests = Digests { sha256: Some([1; 32]), blake3: Some([2; 32]) };
    asked.limit_down = Some(1_000);
    asked.import = Some("radarr".to_owned());
    let row = f.registry.enqueue(&asked, at(5)).await.unwrap();

    let f = f.reopen().await;
    let again = f.registry.get(row.id).await.unwrap().unwrap();
    assert_eq!(again, row);
    assert_eq!((again.state, again.priority.get(), again.limit_down), (S::Paused, -3, Some(1_000)));
    assert_eq!((again.identity, again.digests), (asked.identity, asked.digests));
    assert_eq!((again.import.as_deref(), again.created_at), (Some("radarr"), at(5)));
}

#[tokio::test]
async fn failures_are_counted_until_enough_progress_lies_between_them() {
    let f = open().await;
    let claim = f.begun("film").await;
    let id = claim.download.id;
    let fail = |next| FailedTry { problem: Problem::new("http-503", "bob is busy"), reset_bytes: 10, next };

    let row = f.registry.record_failure(&claim.fence, &fail(Next::TryAgain), at(2)).await.unwrap();
    assert_eq!((row.state, row.attempts), (S::Downloading, 1));
    f.durable(&claim, 0..9).await;
    let row = f.registry.record_failure(&claim.fence, &fail(Next::TryAgain), at(3)).await.unwrap();
    assert_eq!(row.attempts, 2, "nine bytes are not enough");
    f.durable(&claim, 9..19).await;
    assert_eq!(f.row(&claim).await.attempts_after_failure(10), 1);
    let row =
        f.registry.record_failure(&claim.fence, &fail(Next::Wait { until: at(500) }), at(4)).await.unwrap();
    assert_eq!((row.state, row.attempts, row.retry_at), (S::Waiting, 1, Some(at(500))));
    assert_eq!(row.error, Some(Problem::new("http-503", "bob is busy")));
    assert!(row.lease.is_none());

    assert!(f.claim(at(499)).await.is_none(), "not due yet");
    let claim = f.claim(at(500)).await.unwrap();
    let give_up = Next::GiveUp { retryable: true, retry_at: Some(at(9_000)) };
    let row = f.registry.record_failure(&claim.fence, &fail(give_up), at(501)).await.unwrap();
    assert_eq!((row.state, row.retryable, row.attempts), (S::Failed, true, 2));

    let tries: Vec<_> = f.registry.attempts(id, 10).await.unwrap();
    let told: Vec<_> =
        tries.iter().map(|a| (a.n, a.from_bytes, a.to_bytes, a.outcome.as_deref().unwrap())).collect();
    assert_eq!(
        told,
        [
            (1, 0, Some(0), "attempt_failed"),
            (2, 0, Some(9), "attempt_failed"),
            (3, 9, Some(19), "retry_scheduled"),
            (4, 19, Some(19), "failed"),
        ]
    );
    assert!(tries.iter().all(|a| a.reason.as_deref() == Some("http-503") && a.ended_at.is_some()));

    let row = f.registry.retry(id, at(502)).await.unwrap();
    assert_eq!((row.state, row.attempts, row.durable, row.retryable), (S::Queued, 0, 19, false));
    assert_eq!((row.error, row.retry_at), (None, None));
}

#[tokio::test]
async fn waiting_out_of_courtesy_counts_no_failure() {
    let f = open().await;
    let claim = f.begun("film").await;
    let problem = Problem::new("retry-after", "bob asked for a minute");
    let row = f.registry.wait(&claim.fence, at(60_000), &problem, at(2)).await.unwrap();
    assert_eq!((row.state, row.attempts, row.error), (S::Waiting, 0, Some(problem)));
}

#[tokio::test]
async fn a_restart_forgets_the_bytes_and_remembers_why() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..40).await;
    let unsaid = f.registry.begin_generation(&claim.fence, &identity(90, "\"v2\""), None, at(8)).await;
    assert!(
        matches!(unsaid, Err(WorkerError::IdentityChanged { durable: 40 })),
        "bytes go with a reason or stay"
    );

    let restart = Restart { reason: "validator_changed".to_owned(), discarded: 44 };
    let generation = f
        .registry
        .begin_generation(&claim.fence, &identity(90, "\"v2\""), Some(&restart), at(9))
        .await
        .unwrap();

    assert_eq!(generation, 2);
    let row = f.row(&claim).await;
    assert_eq!((row.generation, row.durable, row.restarts), (2, 0, 1));
    assert_eq!((row.identity, row.last_restart), (identity(90, "\"v2\""), Some((restart, at(9)))));
    assert!(f.registry.ranges(row.id).await.unwrap().is_empty());
    let log = f.registry.transitions(row.id, 1).await.unwrap();
    assert_eq!((log[0].event.as_str(), log[0].discarded), ("restarted", Some(44)));
    assert_eq!((log[0].reason.as_deref(), log[0].generation), (Some("validator_changed"), 2));

    let late = f.registry.record_durable(&claim.fence, 1, &[40..50], at(10)).await;
    assert!(matches!(late, Err(WorkerError::StaleGeneration { asked: 1, current: 2 })), "{late:?}");
}

#[tokio::test]
async fn damage_found_while_finalizing_goes_back_to_fetching() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..100).await;
    f.registry.seal(&claim.fence, at(3)).await.unwrap();
    assert_eq!(f.registry.subtract(&claim.fence, 1, &[20..30], at(4)).await.unwrap(), 90);
    assert_eq!(f.row(&claim).await.state, S::Downloading);
    assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), [0..20, 30..100]);
    f.durable(&claim, 20..30).await;
    f.registry.seal(&claim.fence, at(5)).await.unwrap();

    let restart = Restart { reason: "corruption".to_owned(), discarded: 100 };
    f.registry.begin_generation(&claim.fence, &identity(100, "\"v1\""), Some(&restart), at(6)).await.unwrap();
    assert_eq!(f.row(&claim).await.state, S::Downloading);
}

#[tokio::test]
async fn a_download_is_sealed_only_when_every_byte_is_durable() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..99).await;
    let refused = f.registry.seal(&claim.fence, at(3)).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Incomplete { durable: 99, total: Some(100) }), "{refused:?}");
    let refused = f.registry.finish(&claim.fence, at(3)).await.unwrap_err();
    assert!(matches!(refused, WorkerError::WrongState(IllegalTransition { from: S::Downloading, .. })));
    f.durable(&claim, 99..100).await;
    f.registry.seal(&claim.fence, at(4)).await.unwrap();
}

/// P23
#[tokio::test]
async fn bytes_that_add_up_to_the_total_are_not_the_whole() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..100).await;
    // By other hands: the count of the row says 100, its ranges leave a hole.
    let mut db = SqliteConnectOptions::new().filename(f.registry.path()).connect().await.unwrap();
    let hole = "UPDATE download_range SET end_at = 60; INSERT INTO download_range VALUES (1, 70, 110)";
    sqlx::raw_sql(hole).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    let refused = f.registry.seal(&claim.fence, at(3)).await.unwrap_err();
    assert!(matches!(refused, WorkerError::Incomplete { .. }), "{refused:?}");
}

#[tokio::test]
async fn an_empty_file_is_whole_at_once() {
    let f = open().await;
    f.enqueue("empty").await;
    let claim = f.claim(at(1)).await.unwrap();
    f.registry.begin_generation(&claim.fence, &identity(0, "\"0\""), None, at(1)).await.unwrap();
    f.registry.seal(&claim.fence, at(2)).await.unwrap();
    assert_eq!(f.registry.finish(&claim.fence, at(3)).await.unwrap().state, S::Completed);
}

#[tokio::test]
async fn a_weak_validator_gives_way_to_a_strong_one_that_was_proven_otherwise() {
    let f = open().await;
    f.enqueue("film").await;
    let claim = f.claim(at(1)).await.unwrap();
    let generation =
        f.registry.begin_generation(&claim.fence, &identity(20, "W/\"x\""), None, at(1)).await.unwrap();
    f.durable(&claim, 0..5).await;
    f.registry.adopt_identity(&claim.fence, generation, &identity(20, "\"x\""), at(2)).await.unwrap();
    let back = f.registry.adopt_identity(&claim.fence, generation, &identity(20, "W/\"x\""), at(3)).await;
    assert!(matches!(back, Err(WorkerError::IdentityChanged { .. })), "and never back: {back:?}");
    assert_eq!(f.row(&claim).await.identity, identity(20, "\"x\""));
}

#[tokio::test]
async fn what_the_peer_tells_later_is_added_to_what_is_known() {
    let f = open().await;
    let bare =
        download_registry::NewDownload { url: "https://bob.example/a".to_owned(), ..Default::default() };
    f.registry.enqueue(&bare, at(0)).await.unwrap();
    let claim = f.claim(at(1)).await.unwrap();
    let told = Metadata {
        filename: Some("a.bin".to_owned()),
        target: Some("/data/a.bin".to_owned()),
        part: Some("/data/a.bin.part".to_owned()),
        total: Some(Total { bytes: 10, source: TotalSource::Manifest }),
    };
    let row = f.registry.describe(&claim.fence, &told, at(2)).await.unwrap();
    assert_eq!((row.filename, row.target, row.part), (told.filename, told.target, told.part));
    assert_eq!(row.identity.total, told.total);

    // The answer with the bytes says it better, and once bytes are durable only a new generation may differ.
    let generation =
        f.registry.begin_generation(&claim.fence, &Default::default(), None, at(3)).await.unwrap();
    f.registry.adopt_identity(&claim.fence, generation, &identity(20, "\"x\""), at(4)).await.unwrap();
    f.durable(&claim, 0..5).await;
    for other in [identity(21, "\"x\""), identity(20, "\"y\"")] {
        let refused = f.registry.adopt_identity(&claim.fence, generation, &other, at(5)).await.unwrap_err();
        assert!(matches!(refused, WorkerError::IdentityChanged { durable: 5 }), "{refused:?}");
    }
    f.registry.adopt_identity(&claim.fence, generation, &Default::default(), at(6)).await.unwrap();
    let row = f.row(&claim).await;
    assert_eq!((row.identity, row.generation), (identity(20, "\"x\""), 1));
    let late =
        Metadata { total: Some(Total { bytes: 99, source: TotalSource::Manifest }), ..Metadata::default() };
    assert_eq!(
        f.registry.describe(&claim.fence, &late, at(7)).await.unwrap().identity,
        identity(20, "\"x\"")
    );
}

#[tokio::test]
async fn a_paused_download_keeps_its_bytes_and_its_place() {
    let f = open().await;
    let claim = f.begun("first").await;
    f.durable(&claim, 0..10).await;
    f.enqueue("second").await;
    let id = claim.download.id;
    let paused = f.registry.pause(id, at(5)).await.unwrap();
    assert_eq!((paused.state, paused.durable, paused.lease), (S::Paused, 10, None));
    f.registry.resume(id, at(6)).await.unwrap();
    let next = f.claim(at(7)).await.unwrap();
    assert_eq!((next.download.id, next.download.durable, next.fence.epoch()), (id, 10, 2));
}

#[tokio::test]
async fn cancelling_forgets_the_bytes_before_the_part_file_goes() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..10).await;
    let row = f.registry.cancel(claim.download.id, at(5)).await.unwrap();
    assert_eq!((row.state, row.durable), (S::Cancelled, 0));
    assert!(row.part.is_some(), "the caller has to know which file to delete");
    assert!(f.registry.ranges(row.id).await.unwrap().is_empty());
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn deleting_a_row_takes_its_history_along_and_never_reuses_its_number() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.durable(&claim, 0..10).await;
    let id = claim.download.id;
    assert_eq!(f.registry.delete(id).await.unwrap().durable, 10);
    assert_eq!(f.registry.get(id).await.unwrap(), None);
    assert_eq!(f.registry.resume_point(id).await.unwrap(), None);
    assert!(f.registry.ranges(id).await.unwrap().is_empty());
    assert!(f.registry.attempts(id, 10).await.unwrap().is_empty());
    assert!(f.registry.transitions(id, 10).await.unwrap().is_empty());
    assert!(matches!(f.registry.delete(id).await, Err(OperatorError::NotFound(gone)) if gone == id));
    assert!(f.enqueue("film").await.id > id);
}

/// One row in each state, and the orders each of them takes.
#[tokio::test]
async fn an_order_in_the_wrong_state_changes_nothing() {
    let f = open().await;
    let legal: [(S, &[&str]); 10] = [
        (S::Queued, &["pause", "cancel"]),
        (S::Downloading, &["pause", "cancel"]),
        (S::Waiting, &["pause", "retry", "cancel"]),
        (S::Paused, &["resume", "cancel"]),
        (S::Finalizing, &["cancel"]),
        (S::Completed, &["import_queued"]),
        (S::ImportQueued, &["imported", "import_failed"]),
        (S::Imported, &[]),
        (S::Failed, &["retry", "cancel"]),
        (S::Cancelled, &[]),
    ];
    for (state, orders) in legal {
        for order in ["pause", "resume", "retry", "cancel", "import_queued", "imported", "import_failed"] {
            let name = format!("{state}-{order}");
            let id = in_state(&f, &name, state).await;
            let before = f.registry.get(id).await.unwrap().unwrap();
            assert_eq!(before.state, state, "{name}");
            let done = give(&f, id, order).await;
            if orders.contains(&order) {
                assert_ne!(done.unwrap().state, state, "{name}");
            } else {
                assert!(matches!(done, Err(OperatorError::WrongState(e)) if e.from == state), "{name}");
                assert_eq!(f.registry.get(id).await.unwrap().unwrap(), before, "{name}");
            }
            f.registry.delete(id).await.unwrap();
        }
    }
}

async fn give(f: &Fixture, id: DownloadId, order: &str) -> Result<Download, OperatorError> {
    match order {
        "pause" => f.registry.pause(id, at(9)).await,
        "resume" => f.registry.resume(id, at(9)).await,
        "retry" => f.registry.retry(id, at(9)).await,
        "cancel" => f.registry.cancel(id, at(9)).await,
        "import_queued" => f.registry.import_queued(id, "", at(9)).await,
        "imported" => f.registry.imported(id, "", at(9)).await,
        _ => f.registry.import_failed(id, "", at(9)).await,
    }
}

async fn in_state(f: &Fixture, name: &str, state: S) -> DownloadId {
    match state {
        S::Queued => return f.enqueue(name).await.id,
        S::Paused | S::Cancelled | S::Failed => {
            let id = f.enqueue(name).await.id;
            match state {
                S::Paused => f.registry.pause(id, at(1)).await.unwrap(),
                S::Cancelled => f.registry.cancel(id, at(1)).await.unwrap(),
                _ => f.registry.reject(id, &Problem::new("gone", "gone"), false, None, at(1)).await.unwrap(),
            };
            return id;
        }
        S::Completed | S::ImportQueued | S::Imported => {
            let id = f.published(name).await.id;
            if state != S::Completed {
                f.registry.import_queued(id, "", at(5)).await.unwrap();
            }
            if state == S::Imported {
                f.registry.imported(id, "", at(6)).await.unwrap();
            }
            return id;
        }
        _ => {}
    }
    let claim = f.begun(name).await;
    match state {
        S::Waiting => {
            f.registry.wait(&claim.fence, at(900), &Problem::new("busy", "busy"), at(2)).await.unwrap();
        }
        S::Finalizing => {
            f.durable(&claim, 0..100).await;
            f.registry.seal(&claim.fence, at(3)).await.unwrap();
        }
        _ => {}
    }
    claim.download.id
}
