//! What is on record: only what is on the disk, at every step, and nothing of it is asked for again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use resume_fetch::{Connections, Layout, MemoryLedger, Priority, RangeSet, Wanted};
use scripted_peer::{Answer, Gate, Representation, seeded_bytes};

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};
use crate::stage::{COUNT, PIECE, Watched, asks_for_nothing_of, everything, hole, in_pieces, is_for};
use crate::stage::{lab, lab_with_pieces, only_pieces, piece, pieces, total, until, until_held};

// C04, C09, C34
#[tokio::test]
async fn every_recorded_range_is_on_the_disk_before_it_is_recorded() {
    let lab = lab().await;
    // Whatever else goes wrong meanwhile.
    lab.peer.once(FILE, |request| is_for(request, piece(3).start).then(|| Answer::truncate_at(1000)));
    lab.peer.once(FILE, |request| is_for(request, piece(6).start).then(|| Answer::at_most(2000)));
    lab.peer.once(FILE, |request| is_for(request, piece(9).start).then(|| Answer::status(500)));
    let (part, steps) = (lab.part(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&steps);
    let ledger = Watched::new(lab.ledger(), move |call| {
        if call.name != "record" {
            return;
        }
        counted.fetch_add(1, Ordering::Relaxed);
        let bytes = std::fs::read(&part).unwrap();
        for range in &call.ranges {
            let ours = bytes.get(range.start as usize..range.end as usize);
            assert!(ours == Some(&seeded_bytes(SEED, range.clone())), "{range:?} is not on the disk");
        }
    });
    let request = only_pieces(&lab).checkpoint(128 * KIB, Duration::from_millis(1));
    drive(lab.fetcher().start(request, ledger)).await.done();
    assert!(steps.load(Ordering::Relaxed) >= 4, "it was recorded step by step");
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    lab.record_is_true(SEED).await;
}

// C33
#[tokio::test]
async fn holes_are_never_held_and_never_recorded() {
    let lab = lab_with_pieces().await;
    let record = lab.record().await.unwrap();
    assert_eq!((record.layout, record.durable.len()), (Layout::Map, COUNT * PIECE));
    for n in 0..COUNT {
        assert!(!record.durable.covers(&(hole(n).start..hole(n).start + 1)));
    }
    let download = lab.start(lab.request().want(Wanted::OnDemand));
    until_held(&download, piece(0)).await;
    for n in 0..COUNT {
        assert_eq!(download.available_from(hole(n).start), hole(n).start);
        assert_eq!(download.available_from(piece(n).start), piece(n).end);
    }
}

// C09, C33: the record says that there are holes before there is the first one.
#[tokio::test]
async fn the_layout_is_on_record_before_the_first_byte_beyond_a_hole() {
    const LONG: u64 = 16 * MIB + 777;
    let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"")).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate)]);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (part, told) = (lab.part(), Arc::clone(&seen));
    let ledger = Watched::new(lab.ledger(), move |call| {
        let length = std::fs::metadata(&part).map_or(0, |meta| meta.len());
        told.lock().unwrap().push((call.name, call.after, length));
    });
    let download = lab.fetcher().start(lab.request().connections(Connections::fixed(2)), ledger);
    until(&download, |content| content.held().iter().count() > 1).await;
    let seen_by_now = seen.lock().unwrap().clone();
    let flips: Vec<_> = seen_by_now.iter().filter(|(name, ..)| *name == "scatter").collect();
    assert_eq!(flips.len(), 2, "once, before and after: {seen_by_now:?}");
    for (_, _, length) in flips {
        assert!(*length <= 64 * KIB, "nothing lies beyond the prefix yet: {length}");
    }
    gate.release();
    drive(download).await.done();
    lab.published(SEED, LONG);
}

// C33
#[tokio::test]
async fn one_connection_from_front_to_back_leaves_a_prefix_at_every_moment() {
    let lab = Lab::new(in_pieces(COUNT)).await;
    let (part, whole) = (lab.part(), total(COUNT));
    let ledger = Watched::new(lab.ledger(), move |call| {
        assert_ne!(call.name, "scatter");
        let length = std::fs::metadata(&part).map_or(0, |meta| meta.len());
        assert!(call.ranges.iter().all(|range| range.end <= length) && length <= whole);
    });
    lab.peer.script(FILE, [Answer::truncate_at(5 * PIECE), Answer::at_most(PIECE), Answer::status(503)]);
    let request = lab.request().connections(Connections::SEQUENTIAL).checkpoint(PIECE, Duration::ZERO);
    drive(lab.fetcher().start(request, ledger)).await.done();
    lab.published(SEED, total(COUNT));
}

// C35, C26
#[tokio::test]
async fn a_restart_with_holes_asks_for_exactly_the_holes() {
    let lab = lab_with_pieces().await;
    let before = lab.asked().len();
    let completed = drive(lab.start(everything(&lab))).await.done();
    assert_eq!(completed.resumed_from, COUNT * PIECE);
    assert_eq!(completed.received, total(COUNT) - COUNT * PIECE);
    asks_for_nothing_of(&pieces(COUNT), &lab, before, total(COUNT));
    assert_eq!(lab.asked().len() - before, COUNT as usize, "one request for each hole");
    lab.published(SEED, total(COUNT));
}

