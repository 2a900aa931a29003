//! Only what is wanted is asked for.

use resume_fetch::{Connections, Priority, RangeSet, Wanted};
use scripted_peer::{Answer, Gate};

use crate::common::{FILE, SEED, drive};
use crate::stage::{COUNT, PIECE, asked_after, lab, lab_with_pieces, only_pieces, piece, pieces, total};

fn any_connections() -> [Connections; 3] {
    [Connections::SEQUENTIAL, Connections::adaptive(4), Connections::fixed(4)]
}

// C02, C33
#[tokio::test]
async fn wanted_ranges_are_brought_and_nothing_else_is_asked_for_or_published() {
    for connections in any_connections() {
        let lab = lab().await;
        let fetched = drive(lab.start(only_pieces(&lab).connections(connections))).await;
        let completed = fetched.done();
        assert_eq!((completed.received, completed.published), (COUNT * PIECE, false), "{connections:?}");
        let asked: RangeSet = asked_after(&lab, 0, total(COUNT)).into_iter().collect();
        assert_eq!(asked, pieces(COUNT), "{connections:?}");
        lab.unpublished(SEED).await;
        assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    }
}

// C12, C18
#[tokio::test]
async fn a_range_that_is_held_costs_no_request_and_one_that_is_missing_costs_one() {
    for connections in any_connections() {
        let lab = lab_with_pieces().await;
        let before = lab.asked().len();
        let download = lab.start(lab.request().want(Wanted::OnDemand).connections(connections));
        for n in 0..COUNT {
            download.wait_for(piece(n)).await.unwrap();
        }
        assert_eq!(lab.asked().len(), before);
        download.wait_for(piece(3).end..piece(3).end + 10).await.unwrap();
        assert_eq!(asked_after(&lab, before, total(COUNT)), [piece(3).end..piece(3).end + 10]);
        download.stopper().cancel();
        drive(download).await.failed();
        lab.unpublished(SEED).await;
    }
}

// C12, P32
#[tokio::test]
async fn a_range_that_is_asked_for_twice_is_fetched_once() {
    let lab = lab().await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let request = lab.request().want(Wanted::OnDemand).connections(Connections::fixed(4));
    let download = lab.start(request);
    let low: Vec<_> = (0..COUNT).map(|n| download.request(piece(n), Priority::Low)).collect();
    gate.parked(4).await;
    let high: Vec<_> = (0..COUNT).map(|n| download.request(piece(n), Priority::Normal)).collect();
    gate.release();
    for mut wish in low.into_iter().chain(high) {
        wish.done().await.unwrap();
    }
    assert_eq!(lab.asked().len(), COUNT as usize);
    download.stopper().cancel();
    drive(download).await.failed();
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
}

// C14: and the download goes on with what it wants itself.
#[tokio::test]
async fn an_extra_wish_goes_first_and_is_not_published_with_a_few_ranges() {
    let lab = lab().await;
    let download = lab.start(only_pieces(&lab));
    let extra = piece(12).end..piece(12).end + 100;
    let mut wish = download.request(extra.clone(), Priority::Critical);
    wish.done().await.unwrap();
    drop(wish);
    let completed = drive(download).await.done();
    assert!(!completed.published);
    let mut expected = pieces(COUNT);
    expected.insert(extra);
    assert_eq!(lab.record().await.unwrap().durable, expected);
}
