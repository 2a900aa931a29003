//! One range fails: how it is tried again, what the others notice, and who is told.

use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{Download, Event, Events, FetchErrorKind, Phase, WaitError};
use retry_kit::{Jitter, ManualClock, RetryPolicy};
use scripted_peer::{Answer, Gate};

use crate::common::{FILE, Lab, SEED, drive};
use crate::stage::{COUNT, PIECE, is_for, only_pieces, part_is_true, piece, pieces, until};

/// One second, two, four, …
pub(crate) fn doubling(attempts: u32) -> RetryPolicy {
    let policy = RetryPolicy::builder().max_attempts(attempts).base(SECOND).cap(Duration::from_secs(600));
    policy.jitter(Jitter::None).build().unwrap()
}

/// A peer with pieces, under a clock that stands still.
async fn frozen() -> (Lab, ManualClock) {
    let clock = ManualClock::new();
    let mut lab = crate::stage::lab().await;
    lab.clock = Arc::new(clock.clone());
    (lab, clock)
}

/// Every request for `piece(n)` is answered like this.
fn always_at(lab: &Lab, n: u64, answer: Answer) {
    lab.peer.whenever(FILE, move |request| is_for(request, piece(n).start).then(|| answer.clone()));
}

fn asked_for(lab: &Lab, n: u64) -> usize {
    lab.peer.requests(FILE).iter().filter(|request| is_for(request, piece(n).start)).count()
}

/// The delay of the next setback, which is that of `piece(n)`.
async fn setback(events: &mut Events, n: u64) -> (u32, Duration) {
    loop {
        match events.next().await.expect("the download goes on") {
            Event::Setback { range, attempt, delay, reason } => {
                assert_eq!(range, piece(n));
                assert!(reason.contains("500"), "{reason}");
                return (attempt, delay);
            }
            Event::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn until_all_but(download: &Download, missing: &[u64]) {
    let expected: resume_fetch::RangeSet = (0..COUNT).filter(|n| !missing.contains(n)).map(piece).collect();
    until(download, |content| {
        content.held().difference(&expected).is_empty() && content.held().len() == expected.len()
    })
    .await;
}

// C06, P20, P34
#[tokio::test]
async fn a_failing_range_is_tried_again_after_growing_delays_while_the_others_go_on() {
    let (lab, clock) = frozen().await;
    let gate = Gate::closed();
    always_at(&lab, 5, Answer::status(500));
    // Somebody is at work all the time.
    always_at(&lab, 12, Answer::hold_head(&gate));
    let mut download = lab.start(only_pieces(&lab).response_timeout(DAY).retry(doubling(5)));
    let mut events = download.take_events();
    for (n, delay) in [(1, 1), (2, 2), (3, 4), (4, 8)] {
        assert_eq!(setback(&mut events, 5).await, (n, delay * SECOND));
        until_all_but(&download, &[5, 12]).await;
        assert_eq!(asked_for(&lab, 5), n as usize);
        clock.advance(delay * SECOND - Duration::from_millis(1));
        tokio::task::yield_now().await;
        assert_eq!(asked_for(&lab, 5), n as usize, "not before its time");
        clock.advance(Duration::from_millis(1));
    }
    let error = download.await.unwrap_err();
    let FetchErrorKind::Exhausted { attempts: 5, last } = &error.kind else { panic!("{error}") };
    assert_eq!(last.status().map(|status| status.as_u16()), Some(500));
    assert_eq!((asked_for(&lab, 5), error.history.len()), (5, 5));
    assert_eq!(error.bytes_kept, (COUNT - 2) * PIECE, "what the others brought is on record");
    lab.record_is_true(SEED).await;
}

// C06, P35
#[tokio::test]
async fn a_connection_that_falls_silent_is_given_up_while_the_others_go_on() {
    let (lab, clock) = frozen().await;
    let gate = Gate::closed();
    let silent = piece(5).start;
    lab.peer.once(FILE, move |request| is_for(request, silent).then(|| Answer::stall_at(1000)));
    always_at(&lab, 12, Answer::hold_head(&gate));
    let request = only_pieces(&lab).response_timeout(DAY).idle_timeout(60 * SECOND).low_speed(None);
    let mut download = lab.start(request.retry(doubling(5)));
    let mut events = download.take_events();
    let others: resume_fetch::RangeSet = (0..12).filter(|n| *n != 5).map(piece).collect();
    until(&download, |content| others.difference(&content.held()).is_empty()).await;
    let setback = loop {
        tokio::select! {
            biased;
            event = events.next() => if let Event::Setback { range, attempt, reason, .. } = event.unwrap() {
                break (range, attempt, reason);
            },
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(100)),
        }
    };
    assert_eq!(setback, (silent + 1000..piece(5).end, 1, "nothing received for 60 s".to_owned()));
    clock.advance(SECOND);
    until(&download, |content| content.held().covers(&piece(5))).await;
    gate.release();
    drive(download).await.done();
    assert_eq!(asked_for(&lab, 5), 1, "what had come was not asked for again");
    part_is_true(&lab, &pieces(COUNT));
}

// C06: the count is that of the range, also when everybody else is done meanwhile.
#[tokio::test]
async fn the_last_range_left_is_not_tried_more_often_for_being_the_last() {
    let (lab, clock) = frozen().await;
    always_at(&lab, 5, Answer::status(500));
    let mut download = lab.start(only_pieces(&lab).retry(doubling(5)));
    let mut events = download.take_events();
    assert_eq!(setback(&mut events, 5).await, (1, SECOND));
    until_all_but(&download, &[5]).await;
    let mut delays = Vec::new();
    clock.advance(SECOND);
    while let Some(event) = events.next().await {
        let Event::Retrying { attempt, delay, .. } = event else { continue };
        delays.push((attempt, delay.as_secs()));
        clock.advance(delay);
    }
    assert_eq!(delays, [(2, 2), (3, 4), (4, 8)]);
    assert_eq!(asked_for(&lab, 5), 5);
    let error = download.await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::Exhausted { attempts: 5, .. }), "{error}");
}

