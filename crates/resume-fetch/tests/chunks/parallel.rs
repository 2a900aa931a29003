//! Ranges side by side: how many, which, and where their bytes land.

use std::sync::Arc;

use resume_fetch::{Connections, MemoryLedger, Wanted};
use scripted_peer::{Answer, Gate};

use crate::common::{FILE, Lab, SEED, drive, fetcher, request};
use crate::stage::{COUNT, PIECE, everything, hole, in_pieces, is_for, lab, lab_with_pieces, only_pieces};
use crate::stage::{part_is_true, piece, pieces, total, until, until_held};

// C05, P20, P21
#[tokio::test]
async fn ranges_are_fetched_side_by_side_up_to_the_limit_and_never_above_it() {
    for limit in [1, 2, 4, 8] {
        let count = 3 * limit as u64 + 2;
        let lab = Lab::new(in_pieces(count)).await;
        let gate = Gate::closed();
        lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
        let wanted = Wanted::Ranges(pieces(count));
        let download = lab.start(lab.request().want(wanted).connections(Connections::fixed(limit)));
        gate.parked(limit).await;
        assert_eq!(lab.peer.requests(FILE).len(), limit);
        gate.release();
        let completed = drive(download).await.done();
        assert_eq!(lab.peer.most_at_once(FILE), limit);
        assert_eq!(lab.peer.requests(FILE).len() as u64, count, "every slot was given back");
        assert_eq!(completed.received, count * PIECE, "no byte came twice");
        part_is_true(&lab, &pieces(count));
    }
}

// C02
#[tokio::test]
async fn every_lease_is_one_request_for_exactly_its_bytes_guarded_by_the_strong_tag() {
    let lab = lab().await;
    drive(lab.start(only_pieces(&lab))).await.done();
    let requests = lab.peer.requests(FILE);
    let mut ranges: Vec<_> = requests.iter().map(|request| request.range().unwrap().to_owned()).collect();
    ranges.sort();
    let exactly = |n: u64| format!("bytes={}-{}", piece(n).start, piece(n).end - 1);
    let mut expected: Vec<_> = (0..COUNT).map(exactly).collect();
    expected.sort();
    assert_eq!(ranges, expected);
    assert_eq!(requests[0].header("if-range"), None, "nothing is known before the first answer");
    for request in &requests[1..] {
        assert_eq!(request.header("if-range"), Some("\"a\""), "{:?}", request.range());
    }
    for request in &requests {
        assert_eq!(request.status, Some(206));
        assert_eq!(request.header("accept-encoding"), Some("identity"));
    }
}

// C03, C04
#[tokio::test]
async fn bytes_land_at_their_offsets_in_whatever_order_they_come() {
    let lab = lab_with_pieces().await;
    let gates: [Gate; 4] = std::array::from_fn(|_| Gate::closed());
    for (n, gate) in (0..).zip(&gates) {
        let answer = Answer::hold_at(1000, gate);
        lab.peer.once(FILE, move |request| is_for(request, hole(n).start).then(|| answer.clone()));
    }
    let download = lab.start(everything(&lab));
    for gate in &gates {
        gate.parked(1).await;
    }
    let mut missing = vec![0, 1, 2, 3];
    for n in [2, 0, 3, 1] {
        gates[n as usize].release();
        until_held(&download, hole(n)).await;
        missing.retain(|other| *other != n);
        for &other in &missing {
            assert!(download.available_from(hole(other).start) < hole(other).end, "{other} is still held");
        }
        part_is_true(&lab, &download.content().held());
        lab.record_is_true(SEED).await;
    }
    assert!(drive(download).await.done().published);
    lab.published(SEED, total(COUNT));
}

// P33
#[tokio::test]
async fn bytes_can_be_read_long_before_their_range_is_complete() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let download = lab.start(only_pieces(&lab));
    until(&download, |content| {
        (0..4).all(|n| content.available_from(piece(n).start) == piece(n).start + PIECE / 2)
    })
    .await;
    part_is_true(&lab, &download.content().held());
    gate.release();
    drive(download).await.done();
}

// C31
#[tokio::test]
async fn several_files_at_once_all_get_their_share() {
    let lab = lab().await;
    let paths = ["/one", "/two", "/three"];
    let fetcher = fetcher(Arc::clone(&lab.clock));
    let mut downloads = Vec::new();
    for path in paths {
        lab.peer.serve(path, in_pieces(COUNT));
        let gate = Gate::closed();
        lab.peer.always(path, Answer::hold_at(PIECE / 2, &gate));
        let request = request(&lab.peer.url(path), &lab.path(&path[1..]));
        let request = request.want(Wanted::Ranges(pieces(COUNT))).connections(Connections::fixed(3));
        downloads.push((gate, fetcher.start(request, MemoryLedger::new())));
    }
    for (gate, _) in &downloads {
        gate.parked(3).await;
    }
    for (gate, download) in downloads.into_iter().rev() {
        gate.release();
        drive(download).await.done();
    }
    for path in paths {
        assert_eq!(lab.peer.most_at_once(path), 3);
        assert_eq!(lab.peer.requests(path).len() as u64, COUNT);
    }
}
