//! A peer that does not want so many connections gets fewer, and the file comes all the same.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use resume_fetch::{Connections, Event, Events, FetchRequest, RangeSet, Wanted};
use retry_kit::{Clock, ManualClock};
use scripted_peer::{Answer, Gate, Representation};

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};
use crate::setbacks::{doubling, run_on};
use crate::stage::{COUNT, PIECE, everything, hole, is_for, lab_with_pieces, pieces};
use crate::stage::{part_is_true, total, until, until_held};

const LONG: u64 = 16 * MIB + 777;
const STATUSES: [u16; 2] = [429, 503];

/// One answer at a time; whoever comes meanwhile is sent away.
fn one_at_a_time(lab: &Lab, status: u16) {
    lab.peer.whenever(FILE, move |request| (request.at_once > 1).then(|| Answer::status(status)));
}

// C05, P34
#[tokio::test]
async fn a_second_connection_that_is_turned_away_leaves_the_first_one_going() {
    for status in STATUSES {
        let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"")).await;
        let gate = Gate::closed();
        lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate)]);
        one_at_a_time(&lab, status);
        let download = lab.start(lab.request().connections(Connections::fixed(4)));
        lab.peer.wait_until(FILE, "a refusal", |seen| seen.iter().any(|it| it.status == Some(status))).await;
        gate.release();
        let fetched = drive(download).await;
        assert_eq!((fetched.retries(), fetched.restarts()), (0, vec![]), "{status}");
        assert_eq!(fetched.done().received, LONG);
        assert_eq!(lab.peer.requests(FILE)[0].body_bytes, LONG, "{status}: the first brought everything");
        lab.published(SEED, LONG);
    }
}

// P34
#[tokio::test]
async fn a_peer_that_allows_one_connection_for_ever_gives_all_the_same() {
    for status in STATUSES {
        let lab = lab_with_pieces().await;
        one_at_a_time(&lab, status);
        let fetched = drive(lab.start(everything(&lab))).await;
        assert_eq!(fetched.restarts(), [], "{status}");
        fetched.done();
        lab.published(SEED, total(COUNT));
    }
}

// P34: those at work go on; nothing new is asked for before the peer is ready.
#[tokio::test]
async fn nobody_else_is_sent_before_the_peers_retry_after_and_those_at_work_go_on() {
    for status in STATUSES {
        let clock = ManualClock::new();
        let mut lab = lab_with_pieces().await;
        lab.clock = Arc::new(clock.clone());
        let before = lab.asked().len();
        let gate = Gate::closed();
        // Three stand still, the fourth is sent away for two minutes.
        for n in 0..3 {
            let parks = Answer::hold_at(1000, &gate);
            lab.peer.once(FILE, move |request| is_for(request, hole(n).start).then(|| parks.clone()));
        }
        let refusal = Answer::status(status).header("Retry-After", "120");
        lab.peer.once(FILE, move |request| is_for(request, hole(3).start).then(|| refusal.clone()));
        let mut download = lab.start(patient(&lab));
        let mut events = download.take_events();
        gate.parked(3).await;
        let (range, attempt, delay) = setback(&mut events).await;
        assert_eq!((range, attempt), (hole(3), 1));
        assert!(delay >= TWO_MINUTES, "{delay:?}");
        gate.release();
        for n in 0..3 {
            until_held(&download, hole(n)).await;
        }
        // They are done, and yet nothing is asked for.
        clock.advance(TWO_MINUTES - Duration::from_millis(1));
        let mut progress = download.progress();
        progress.wait_for(|now| now.connections == 0).await.unwrap();
        assert_eq!(lab.asked().len() - before, 4, "{status}: three, and the one that was sent away");
        let fetched = run_on(&clock, download).await;
        assert_eq!((fetched.retries(), fetched.restarts()), (0, vec![]), "{status}");
        assert_eq!(fetched.done().received, total(COUNT) - COUNT * PIECE, "no byte came twice");
        lab.published(SEED, total(COUNT));
    }
}

