//! The promises the first system of this kind made about resuming and retrying, each with a test under its own words.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use common::{FILE, KIB, Lab, MIB, OTHER, SEED, file, once, other_file, policy};
use resume_fetch::{AnswerError, AttemptError, Event, FetchErrorKind, RestartReason, TotalSource};
use scripted_peer::{Answer, Gate, Representation};

const HALF: u64 = MIB / 2;

#[tokio::test]
async fn a_retry_asks_for_the_bytes_from_the_end_of_the_part_on() {
    let lab = Lab::holding(HALF).await;
    lab.run().await.done();
    assert_eq!(lab.peer.requests(FILE)[1].range(), Some("bytes=524288-"));
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn bytes_are_appended_only_after_start_and_total_were_checked() {
    for wrong in [Answer::claim_start(HALF - 1), Answer::claim_total(MIB - 1), Answer::status(206).body("x")]
    {
        let lab = Lab::holding(HALF).await;
        lab.peer.script(FILE, [wrong]);
        let fetched = lab.run().await;
        assert_eq!(fetched.restarts().len(), 1);
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn an_ignored_range_discards_the_part_and_the_restart_is_told() {
    let lab = Lab::holding(HALF).await;
    lab.peer.script(FILE, [Answer::ignore_range()]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::RangeIgnored, HALF)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_mismatched_total_discards_the_part_and_the_restart_is_told() {
    let lab = Lab::holding(HALF).await;
    lab.peer.script(FILE, [Answer::claim_total(2 * MIB)]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::ContentRangeMismatch, HALF)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn an_unsatisfiable_range_discards_the_part_and_the_restart_is_told() {
    let lab = Lab::holding(HALF).await;
    lab.peer.script(FILE, [Answer::status(416)]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::RangeNotSatisfiable, HALF)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_refused_resume_touches_no_file() {
    let lab = Lab::holding(HALF).await;
    let before = std::fs::read(lab.part()).unwrap();
    lab.peer.script(FILE, [Answer::relabel(404)]);
    lab.run().await.failed();
    assert!(std::fs::read(lab.part()).unwrap() == before);
    lab.run().await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn the_part_outlives_every_failure() {
    for failure in
        [Answer::truncate_at(0), Answer::reset_before_head(), Answer::status(500), Answer::status(403)]
    {
        let lab = Lab::holding(HALF).await;
        lab.peer.script(FILE, [failure]);
        let error = lab.fetch(once(lab.request())).await.failed();
        assert_eq!((error.bytes_kept, lab.part_len()), (HALF, Some(HALF)));
        lab.unpublished(SEED).await;
    }
}

#[tokio::test]
async fn the_final_name_appears_only_when_every_byte_is_there() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::truncate_at(MIB - 1));
    lab.fetch(once(lab.request())).await.failed();
    lab.unpublished(SEED).await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_a_failure_of_its_own_and_worth_another_try() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::without_length().and(Answer::truncate_at(HALF))]);
    let error = lab.fetch(once(lab.request().expect_size(Some(MIB)))).await.failed();
    let FetchErrorKind::Exhausted { last, .. } = &error.kind else { panic!("{error}") };
    assert!(matches!(last, AttemptError::Truncated { received: HALF, promised: MIB }), "{last}");
    assert!(last.is_transient());
}

#[tokio::test]
async fn a_part_that_nobody_asked_for_never_becomes_the_whole_file() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::other_range(0..HALF)]);
    let fetched = lab.run().await;
    assert_eq!(fetched.retries(), 1);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn the_size_guard_counts_what_is_held_already() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(HALF))]);
    lab.fetch(once(lab.request())).await.failed();
    lab.peer.always(FILE, Answer::claim_unknown_total().and(Answer::chunked()));
    let max = HALF + 100 * KIB;
    let error = lab.fetch(lab.request().max_size(Some(max))).await.failed();
    assert!(
        matches!(
            error.kind,
            FetchErrorKind::Permanent(AttemptError::Oversize { .. } | AttemptError::Answer(_))
        ),
        "{error}"
    );
    assert!(lab.part_len().unwrap() <= max);
}

#[tokio::test]
async fn where_a_total_was_learnt_is_told_apart() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::truncate_at(HALF)]);
    lab.fetch(once(lab.request())).await.failed();
    let source = lab.record().await.unwrap().identity.total_source;
    assert_eq!(source, Some(TotalSource::ContentLength));

    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(HALF)), Answer::truncate_at(1000)]);
    lab.fetch(lab.request().retry(policy(2))).await.failed();
    let source = lab.record().await.unwrap().identity.total_source;
    assert_eq!(source, Some(TotalSource::ContentRange));
}

#[tokio::test]
async fn a_failed_transfer_leaves_no_handle_and_no_lock_behind() {
    let lab = Lab::holding(HALF).await;
    for _ in 0..20 {
        lab.peer.script(FILE, [Answer::truncate_at(10)]);
        lab.fetch(once(lab.request())).await.failed();
    }
    lab.run().await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn transient_failures_are_tried_again_and_others_are_not() {
    for transient in
        [Answer::reset_before_head(), Answer::status(500), Answer::status(503), Answer::status(429)]
    {
        let lab = Lab::new(file()).await;
        lab.peer.script(FILE, [transient]);
        assert_eq!(lab.run().await.retries(), 1);
        lab.published(SEED, MIB);
    }
    for permanent in [400, 401, 403, 404, 410] {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, Answer::status(permanent));
        let error = lab.run().await.failed();
        assert!(matches!(error.kind, FetchErrorKind::Permanent(_)), "{error}");
        assert_eq!(lab.asked().len(), 1, "{permanent}");
    }
}

#[tokio::test]
async fn five_attempts_and_no_more_are_made_by_default() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::status(503));
    let fetched = lab.run().await;
    assert_eq!((lab.asked().len(), fetched.retries()), (5, 4));
    let FetchErrorKind::Exhausted { attempts: 5, last } = fetched.failed().kind else { panic!("it gave up") };
    let answer = AnswerError::Status(http::StatusCode::SERVICE_UNAVAILABLE);
    assert!(
        matches!(last, AttemptError::Answer(status) if status == answer),
        "the last error comes unchanged"
    );
}

#[tokio::test]
async fn a_peer_restarted_in_the_middle_only_costs_the_wait() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(HALF, &gate)]);
    let mut download = lab.start(lab.request().retry(policy(1000)));
    let mut events = download.take_events();
    assert!(matches!(events.next().await, Some(Event::Started { from: 0, .. })));
    gate.parked(1).await;
    lab.peer.go_away().await;
    assert!(matches!(events.next().await, Some(Event::Retrying { .. })));
    lab.peer.come_back().await;
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_file_replaced_between_two_runs_arrives_as_the_new_one_and_never_as_a_mixture() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    lab.run().await.done();
    lab.published(OTHER, MIB);

    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, Representation::seeded(OTHER, MIB));
    lab.run().await.done();
    lab.published(OTHER, MIB);
}
