//! A whole file among several connections, and who gets only one.

use std::sync::Arc;

use resume_fetch::{Connections, Fetcher};
use scripted_peer::{Answer, Gate, Representation};

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};
use crate::meter::Meter;
use crate::stage::{COUNT, only_pieces, pieces, total, until};

const LONG: u64 = 16 * MIB + 777;

fn long() -> Representation {
    Representation::seeded(SEED, LONG)
}

// C05, C16, C40, P21
#[tokio::test]
async fn a_whole_file_is_split_among_the_connections_there_may_be_and_no_byte_comes_twice() {
    let lab = Lab::new(long().etag("\"a\"")).await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(64 * KIB, &gate));
    let meter = Meter::new();
    let fetcher = Fetcher::new(meter.clone(), Arc::clone(&lab.clock), fastrand::Rng::with_seed(1));
    let download = fetcher.start(lab.request().connections(Connections::fixed(4)), lab.ledger());
    gate.parked(4).await;
    gate.release();
    let completed = drive(download).await.done();
    assert_eq!(meter.counts().most, 4);
    assert_eq!((completed.received, completed.restarts), (LONG, 0), "cut leases stop where the next begins");
    lab.published(SEED, LONG);
    let requests = lab.peer.requests(FILE);
    assert_eq!(requests[0].range(), None, "the first asks for everything");
    for request in &requests[1..] {
        assert_eq!(request.header("if-range"), Some("\"a\""), "{:?}", request.range());
    }
}

// P27: a date counts only when it was old at the time (RFC 9110 §8.8.2.2). Pieces are joined by a strong validator or not at all.
#[tokio::test]
async fn without_a_strong_validator_there_is_one_connection() {
    let (date, soon) = ("Mon, 01 Jan 2024 00:00:00 GMT", "Mon, 01 Jan 2024 00:00:30 GMT");
    for representation in [long(), long().etag("W/\"a\""), long().last_modified(date)] {
        let lab = Lab::new(representation.clone()).await;
        lab.peer.always(FILE, Answer::honest().header("Date", soon));
        let request = lab.request().connections(Connections::fixed(4));
        let completed = drive(lab.start(request)).await.done();
        assert_eq!(completed.received, LONG);
        assert_eq!(lab.peer.requests(FILE).len(), 1, "{representation:?}");
        lab.published(SEED, LONG);
    }
}

// P27
#[tokio::test]
async fn without_a_strong_validator_a_cut_is_continued_by_one_connection_too() {
    let lab = Lab::new(long().etag("W/\"a\"")).await;
    lab.peer.script(FILE, [Answer::truncate_at(5 * MIB), Answer::truncate_at(3 * MIB)]);
    let completed = drive(lab.start(lab.request().connections(Connections::fixed(4)))).await.done();
    assert_eq!(completed.restarts, 0);
    assert_eq!((lab.peer.most_at_once(FILE), lab.peer.requests(FILE).len()), (1, 3));
    lab.published(SEED, LONG);
}

// C40: a slow lease is halved as soon as somebody is idle, so the last bytes do not hang on one connection.
#[tokio::test]
async fn an_idle_slot_takes_half_of_what_the_slowest_has_left() {
    let lab = Lab::new(long().etag("\"a\"")).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate)]);
    let download = lab.start(lab.request().connections(Connections::fixed(2)));
    gate.parked(1).await;
    // The first stands still. All but its last few MiB, which are not worth a request, are brought by others.
    until(&download, |content| content.held().len() > LONG - 4 * MIB - 128 * KIB).await;
    let starts: Vec<_> = lab.asked().into_iter().flatten().collect();
    assert!(starts.windows(2).all(|pair| pair[1] < pair[0]), "each takes the far half: {starts:?}");
    assert!(lab.peer.most_at_once(FILE) <= 2);
    gate.release();
    let completed = drive(download).await.done();
    assert_eq!(completed.received, LONG);
    lab.published(SEED, LONG);
}

// P27: ranges that nothing proves to belong together are brought one after the other, from the front.
#[tokio::test]
async fn wanted_ranges_of_a_file_without_a_strong_validator_come_one_at_a_time() {
    let lab = Lab::new(Representation::seeded(SEED, total(COUNT)).etag("W/\"a\"")).await;
    let fetched = drive(lab.start(only_pieces(&lab))).await;
    assert_eq!(fetched.restarts(), []);
    assert!(!fetched.done().published);
    assert_eq!(lab.peer.most_at_once(FILE), 1);
    let held = lab.record().await.unwrap().durable;
    assert!(pieces(COUNT).difference(&held).is_empty(), "{held:?}");
    lab.record_is_true(SEED).await;
}
