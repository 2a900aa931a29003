//! One mishap met by several leases at once, or by one lease while the others are at work: what is made of it.

use std::sync::Arc;
use std::time::Duration;

use resume_fetch::{Connections, FetchErrorKind, MemoryLedger, Priority, RangeSet, Verified, Wanted};
use scripted_peer::{Answer, Gate, Representation, assert_same_bytes, seeded_bytes};
use tokio::io::AsyncReadExt;
use tokio::sync::{Notify, watch};

use crate::common::{FILE, KIB, Lab, MIB, OTHER, SEED, drive, once};
use crate::stage::{COUNT, PIECE, Watched, everything, hole, in_pieces, is_for, lab_with_pieces};
use crate::stage::{only_pieces, piece, total, until_held};

/// The first four requests get `answer` only when all four of them are there.
async fn met_by_four_at_once(answer: Answer) {
    let lab = lab_with_pieces().await;
    let gate = Gate::closed();
    for n in 0..4 {
        let answer = answer.clone().and(Answer::hold_head(&gate));
        lab.peer.once(FILE, move |request| is_for(request, hole(n).start).then(|| answer.clone()));
    }
    let download = lab.start(everything(&lab));
    gate.parked(4).await;
    gate.release();
    drive(download).await.done();
    assert_eq!(lab.peer.unused(FILE), 0, "all four have met it");
    lab.published(SEED, total(COUNT));
}

#[tokio::test]
async fn a_fault_of_the_protocol_met_by_four_leases_at_once_counts_once() {
    met_by_four_at_once(Answer::both_length_and_chunked()).await;
}

// RFC 9110 §15.5.20
#[tokio::test]
async fn a_misdirected_request_is_repeated_over_another_connection_by_all_who_had_set_out() {
    met_by_four_at_once(Answer::status(421)).await;
}

#[tokio::test]
async fn a_redirect_that_expires_under_several_connections_is_followed_anew() {
    let lab = lab_with_pieces().await;
    let gate = Gate::closed();
    lab.peer.serve("/signed", in_pieces(COUNT));
    lab.peer.always(FILE, Answer::redirect("/signed"));
    lab.peer.once("/signed", |request| is_for(request, hole(3).start).then(|| Answer::status(403)));
    let parks = Answer::hold_head(&gate);
    lab.peer.once("/signed", move |request| is_for(request, hole(0).start).then(|| parks.clone()));
    let download = lab.start(everything(&lab));
    gate.parked(1).await;
    let again = |seen: &[_]| seen.iter().filter(|request| is_for(request, hole(3).start)).count() == 2;
    lab.peer.wait_until("/signed", "a second chance while another is at work", again).await;
    gate.release();
    let fetched = drive(download).await;
    assert_eq!((fetched.retries(), fetched.restarts()), (0, vec![]));
    fetched.done();
    lab.published(SEED, total(COUNT));
}

#[tokio::test]
async fn a_whole_answer_of_another_file_is_not_joined_to_pieces_that_came_meanwhile() {
    const LONG: u64 = 16 * MIB + 777;
    let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"")).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::truncate_at(0), Answer::hold_head(&gate)]);
    drive(lab.start(once(lab.request()))).await.failed();
    // The tag is known and no byte is held: the first request is for the whole, and its answer takes long.
    let request = lab.request().response_timeout(Duration::from_secs(24 * 3600));
    let download = lab.start(request.connections(Connections::fixed(4)));
    gate.parked(1).await;
    let wish = download.request(8 * MIB..9 * MIB, Priority::Critical);
    until_held(&download, 8 * MIB..9 * MIB).await;
    lab.peer.replace(FILE, Representation::seeded(OTHER, LONG).etag("\"b\""));
    gate.release();
    let fetched = drive(download).await;
    drop(wish);
    assert_eq!(fetched.done().restarts, 1);
    lab.published(OTHER, LONG);
}

#[tokio::test]
async fn a_restart_at_the_first_byte_takes_the_whole_from_the_answer_in_hand() {
    let lab = lab_with_pieces().await;
    // A reader made a hole at the start; the file is another one by now, and its server knows no ranges.
    let mut record = lab.record().await.unwrap();
    record.durable.remove(&(0..PIECE));
    let other = Representation::seeded(OTHER, total(COUNT)).etag("\"b\"").without_ranges();
    lab.peer.replace(FILE, other);
    let before = lab.asked().len();
    let request = lab.request().connections(Connections::SEQUENTIAL);
    let fetched = drive(lab.fetcher().start(request, MemoryLedger::with_record(record))).await;
    assert_eq!((fetched.restarts().len(), lab.asked().len() - before), (1, 1), "{:?}", fetched.restarts());
    fetched.done();
    assert_same_bytes(lab.target(), OTHER, total(COUNT));
}

#[tokio::test]
async fn bytes_that_turn_out_to_be_lost_while_they_go_on_record_are_not_published() {
    let lab = Lab::new(Representation::seeded(SEED, MIB).etag("\"a\"")).await;
    let (recording, (go, held_up)) = (Arc::new(Notify::new()), watch::channel(true));
    let started = Arc::clone(&recording);
    let ledger = Watched::pausing(lab.ledger(), move |call| {
        let (started, mut held_up) = (Arc::clone(&started), held_up.clone());
        Box::pin(async move {
            if call.name == "record" && !call.after {
                started.notify_one();
                held_up.wait_for(|held_up| !held_up).await.expect("the test holds the sender");
            }
            Ok(())
        })
    });
    let never = Duration::from_secs(24 * 3600);
    let request = lab.request().connections(Connections::SEQUENTIAL).checkpoint(4 * MIB, never);
    let download = lab.fetcher().start(request, ledger);
    let (content, mut reader) = (download.content(), download.reader(0..MIB));
    recording.notified().await;
    assert!(content.held().covers(&(0..MIB)), "all of it is written, and about to be on record");
    std::fs::File::options().write(true).open(lab.part()).unwrap().set_len(MIB / 2).unwrap();
    let reading = tokio::spawn(async move {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.map(|_| all)
    });
    while content.held().covers(&(0..MIB)) {
        tokio::task::yield_now().await;
    }
    go.send_replace(false);
    drive(download).await.done();
    lab.published(SEED, MIB);
    assert!(reading.await.unwrap().unwrap() == seeded_bytes(SEED, 0..MIB));
}

#[tokio::test]
async fn bytes_that_were_joined_by_an_overlap_are_not_called_validated() {
    // Neither a tag nor a date.
    let lab = Lab::new(Representation::seeded(SEED, 4 * MIB)).await;
    lab.peer.script(FILE, [Answer::truncate_at(300 * KIB)]);
    let wanted = Wanted::Ranges(RangeSet::from_iter([0..MIB]));
    let completed = drive(lab.start(lab.request().want(wanted))).await.done();
    assert_eq!(completed.verified, Verified::Overlap);
}

#[tokio::test]
async fn the_failures_of_a_range_that_was_set_aside_are_handed_to_the_caller() {
    let lab = crate::stage::lab().await;
    let gate = Gate::closed();
    lab.peer.whenever(FILE, move |request| is_for(request, piece(5).start).then(|| Answer::status(500)));
    // Somebody is at work all the time.
    let parks = Answer::hold_head(&gate);
    lab.peer.whenever(FILE, move |request| is_for(request, piece(12).start).then(|| parks.clone()));
    let error = drive(lab.start(only_pieces(&lab))).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Exhausted { attempts: 5, .. }), "{error}");
    assert_eq!(error.attempts, 5);
}
