//! Our own side: two of us, a file that vanishes, a disk that is full.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use resume_fetch::{Connections, FetchErrorKind, LedgerError, LocalError, Priority, RestartReason, Wanted};
use scripted_peer::{Answer, Gate, Representation, seeded_bytes};
use tokio::io::AsyncReadExt;

use crate::common::{FILE, Lab, SEED, drive};
use crate::stage::{COUNT, PIECE, Watched, asks_for_nothing_of, everything, lab, lab_with_pieces};
use crate::stage::{only_pieces, piece, pieces, total, until_held};

// C54, P54
#[tokio::test]
async fn two_downloads_on_one_part_are_one_and_a_refusal() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let first = lab.start(only_pieces(&lab));
    gate.parked(4).await;
    let asked = lab.asked().len();
    let error = drive(lab.start(only_pieces(&lab))).await.failed();
    let FetchErrorKind::Local(LocalError::Busy(path)) = &error.kind else { panic!("{error}") };
    assert_eq!(path, &lab.part());
    assert!(error.kind.is_retryable());
    assert_eq!(lab.asked().len(), asked, "it did not ask for anything");
    gate.release();
    drive(first).await.done();
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    lab.record_is_true(SEED).await;
}

// C51, P10
#[tokio::test]
async fn a_part_that_is_gone_while_the_record_stands_is_fetched_again() {
    let lab = lab_with_pieces().await;
    std::fs::remove_file(lab.part()).unwrap();
    let completed = drive(lab.start(everything(&lab))).await.done();
    assert_eq!((completed.resumed_from, completed.received), (0, total(COUNT)));
    lab.published(SEED, total(COUNT));
}

// C51, P24: what the disk has lost is fetched again, and only that.
#[tokio::test]
async fn a_part_that_was_cut_loses_what_was_cut_off_and_no_more() {
    let lab = lab_with_pieces().await;
    let kept = piece(8).start + 1000;
    std::fs::OpenOptions::new().write(true).open(lab.part()).unwrap().set_len(kept).unwrap();
    let before = lab.asked().len();
    drive(lab.start(everything(&lab))).await.done();
    let mut held = pieces(COUNT);
    held.remove(&(kept..u64::MAX));
    asks_for_nothing_of(&held, &lab, before, total(COUNT));
    lab.published(SEED, total(COUNT));
}

// C54
#[tokio::test]
async fn a_part_deleted_under_a_download_is_never_published_as_something_else() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let download = lab.start(everything(&lab));
    gate.parked(1).await;
    std::fs::remove_file(lab.part()).unwrap();
    gate.release();
    let error = drive(download).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Local(_)), "{error}");
    assert!(!lab.target().exists());
    drive(lab.start(everything(&lab))).await.done();
    lab.published(SEED, total(COUNT));
}

// C54: whoever reads keeps the file, whatever becomes of its name.
#[tokio::test]
async fn a_reader_reads_on_when_the_part_is_deleted_under_it() {
    let lab = lab_with_pieces().await;
    let download = lab.start(lab.request().want(Wanted::OnDemand));
    until_held(&download, piece(2)).await;
    let mut reader = download.reader(piece(2));
    let mut first = vec![0; 1000];
    reader.read_exact(&mut first).await.unwrap();
    std::fs::remove_file(lab.part()).unwrap();
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).await.unwrap();
    assert!([first, rest].concat() == seeded_bytes(SEED, piece(2)));
}

// C52, P11
#[tokio::test]
async fn a_disk_that_is_full_in_the_middle_is_said_by_its_kind_and_costs_nothing_that_is_on_record() {
    let lab = lab().await;
    let records = AtomicUsize::new(0);
    let ledger = Watched::pausing(lab.ledger(), move |call| {
        let full = call.name == "record" && !call.after && records.fetch_add(1, Ordering::Relaxed) == 2;
        let no_room = || LedgerError::new("no room", io::Error::from(io::ErrorKind::StorageFull));
        Box::pin(std::future::ready(if full { Err(no_room()) } else { Ok(()) }))
    });
    let request = only_pieces(&lab).checkpoint(2 * PIECE, Duration::from_millis(1));
    let error = drive(lab.fetcher().start(request, ledger)).await.failed();
    let FetchErrorKind::Ledger(ledger) = &error.kind else { panic!("{error}") };
    assert!(ledger.is_full() && error.kind.is_retryable());
    lab.record_is_true(SEED).await;
    let held = lab.record().await.unwrap().durable;
    assert_eq!(error.bytes_kept, held.len());
    let before = lab.asked().len();
    drive(lab.start(everything(&lab))).await.done();
    asks_for_nothing_of(&held, &lab, before, total(COUNT));
    lab.published(SEED, total(COUNT));
}

// C52, P12
#[tokio::test]
async fn a_file_for_which_there_is_no_room_is_refused_before_several_connections_ask_for_it() {
    let lab = Lab::new(Representation::seeded(SEED, 1 << 60).etag("\"a\"")).await;
    let request = lab.request().connections(Connections::fixed(4)).max_size(None);
    let error = drive(lab.start(request)).await.failed();
    let FetchErrorKind::Local(local) = &error.kind else { panic!("{error}") };
    assert!(local.is_full() && error.kind.is_retryable(), "{error}");
    assert_eq!(lab.asked().len(), 1);
    assert_eq!(error.bytes_kept, 0);
}

// C14
#[tokio::test]
async fn a_request_that_is_withdrawn_takes_only_its_own_range_with_it() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let request = lab.request().want(Wanted::OnDemand).connections(Connections::fixed(4));
    let download = lab.start(request);
    let mut wishes: Vec<_> = (0..COUNT).map(|n| Some(download.request(piece(n), Priority::Normal))).collect();
    gate.parked(4).await;
    for n in [5, 7, 12] {
        wishes[n] = None;
    }
    gate.release();
    for wish in wishes.iter_mut().flatten() {
        wish.done().await.unwrap();
    }
    let expected: resume_fetch::RangeSet =
        (0..COUNT).filter(|n| ![5, 7, 12].contains(n)).map(piece).collect();
    assert_eq!(download.content().held(), expected);
    assert_eq!(lab.asked().len(), COUNT as usize - 3);
    download.stopper().cancel();
    drive(download).await.failed();
}

// P02, C50
#[tokio::test]
async fn a_size_the_caller_insists_on_is_not_changed_by_a_part() {
    let lab = lab().await;
    let wrong = only_pieces(&lab).expect_size(Some(total(COUNT) + 1));
    let error = drive(lab.start(wrong)).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Permanent(_)), "{error}");
    assert_eq!(lab.asked().len(), 1);
    let lab = lab_with_pieces().await;
    let fetched = drive(lab.start(everything(&lab).expect_size(Some(total(COUNT))))).await;
    assert_eq!(fetched.restarts(), [] as [(RestartReason, u64); 0]);
    fetched.done();
}