// C06, C13, P29
#[tokio::test]
async fn whoever_waits_for_a_range_that_is_given_up_is_told_so() {
    for (answer, retryable) in [(Answer::status(500), true), (Answer::status(404), false)] {
        let lab = crate::stage::lab().await;
        let gate = Gate::closed();
        always_at(&lab, 5, answer);
        always_at(&lab, 12, Answer::hold_head(&gate));
        let download = lab.start(only_pieces(&lab));
        let content = download.content();
        let (came, never) = tokio::join!(content.wait_for(piece(2)), content.wait_for(piece(5)));
        assert_eq!(came, Ok(()));
        let told = matches!(&never, Err(WaitError::Failed { retryable: it, .. }) if *it == retryable);
        assert!(told, "{never:?}");
        drive(download).await.failed();
    }
}

// P34
#[tokio::test]
async fn a_range_that_the_peer_refuses_for_good_is_not_asked_for_again() {
    let lab = crate::stage::lab().await;
    always_at(&lab, 5, Answer::status(404));
    let fetched = drive(lab.start(only_pieces(&lab))).await;
    assert!(!fetched.events.iter().any(|event| matches!(event, Event::Setback { .. })));
    let error = fetched.failed();
    assert!(matches!(error.kind, FetchErrorKind::Permanent(_)), "{error}");
    assert_eq!(asked_for(&lab, 5), 1);
    lab.record_is_true(SEED).await;
    assert_eq!(lab.record().await.unwrap().durable.len(), error.bytes_kept);
}

// C32
#[tokio::test]
async fn a_peer_that_goes_away_under_several_connections_is_waited_for() {
    let (lab, clock) = frozen().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let download = lab.start(only_pieces(&lab).retry(doubling(5)));
    gate.parked(4).await;
    lab.peer.go_away().await;
    let mut progress = download.progress();
    progress.wait_for(|now| now.phase == Phase::Waiting).await.unwrap();
    let held = download.content().held();
    assert!(held.difference(&pieces(4)).is_empty(), "what did not come is not held: {held:?}");
    part_is_true(&lab, &held);
    lab.peer.come_back().await;
    gate.release();
    let fetched = run_on(&clock, download).await;
    fetched.done();
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    part_is_true(&lab, &pieces(COUNT));
}

// P52: a peer that cannot be reached says nothing about the bytes that are held.
#[tokio::test]
async fn a_peer_that_stays_away_costs_no_bytes() {
    let lab = crate::stage::lab_with_pieces().await;
    lab.peer.go_away().await;
    let error = drive(lab.start(crate::stage::everything(&lab))).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Exhausted { .. }), "{error}");
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    lab.record_is_true(SEED).await;
}

/// Follows a download to its end; time passes in milliseconds meanwhile.
pub(crate) async fn run_on(clock: &ManualClock, download: Download) -> crate::common::Fetched {
    let mut end = Box::pin(drive(download));
    loop {
        tokio::select! {
            biased;
            fetched = &mut end => return fetched,
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);
