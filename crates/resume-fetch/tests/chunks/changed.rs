//! The file changes under several connections.

use resume_fetch::{Connections, RestartReason};
use scripted_peer::{Answer, Gate, Representation};

use crate::common::{FILE, KIB, Lab, MIB, OTHER, SEED, drive};
use crate::stage::{COUNT, PIECE, everything, lab_with_pieces, total, until_held};

/// The same length under another tag, with other bytes.
fn other(length: u64) -> Representation {
    Representation::seeded(OTHER, length).etag("\"b\"")
}

// P27
#[tokio::test]
async fn a_file_that_changes_between_two_ranges_is_fetched_anew_once_and_is_one_version() {
    let lab = lab_with_pieces().await;
    let before = lab.asked().len();
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::hold_at(PIECE / 2, &gate));
    let download = lab.start(everything(&lab));
    gate.parked(4).await;
    // What is under way is of the old file, what comes next is of the new one.
    lab.peer.replace(FILE, other(total(COUNT)));
    gate.release();
    let fetched = drive(download).await;
    let restarts = fetched.restarts();
    assert_eq!(restarts.len(), 1, "{restarts:?}");
    assert_eq!(restarts[0].0, RestartReason::ValidatorChanged);
    assert!(restarts[0].1 >= COUNT * PIECE, "all of the old file counts as given up: {restarts:?}");
    assert_eq!(fetched.done().restarts, 1);
    lab.published(OTHER, total(COUNT));
    let requests = lab.peer.requests(FILE);
    assert!(
        requests[before..]
            .iter()
            .all(|request| request.range().is_none() == request.header("if-range").is_none())
    );
}

// P27
#[tokio::test]
async fn a_file_that_changes_its_length_too_is_one_version() {
    for length in [total(COUNT) / 2, total(COUNT) + 3 * MIB] {
        let lab = lab_with_pieces().await;
        lab.peer.replace(FILE, other(length));
        let fetched = drive(lab.start(everything(&lab))).await;
        assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, COUNT * PIECE)]);
        fetched.done();
        lab.published(OTHER, length);
    }
}

// P27: bytes that belong to the old generation are dropped however late they come.
#[tokio::test]
async fn a_late_body_of_the_old_file_never_reaches_the_new_one() {
    const LONG: u64 = 16 * MIB + 777;
    let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"")).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(64 * KIB, &gate).and(Answer::then_serve(other(LONG)))]);
    let download = lab.start(lab.request().connections(Connections::fixed(4)));
    gate.parked(1).await;
    // The second connection meets the new file, and with it a new generation begins.
    until_held(&download, 0..LONG / 2).await;
    gate.release();
    let fetched = drive(download).await;
    let restarts = fetched.restarts();
    assert_eq!(restarts.len(), 1, "{restarts:?}");
    assert_eq!(restarts[0].0, RestartReason::ValidatorChanged);
    fetched.done();
    lab.published(OTHER, LONG);
}

// P27: one that never stays the same is given up, and nothing of it gets the name.
#[tokio::test]
async fn a_file_that_changes_all_the_time_is_not_published_in_pieces() {
    let lab = lab_with_pieces().await;
    let version = |n: u64| Representation::seeded(100 + n, total(COUNT)).etag(format!("\"{n}\""));
    lab.peer.script(FILE, (0..40).map(|n| Answer::truncate_at(PIECE).and(Answer::then_serve(version(n)))));
    let error = drive(lab.start(everything(&lab))).await.failed();
    assert!(matches!(error.kind, resume_fetch::FetchErrorKind::RestartLoop { .. }), "{error}");
    assert!(!lab.target().exists());
}