// P34: being one too many is no failure of the range, however often it is found out.
#[tokio::test]
async fn a_slow_transfer_is_not_given_up_because_nobody_may_help_it() {
    for status in STATUSES {
        let clock = ManualClock::new();
        let mut lab = lab_with_pieces().await;
        lab.clock = Arc::new(clock.clone());
        let (before, begin) = (lab.asked().len(), clock.now());
        // A kilobyte a minute.
        let gates: Vec<_> = (1..50).map(|_| Gate::closed()).collect();
        let drips = (1..)
            .zip(&gates)
            .fold(Answer::honest(), |drips, (n, gate)| drips.and(Answer::hold_at(n * KIB, gate)));
        lab.peer.once(FILE, move |request| is_for(request, hole(0).start).then(|| drips.clone()));
        one_at_a_time(&lab, status);
        let mut download = lab.start(patient(&lab).retry(doubling(5)));
        for (n, gate) in (1..).zip(&gates) {
            tokio::select! {
                () = gate.parked(1) => {}
                ended = &mut download => panic!("after {n} KiB: {ended:?}"),
            }
            let flushed = until_held(&download, hole(0).start..hole(0).start + n * KIB);
            tokio::pin!(flushed);
            while (&mut flushed).now_or_never().is_none() {
                clock.advance(Duration::from_secs(1));
                tokio::task::yield_now().await;
            }
            clock.advance(Duration::from_secs(60));
            gate.release();
        }
        let tried = lab.asked().len() - before;
        let most = 4 + (clock.now() - begin).as_secs() as usize / 10;
        assert!((4..most).contains(&tried), "it was tried again, and not all the time: {tried} of {most}");
        run_on(&clock, download).await.done();
        lab.published(SEED, total(COUNT));
    }
}

// C06, P34: without a word of when, the range waits its own time and the others take what is there.
#[tokio::test]
async fn a_refusal_without_a_time_costs_the_others_nothing() {
    let clock = ManualClock::new();
    let mut lab = lab_with_pieces().await;
    lab.clock = Arc::new(clock.clone());
    lab.peer.once(FILE, move |request| is_for(request, hole(3).start).then(|| Answer::status(503)));
    let mut download = lab.start(patient(&lab).retry(doubling(5)));
    let mut events = download.take_events();
    assert_eq!(setback(&mut events).await, (hole(3), 1, Duration::from_secs(1)));
    let rest: RangeSet = (0..COUNT).filter(|n| *n != 3).map(hole).collect();
    until(&download, |content| rest.difference(&content.held()).is_empty()).await;
    assert!(!download.content().held().covers(&hole(3)), "its time has not come");
    clock.advance(Duration::from_secs(1));
    run_on(&clock, download).await.done();
    lab.published(SEED, total(COUNT));
}

fn patient(lab: &Lab) -> FetchRequest {
    everything(lab).idle_timeout(DAY).response_timeout(DAY).low_speed(None)
}

async fn setback(events: &mut Events) -> (std::ops::Range<u64>, u32, Duration) {
    loop {
        match events.next().await.unwrap() {
            Event::Setback { range, attempt, delay, .. } => return (range, attempt, delay),
            Event::Started { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

// P34
#[tokio::test]
async fn a_crowd_that_is_turned_away_together_comes_back_one_by_one() {
    let lab = crate::stage::lab().await;
    lab.peer.whenever(FILE, |request| (request.at_once > 2).then(|| Answer::status(503)));
    let wanted = Wanted::Ranges(pieces(COUNT));
    let request = lab.request().want(wanted).connections(Connections::fixed(16));
    let completed = drive(lab.start(request)).await.done();
    assert_eq!(completed.received, COUNT * PIECE);
    part_is_true(&lab, &pieces(COUNT));
}

const TWO_MINUTES: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 3600);
