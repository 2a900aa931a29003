//! Waits: how long the peer is left alone, who sits and waits, and what goes on meanwhile.

use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use resume_fetch::{Connections, Event, Events, FetchErrorKind, FetchRequest, Priority, Wanted};
use retry_kit::{Clock, DelaySource, Layers, ManualClock, Rate, RateLimiter, SharedClock};
use scripted_peer::{Answer, Gate, Representation};

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};
use crate::setbacks::{doubling, run_on};
use crate::stage::{is_for, piece, until, until_held};

/// Enough for several connections, under a clock that stands still.
async fn frozen() -> (Lab, ManualClock) {
    let clock = ManualClock::new();
    let mut lab = Lab::new(Representation::seeded(SEED, 16 * MIB + 777).etag("\"a\"")).await;
    lab.clock = Arc::new(clock.clone());
    (lab, clock)
}

/// Gives nobody up for being slow.
fn patient(lab: &Lab, connections: usize) -> FetchRequest {
    let request = lab.request().connections(Connections::fixed(connections));
    request.idle_timeout(DAY).response_timeout(DAY).low_speed(None)
}

async fn setback(events: &mut Events) {
    while !matches!(events.next().await.expect("the download goes on"), Event::Setback { .. }) {}
}

#[tokio::test]
async fn a_retry_after_is_kept_when_the_last_one_at_work_fails_too() {
    let (lab, clock) = frozen().await;
    let gate = Gate::closed();
    let cut = Answer::hold_at(64 * KIB, &gate).and(Answer::truncate_at(128 * KIB));
    let refusal = Answer::status(429).header("Retry-After", "120");
    lab.peer.script(FILE, [cut, refusal]);
    let mut download = lab.start(patient(&lab, 2).retry(doubling(5)));
    let (mut events, mut progress) = (download.take_events(), download.progress());
    lab.peer.wait_until(FILE, "a refusal", |seen| seen.iter().any(|it| it.status == Some(429))).await;
    progress.wait_for(|now| now.connections == 1).await.unwrap();
    gate.release();
    let (delay, source) = loop {
        match events.next().await.unwrap() {
            Event::Retrying { delay, source, .. } => break (delay, source),
            Event::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((delay, source), (2 * MINUTE, DelaySource::RetryAfter), "its own delay would be a second");
    assert_eq!(lab.asked().len(), 2);
    run_on(&clock, download).await.done();
    lab.published(SEED, 16 * MIB + 777);
}

#[tokio::test]
async fn a_long_retry_after_is_given_to_a_caller_who_does_not_want_to_sit_and_wait() {
    let (lab, clock) = frozen().await;
    let (first, second) = (Gate::closed(), Gate::closed());
    lab.peer.script(
        FILE,
        [
            Answer::hold_at(64 * KIB, &first),
            Answer::hold_at(64 * KIB, &second).and(Answer::truncate_at(128 * KIB)),
            Answer::status(429).header("Retry-After", "3600"),
        ],
    );
    let mut download = lab.start(patient(&lab, 3).hold_at_most(Duration::from_secs(1)));
    let (mut events, mut progress) = (download.take_events(), download.progress());
    lab.peer.wait_until(FILE, "a refusal", |seen| seen.iter().any(|it| it.status == Some(429))).await;
    progress.wait_for(|now| now.connections == 2).await.unwrap();
    // A range is set aside for a few milliseconds, and those have passed when the last one at work is done.
    second.release();
    setback(&mut events).await;
    clock.advance(Duration::from_millis(10));
    first.release();
    let error = run_on(&clock, download).await.failed();
    let FetchErrorKind::Deferred { delay, .. } = &error.kind else { panic!("{error}") };
    assert!(*delay > 59 * MINUTE, "{delay:?}");
    assert_eq!(lab.asked().len(), 3, "the peer was left alone");
}

#[tokio::test]
async fn a_range_that_failed_and_is_not_wanted_any_more_ends_nothing() {
    let (mut lab, clock) = (crate::stage::lab().await, ManualClock::new());
    lab.clock = Arc::new(clock.clone());
    let gate = Gate::closed();
    lab.peer.whenever(FILE, move |request| is_for(request, piece(5).start).then(|| Answer::status(500)));
    let parks = Answer::hold_at(1000, &gate);
    lab.peer.whenever(FILE, move |request| is_for(request, piece(9).start).then(|| parks.clone()));
    let request = patient(&lab, 4).want(Wanted::OnDemand).retry(doubling(5));
    let mut download = lab.start(request.hold_at_most(Duration::from_millis(500)));
    let (mut events, mut progress) = (download.take_events(), download.progress());
    let busy = download.request(piece(9), Priority::Normal);
    gate.parked(1).await;
    let failing = download.request(piece(5), Priority::Normal);
    setback(&mut events).await;
    drop(failing);
    gate.release();
    until_held(&download, piece(9)).await;
    progress.wait_for(|now| now.connections == 0).await.unwrap();
    drop(busy);
    clock.advance(MINUTE);
    // It lives, and does what is asked of it.
    let _wish = download.request(piece(3), Priority::Normal);
    until_held(&download, piece(3)).await;
    let starts: Vec<_> = lab.asked().into_iter().flatten().collect();
    assert_eq!(starts, [9, 5, 3].map(|n| piece(n).start), "what failed is nobody's wish any more");
}

#[tokio::test]
async fn a_peer_is_left_alone_as_long_as_it_asked_although_nobody_wants_those_bytes_any_more() {
    let (mut lab, clock) = (crate::stage::lab().await, ManualClock::new());
    lab.clock = Arc::new(clock.clone());
    let (gate, began) = (Gate::closed(), clock.now());
    let refusal = Answer::status(429).header("Retry-After", "60");
    lab.peer.whenever(FILE, move |request| is_for(request, piece(5).start).then(|| refusal.clone()));
    let held = Answer::hold_at(1000, &gate);
    lab.peer.whenever(FILE, move |request| is_for(request, piece(9).start).then(|| held.clone()));
    let (asked_at, at) = (Arc::new(OnceLock::new()), clock.clone());
    let asked = Arc::clone(&asked_at);
    lab.peer.whenever(FILE, move |request| {
        if is_for(request, piece(3).start) {
            let _ = asked.set(at.now() - began);
        }
        None
    });
    let request = patient(&lab, 4).want(Wanted::OnDemand).retry(doubling(5));
    let mut download = lab.start(request.hold_at_most(Duration::from_secs(1)));
    let (mut events, mut progress) = (download.take_events(), download.progress());
    let busy = download.request(piece(9), Priority::Normal);
    gate.parked(1).await;
    let refused = download.request(piece(5), Priority::Normal);
    setback(&mut events).await;
    drop(refused);
    gate.release();
    until_held(&download, piece(9)).await;
    progress.wait_for(|now| now.connections == 0).await.unwrap();
    drop(busy);
    let _wish = download.request(piece(3), Priority::Normal);
    let mut held = Box::pin(until_held(&download, piece(3)));
    loop {
        tokio::select! {
            biased;
            () = &mut held => break,
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
        }
    }
    assert!(asked_at.get().is_some_and(|at| *at >= MINUTE), "{asked_at:?}");
}

#[tokio::test]
async fn on_demand_rests_when_nobody_wants_anything_and_the_length_is_not_known() {
    let lab = Lab::new(Representation::seeded(SEED, 4 * MIB).etag("\"a\"").without_ranges()).await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::chunked().and(Answer::hold_at(MIB, &gate)));
    let request = lab.request().want(Wanted::OnDemand).connections(Connections::fixed(4));
    let download = lab.start(request.idle_timeout(DAY).low_speed(None));
    let wish = download.request(0..64 * KIB, Priority::Normal);
    until_held(&download, 0..64 * KIB).await;
    drop(wish);
    let mut progress = download.progress();
    progress.wait_for(|now| now.connections == 0).await.unwrap();
    download.stopper().cancel();
    let error = drive(download).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Stopped), "{error}");
    assert_eq!(lab.asked().len(), 1);
}

#[tokio::test]
async fn what_has_come_can_be_read_while_its_lease_waits_for_a_limit() {
    let (lab, clock) = frozen().await;
    let shared: SharedClock = Arc::new(clock);
    let limiter = RateLimiter::new(shared, Rate::per_second(NonZeroU64::new(1024).unwrap()));
    let download = lab.start(patient(&lab, 1).limits(Layers::new([limiter.clone()])));
    // Time stands still: nothing more is let through, and no patience ends.
    until(&download, |content| !content.held().is_empty()).await;
    assert_eq!(limiter.waiting(), 1);
}

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