// C35, C09: dropped in the middle, without a word of farewell.
#[tokio::test]
async fn a_download_dropped_with_holes_goes_on_with_what_is_on_record() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.whenever(FILE, {
        let gate = gate.clone();
        move |request| (request.asked()?.0 >= piece(7).start).then(|| Answer::hold_at(1000, &gate))
    });
    let request = everything(&lab).want(Wanted::Ranges(pieces(COUNT))).checkpoint(PIECE, Duration::ZERO);
    let download = lab.start(request);
    gate.parked(4).await;
    let mut progress = download.progress();
    progress.wait_for(|now| now.durable >= 7 * PIECE).await.unwrap();
    drop(download);
    gate.release();
    lab.record_is_true(SEED).await;
    let held = lab.record().await.unwrap().durable;
    assert!(pieces(7).difference(&held).is_empty(), "{held:?}");
    let before = lab.asked().len();
    drive(lab.start(everything(&lab))).await.done();
    asks_for_nothing_of(&held, &lab, before, total(COUNT));
    lab.published(SEED, total(COUNT));
}

// C04, C35
#[tokio::test]
async fn a_download_that_is_stopped_puts_on_record_what_every_connection_has_brought() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let download = lab.start(only_pieces(&lab));
    let halves: RangeSet = (0..4).map(|n| piece(n).start..piece(n).start + PIECE / 2).collect();
    until(&download, |content| content.held() == halves).await;
    download.stopper().cancel();
    let error = drive(download).await.failed();
    assert_eq!((error.bytes_kept, lab.record().await.unwrap().durable), (halves.len(), halves.clone()));
    lab.record_is_true(SEED).await;
    let before = lab.asked().len();
    gate.release();
    drive(lab.start(everything(&lab))).await.done();
    asks_for_nothing_of(&halves, &lab, before, total(COUNT));
    lab.published(SEED, total(COUNT));
}

// C25, C26
#[tokio::test]
async fn a_new_run_shows_what_the_record_says_before_it_has_asked_anybody() {
    let lab = lab_with_pieces().await;
    let before = lab.asked().len();
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_head(&gate));
    let download = lab.start(everything(&lab));
    let mut progress = download.progress();
    let now = *progress.wait_for(|now| now.connections == 4).await.unwrap();
    assert_eq!((now.written, now.durable, now.total), (COUNT * PIECE, COUNT * PIECE, Some(total(COUNT))));
    assert_eq!(now.generation, 1);
    assert_eq!(download.content().held(), pieces(COUNT));
    gate.parked(4).await;
    assert_eq!(lab.asked().len() - before, 4);
    gate.release();
    drive(download).await.done();
}

// C47, P23
#[tokio::test]
async fn neighbours_on_record_become_one_run_in_whatever_order_they_come() {
    let mut order: Vec<u64> = (0..COUNT).collect();
    fastrand::Rng::with_seed(47).shuffle(&mut order);
    let lab = lab().await;
    let request = lab.request().want(Wanted::OnDemand).connections(Connections::fixed(4));
    let download = lab.start(request.checkpoint(PIECE, Duration::ZERO));
    let ranges: Vec<_> = order.iter().map(|n| n * PIECE..(n + 1) * PIECE).collect();
    let wishes: Vec<_> =
        ranges.iter().map(|range| download.request(range.clone(), Priority::Normal)).collect();
    // And one that stays apart.
    let apart = 20 * PIECE..21 * PIECE;
    let last = download.request(apart.clone(), Priority::Normal);
    for mut wish in wishes.into_iter().chain([last]) {
        wish.done().await.unwrap();
    }
    download.stopper().cancel();
    drive(download).await.failed();
    let expected: RangeSet = [0..COUNT * PIECE, apart].into_iter().collect();
    let durable = lab.record().await.unwrap().durable;
    assert_eq!(durable.iter().collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    assert_eq!(lab.asked().len(), COUNT as usize + 1);
}

// C43, P39
#[tokio::test]
async fn looking_costs_neither_a_call_to_the_ledger_nor_a_request() {
    let lab = lab().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let ledger = Watched::new(MemoryLedger::new(), move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let request = lab.request().want(Wanted::OnDemand).checkpoint(1, Duration::ZERO);
    let download = lab.fetcher().start(request, ledger);
    download.wait_for(piece(3)).await.unwrap();
    let mut progress = download.progress();
    progress.wait_for(|now| now.durable == now.written && now.connections == 0).await.unwrap();
    let (made, asked) = (calls.load(Ordering::Relaxed), lab.asked().len());
    let content = download.content();
    for offset in 0..1000 {
        let end = content.available_from(piece(3).start + offset);
        assert_eq!(end, piece(3).end);
        assert_eq!(content.held().len(), PIECE);
        download.wait_for(piece(3)).await.unwrap();
    }
    assert_eq!((calls.load(Ordering::Relaxed), lab.asked().len()), (made, asked));
}
