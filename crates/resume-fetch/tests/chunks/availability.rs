//! Reading-side promises that only several ranges at once put to the test.

use resume_fetch::WaitError;
use scripted_peer::{Answer, Gate};

use crate::common::{FILE, drive};
use crate::stage::{COUNT, PIECE, is_for, lab, only_pieces, part_is_true, piece, pieces};

// C11, C13
#[tokio::test]
async fn a_wait_ends_when_its_own_range_is_there_and_not_with_another() {
    let lab = lab().await;
    let gates: Vec<_> = (0..4).map(|_| Gate::closed()).collect();
    for (n, gate) in (0..).zip(&gates) {
        let parks = Answer::hold_at(PIECE / 2, gate);
        lab.peer.once(FILE, move |request| is_for(request, piece(n).start).then(|| parks.clone()));
    }
    let download = lab.start(only_pieces(&lab));
    for gate in &gates {
        gate.parked(1).await;
    }
    let content = download.content();
    let mut waits: Vec<_> = (0..4)
        .map(|n| {
            let content = content.clone();
            Some(tokio::spawn(async move { content.wait_for(piece(n)).await }))
        })
        .collect();
    for n in [2, 0, 3, 1] {
        gates[n].release();
        assert_eq!(waits[n].take().unwrap().await.unwrap(), Ok(()));
        for wait in waits.iter().flatten() {
            assert!(!wait.is_finished(), "what it waits for is not there");
        }
    }
    drive(download).await.done();
    assert_eq!(content.held(), pieces(COUNT));
    assert_eq!(content.wait_for(0..2 * PIECE).await, Err(WaitError::Finished), "a hole is in it");
    part_is_true(&lab, &pieces(COUNT));
}
