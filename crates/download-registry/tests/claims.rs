//! Rows are handed out in order, each to one worker, and a worker whose claim is over cannot write.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use std::collections::BTreeSet;

use common::{LEASE, at, identity, new, open};
use download_registry::{
    ClaimRequest, DownloadState as S, FailedTry, Fence, Metadata, Next, Priority, Problem, Registry,
    SourceReport, WorkerError,
};

#[tokio::test]
async fn rows_that_wait_for_one_reason_can_be_let_go_on_before_their_time() {
    let f = open().await;
    for (name, kind) in [("away", "unreachable"), ("refused", "deferred")] {
        f.enqueue(name).await;
        let claim = f.claim(at(1)).await.unwrap();
        let failed = FailedTry {
            problem: Problem::new(kind, kind),
            reset_bytes: 0,
            next: Next::Wait { until: at(9_000) },
        };
        f.registry.record_failure(&claim.fence, &failed, at(1)).await.unwrap();
    }
    assert_eq!(f.registry.hurry_waiting("alice", "unreachable", at(2)).await.unwrap(), 0);
    assert_eq!(f.registry.hurry_waiting("bob", "unreachable", at(2)).await.unwrap(), 1);
    assert_eq!(f.registry.hurry_waiting("bob", "unreachable", at(3)).await.unwrap(), 0, "it may run already");
    let claim = f.claim(at(2)).await.unwrap();
    assert_eq!(
        (claim.download.item.as_deref(), claim.download.attempts),
        (Some("away"), 1),
        "its count stays"
    );
    assert!(f.claim(at(2)).await.is_none(), "whom the peer asked for patience waits on");
}

#[tokio::test]
async fn rows_are_served_by_priority_and_then_in_the_order_they_came() {
    let f = open().await;
    let mut ids = Vec::new();
    for (name, priority) in [("a", 0), ("b", -10), ("c", 10), ("d", 0), ("e", 10)] {
        let mut asked = new(name);
        asked.priority = Priority::new(priority).unwrap();
        ids.push(f.registry.enqueue(&asked, at(0)).await.unwrap().id);
    }
    f.registry.set_priority(ids[3], Priority::new(5).unwrap(), at(1)).await.unwrap();
    let mut served = Vec::new();
    while let Some(claim) = f.claim(at(2)).await {
        served.push(claim.download.item.unwrap());
    }
    assert_eq!(served, ["c", "e", "d", "a", "b"]);
}

/// Enqueues `name` of `peer`, or of nobody.
async fn enqueue_of(f: &common::Fixture, peer: Option<&str>, name: &str, priority: i64) {
    let mut asked = new(name);
    asked.peer = peer.map(ToOwned::to_owned);
    asked.item = peer.map(|_| name.to_owned());
    asked.priority = Priority::new(priority).unwrap();
    f.registry.enqueue(&asked, at(0)).await.unwrap();
}

#[tokio::test]
async fn peers_take_turns_within_a_priority() {
    let f = open().await;
    for n in 0..4 {
        enqueue_of(&f, Some("bob"), &format!("bob {n}"), 0).await;
    }
    for n in 0..2 {
        enqueue_of(&f, Some("alice"), &format!("alice {n}"), 0).await;
        enqueue_of(&f, None, &format!("nobody {n}"), 0).await;
    }
    enqueue_of(&f, Some("bob"), "bob now", 3).await;
    enqueue_of(&f, Some("carol"), "carol later", -1).await;
    let mut served = Vec::new();
    let mut first = None;
    while let Some(claim) = f.claim(at(1)).await {
        served.push(claim.download.filename.clone().unwrap().replace(".mkv", ""));
        first.get_or_insert(claim);
        if served.len() == 8 {
            // One of bob's is done, and he is behind the others no more.
            f.registry.release(&first.as_ref().unwrap().fence, at(2)).await.unwrap();
            f.registry.pause(first.as_ref().unwrap().download.id, at(2)).await.unwrap();
        }
    }
    let expected = [
        "bob now",
        "alice 0",
        "nobody 0",
        "bob 0",
        "alice 1",
        "nobody 1",
        "bob 1",
        "bob 2",
        "bob 3",
        "carol later",
    ];
    assert_eq!(served, expected);
}

#[tokio::test]
async fn a_peer_whose_rows_all_wait_does_not_hide_another() {
    let f = open().await;
    for name in ["a", "b"] {
        enqueue_of(&f, Some("bob"), name, 10).await;
        let claim = f.claim(at(1)).await.unwrap();
        let later = Problem::new("busy", "busy");
        f.registry.wait(&claim.fence, at(1000), &later, at(2)).await.unwrap();
    }
    enqueue_of(&f, Some("zoe"), "zoes", -10).await;
    assert_eq!(f.claim(at(3)).await.unwrap().download.peer.as_deref(), Some("zoe"));
    assert!(f.claim(at(3)).await.is_none());
    assert_eq!(f.claim(at(1000)).await.unwrap().download.peer.as_deref(), Some("bob"));
}

