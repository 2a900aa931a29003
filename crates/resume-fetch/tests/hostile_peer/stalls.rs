//! Peers that are slow or silent, by a clock the test moves.

use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{Event, Events, LowSpeed};
use retry_kit::{Layers, ManualClock, Rate, RateLimiter};
use scripted_peer::{Answer, Gate};

use crate::HALF;
use crate::common::{FILE, Lab, MIB, SEED, drive, file};

/// A lab whose time stands still, with limits of an hour: nothing times out unless the test moves the clock.
async fn frozen(answers: impl IntoIterator<Item = Answer>) -> (Lab, ManualClock) {
    let clock = ManualClock::new();
    let mut lab = Lab::new(file()).await;
    lab.clock = Arc::new(clock.clone());
    lab.peer.script(FILE, answers);
    (lab, clock)
}

fn patient(lab: &Lab) -> resume_fetch::FetchRequest {
    lab.request().response_timeout(HOUR).idle_timeout(HOUR).low_speed(None)
}

/// The next event; time passes in milliseconds meanwhile.
async fn next_event(clock: &ManualClock, events: &mut Events) -> Event {
    loop {
        tokio::select! {
            biased;
            event = events.next() => return event.expect("the download goes on"),
            () = tokio::task::yield_now() => clock.advance(Duration::from_millis(1)),
        }
    }
}

fn reason(event: &Event) -> &str {
    match event {
        Event::Retrying { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_head_that_never_comes_is_given_up_at_the_response_timeout() {
    for answer in [Answer::stall_before_head(), Answer::drip_head(1, HOUR)] {
        let (lab, clock) = frozen([answer]).await;
        let mut download = lab.start(patient(&lab));
        let mut events = download.take_events();
        lab.peer.wait_for_requests(FILE, 1).await;
        clock.advance(HOUR);
        assert_eq!(reason(&next_event(&clock, &mut events).await), "no answer within 3600 s");
        assert!(matches!(next_event(&clock, &mut events).await, Event::Started { from: 0, .. }));
        download.await.unwrap();
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn a_silent_body_is_given_up_at_the_idle_timeout_and_continued() {
    let (lab, clock) = frozen([Answer::stall_at(HALF)]).await;
    let mut download = lab.start(patient(&lab));
    let mut events = download.take_events();
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { .. }));
    let mut progress = download.progress();
    while progress.borrow_and_update().written < HALF {
        clock.advance(Duration::from_millis(100));
        tokio::task::yield_now().await;
    }
    clock.advance(HOUR);
    assert_eq!(reason(&next_event(&clock, &mut events).await), "nothing received for 3600 s");
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { from: HALF, .. }));
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_drip_is_given_up_although_it_is_never_silent() {
    let (lab, clock) = frozen([Answer::drip(10, Duration::from_millis(5))]).await;
    let floor = LowSpeed { floor: 100_000, window: Duration::from_secs(30) };
    let mut download = lab.start(patient(&lab).low_speed(Some(floor)));
    let mut events = download.take_events();
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { .. }));
    clock.advance(Duration::from_secs(31));
    assert_eq!(reason(&next_event(&clock, &mut events).await), "less than 100000 B/s over 30 s");
    assert!(matches!(next_event(&clock, &mut events).await, Event::Started { .. }));
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn waiting_for_our_own_rate_limit_is_never_a_stall() {
    let (lab, clock) = frozen([]).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(HALF, &gate)]);
    let limiter = RateLimiter::new(lab.clock.clone(), Rate::from(std::num::NonZeroU64::new(8)));
    let floor = LowSpeed { floor: MIB, window: HOUR };
    let request = patient(&lab).low_speed(Some(floor)).limits(Layers::new([limiter.clone()]));
    let download = lab.start(request);
    let mut progress = download.progress();
    let mut ended = Box::pin(drive(download));
    let fetched = loop {
        tokio::select! {
            biased;
            fetched = &mut ended => break fetched,
            // Hours pass while the download waits for its limit, and moments while it waits for the peer. Half-way the
            // peer falls silent: then the watch has to look at all those hours and find them ours.
            () = tokio::task::yield_now() => match limiter.waiting() {
                0 => clock.advance(Duration::from_millis(1)),
                _ => clock.advance(Duration::from_secs(100)),
            },
        }
        if progress.borrow_and_update().written == HALF {
            gate.release();
        }
    };
    assert_eq!(fetched.retries(), 0, "{:?}", fetched.events);
    fetched.done();
    lab.published(SEED, MIB);
}

const HOUR: Duration = Duration::from_secs(3600);