#[tokio::test]
async fn a_row_that_waited_keeps_its_place_in_line() {
    let f = open().await;
    let first = f.begun("first").await;
    f.enqueue("second").await;
    f.registry.wait(&first.fence, at(100), &Problem::new("busy", "busy"), at(2)).await.unwrap();
    assert_eq!(f.registry.next_due(at(2)).await.unwrap(), Some(at(100)));
    assert_eq!(f.registry.next_due(at(100)).await.unwrap(), None, "what is due is not waiting for the clock");
    let next = f.claim(at(100)).await.unwrap();
    assert_eq!((next.download.id, next.download.retry_at), (first.download.id, None));
}

#[tokio::test]
async fn a_peer_that_has_enough_to_do_is_passed_over() {
    let f = open().await;
    f.enqueue("bobs").await;
    let mut alices = new("alices");
    alices.peer = Some("alice \"a\" \\ 100%".to_owned());
    f.registry.enqueue(&alices, at(0)).await.unwrap();
    let plain =
        download_registry::NewDownload { url: "https://example.org/x".to_owned(), ..Default::default() };
    let plain = f.registry.enqueue(&plain, at(0)).await.unwrap();

    let exclude = ["bob".to_owned(), alices.peer.clone().unwrap()];
    let request = ClaimRequest { owner: "worker", now: at(1), lease_for: LEASE, exclude_peers: &exclude };
    let claim = f.registry.claim_next(&request).await.unwrap().unwrap();
    assert_eq!(claim.download.id, plain.id, "a row without a peer is nobody's burden");
    assert!(f.registry.claim_next(&request).await.unwrap().is_none());
    assert_eq!(f.claim(at(1)).await.unwrap().download.peer.as_deref(), Some("bob"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_row_is_handed_out_twice_however_many_ask_at_once() {
    let f = open().await;
    for n in 0..60 {
        f.enqueue(&format!("file-{n}")).await;
    }
    let workers: Vec<_> =
        (0..8).map(|n| tokio::spawn(claim_all(f.registry.clone(), format!("worker-{n}")))).collect();
    let mut served = Vec::new();
    for worker in workers {
        served.extend(worker.await.unwrap());
    }
    assert_eq!(served.len(), 60);
    assert_eq!(served.iter().map(Fence::id).collect::<BTreeSet<_>>().len(), 60);
}

async fn claim_all(registry: Registry, owner: String) -> Vec<Fence> {
    let request = ClaimRequest { owner: &owner, now: at(1), lease_for: LEASE, exclude_peers: &[] };
    let mut mine = Vec::new();
    while let Some(claim) = registry.claim_next(&request).await.unwrap() {
        mine.push(claim.fence);
    }
    mine
}

#[tokio::test]
async fn two_registries_on_one_file_share_the_queue() {
    let f = open().await;
    let second = Registry::open(f.registry.path(), &Default::default()).await.unwrap();
    for n in 0..20 {
        f.enqueue(&format!("file-{n}")).await;
    }
    let (ours, theirs) = tokio::join!(
        claim_all(f.registry.clone(), "one".to_owned()),
        claim_all(second.clone(), "two".to_owned())
    );
    let all: BTreeSet<_> = ours.iter().chain(&theirs).map(Fence::id).collect();
    assert_eq!((ours.len() + theirs.len(), all.len()), (20, 20));
    second.close().await;
    assert_eq!(f.registry.counts().await.unwrap()[&S::Downloading], 20);
}

#[tokio::test]
async fn a_worker_whose_claim_is_over_changes_nothing() {
    let f = open().await;
    for end in ["paused", "cancelled", "deleted", "rejected", "overtaken"] {
        let old = f.begun(end).await;
        let id = old.download.id;
        f.durable(&old, 0..10).await;
        match end {
            "paused" => drop(f.registry.pause(id, at(3)).await.unwrap()),
            "cancelled" => drop(f.registry.cancel(id, at(3)).await.unwrap()),
            "deleted" => drop(f.registry.delete(id).await.unwrap()),
            "rejected" => {
                let problem = Problem::new("superseded", "superseded");
                drop(f.registry.reject(id, &problem, false, None, at(3)).await.unwrap());
            }
            _ => {
                f.registry.recover_expired("other", at(120_000), LEASE).await.unwrap();
                assert_eq!(f.claim_as("other", at(120_000)).await.unwrap().fence.epoch(), 2);
            }
        }
        let before = f.registry.get(id).await.unwrap();
        for (what, refusal) in every_write(&f.registry, old.fence).await {
            assert!(
                matches!(refusal, Some(WorkerError::Fenced { id: i, epoch: 1 }) if i == id),
                "{end}, {what}: {refusal:?}"
            );
        }
        assert_eq!(f.registry.get(id).await.unwrap(), before, "{end}");
        if end == "overtaken" {
            assert_eq!(f.registry.ranges(id).await.unwrap(), [0..10]);
            f.registry.delete(id).await.unwrap();
        }
    }
    assert!(f.registry.check().await.unwrap().is_empty());
}

async fn every_write(r: &Registry, fence: Fence) -> Vec<(&'static str, Option<WorkerError>)> {
    let problem = Problem::new("busy", "busy");
    let failed = |next| FailedTry { problem: problem.clone(), reset_bytes: 1, next };
    let identity = identity(100, "\"v9\"");
    let range = [10..20];
    let gone = SourceReport::Disabled { until: at(10), reason: "gone".to_owned() };
    vec![
        ("renew", r.renew(&fence, at(999_999)).await.err()),
        ("describe", r.describe(&fence, &Metadata::default(), at(9)).await.err()),
        ("begin_generation", r.begin_generation(&fence, &identity, None, at(9)).await.err()),
        ("adopt_identity", r.adopt_identity(&fence, 1, &identity, at(9)).await.err()),
        ("record_durable", r.record_durable(&fence, 1, &range, at(9)).await.err()),
        ("scatter", r.scatter(&fence, 1, at(9)).await.err()),
        ("subtract", r.subtract(&fence, 1, &range, at(9)).await.err()),
        ("try again", r.record_failure(&fence, &failed(Next::TryAgain), at(9)).await.err()),
        ("wait for it", r.record_failure(&fence, &failed(Next::Wait { until: at(10) }), at(9)).await.err()),
        ("wait", r.wait(&fence, at(10), &problem, at(9)).await.err()),
        ("release", r.release(&fence, at(9)).await.err()),
        ("seal", r.seal(&fence, at(9)).await.err()),
        ("report_source", r.report_source(&fence, "https://a.example/", &gone, at(9)).await.err()),
        ("finish", r.finish(&fence, at(9)).await.err()),
    ]
}

#[tokio::test]
async fn a_renewed_lease_does_not_run_out_and_is_never_shortened() {
    let f = open().await;
    let claim = f.begun("film").await;
    f.registry.renew(&claim.fence, at(200_000)).await.unwrap();
    f.registry.renew(&claim.fence, at(100_000)).await.unwrap();
    assert!(f.registry.recover_expired("other", at(199_999), LEASE).await.unwrap().requeued.is_empty());
    let late = f.registry.recover_expired("other", at(200_000), LEASE).await.unwrap();
    assert_eq!(late.requeued, [claim.download.id]);
    assert_eq!(f.registry.transitions(claim.download.id, 1).await.unwrap()[0].event, "lease_expired");
}

#[tokio::test]
async fn a_call_that_was_dropped_leaves_no_transaction_behind() {
    let f = open().await;
    let claim = f.begun("film").await;
    for n in 0..20 {
        // Polled once: sent, and then forgotten.
        let range = [n..n + 1];
        let mut call = Box::pin(f.registry.record_durable(&claim.fence, 1, &range, at(3)));
        let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx))).await;
    }
    f.durable(&claim, 20..21).await;
    assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), [0..21]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refusal_in_a_shared_commit_undoes_only_itself() {
    let f = open().await;
    let claim = f.begun("film").await;
    let mut calls = Vec::new();
    for n in 0..100_u64 {
        let (registry, fence) = (f.registry.clone(), claim.fence);
        // Every other one reaches past the end, after its first range was written down.
        let ranges = if n % 2 == 0 { vec![n..n + 1] } else { vec![n..n + 1, 100..101] };
        calls.push(tokio::spawn(async move { registry.record_durable(&fence, 1, &ranges, at(3)).await }));
    }
    for (n, call) in calls.into_iter().enumerate() {
        assert_eq!(call.await.unwrap().is_ok(), n % 2 == 0, "{n}");
    }
    let expected: Vec<_> = (0..100).step_by(2).map(|n| n..n + 1).collect();
    assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), expected);
    assert_eq!(f.row(&claim).await.durable, 50);
    assert!(f.registry.check().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_row_can_be_claimed_out_of_turn_when_it_is_in_line_and_may_run() {
    let f = open().await;
    for name in ["first", "second"] {
        enqueue_of(&f, Some("bob"), name, 0).await;
    }
    let ids: Vec<_> = f.registry.list(&download_registry::ListQuery::default()).await.unwrap().items;
    let second = ids.iter().find(|row| row.item.as_deref() == Some("second")).unwrap().id;
    let busy = ["bob".to_owned()];
    let claim = async |now, exclude_peers: &[String]| {
        let request = ClaimRequest { owner: "w", now, lease_for: LEASE, exclude_peers };
        f.registry.claim(second, &request).await.unwrap()
    };
    assert!(claim(at(1), &busy).await.is_none(), "its peer has enough to do");
    let held = claim(at(1), &[]).await.unwrap();
    assert_eq!((held.download.id, held.download.state), (second, S::Downloading));
    assert!(claim(at(2), &[]).await.is_none(), "somebody has it");
    let problem = Problem::new("unreachable", "no answer");
    f.registry.wait(&held.fence, at(10), &problem, at(3)).await.unwrap();
    assert!(claim(at(9), &[]).await.is_none(), "its time has not come");
    let again = claim(at(10), &[]).await.unwrap();
    assert_eq!(again.fence.epoch(), held.fence.epoch() + 1);
    f.registry.pause(second, at(11)).await.unwrap();
    assert!(claim(at(12), &[]).await.is_none(), "it is not in line");
}
