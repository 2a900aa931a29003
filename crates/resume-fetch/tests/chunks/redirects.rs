//! Every lease begins at the address it was given, and follows where that leads.

use resume_fetch::{Connections, RestartReason};
use scripted_peer::{Answer, Gate, Representation, ScriptedPeer};

use crate::common::{FILE, Lab, MIB, OTHER, SEED, drive};
use crate::stage::{COUNT, PIECE, everything, in_pieces, lab, lab_with_pieces, only_pieces, pieces, total};

const LONG: u64 = 16 * MIB + 777;

// C54
#[tokio::test]
async fn several_connections_follow_a_redirect_each_for_itself() {
    let lab = lab().await;
    lab.peer.serve("/elsewhere", in_pieces(COUNT));
    lab.peer.always(FILE, Answer::redirect("/elsewhere"));
    let gate = Gate::closed();
    lab.peer.always("/elsewhere", Answer::hold_at(1000, &gate));
    let download = lab.start(only_pieces(&lab));
    gate.parked(4).await;
    gate.release();
    drive(download).await.done();
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    lab.record_is_true(SEED).await;
    assert_eq!(lab.peer.requests("/elsewhere").len(), COUNT as usize);
    for request in &lab.peer.requests("/elsewhere")[1..] {
        assert_eq!(request.header("if-range"), Some("\"a\""));
    }
    assert_eq!(lab.peer.most_at_once("/elsewhere"), 4);
}

// C54
#[tokio::test]
async fn a_redirect_to_another_origin_gives_the_file_all_the_same() {
    let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"")).await;
    let other = ScriptedPeer::start().await;
    other.serve("/far", Representation::seeded(SEED, LONG).etag("\"a\""));
    lab.peer.always(FILE, Answer::redirect(other.url("/far")));
    let fetched = drive(lab.start(lab.request().connections(Connections::fixed(4)))).await;
    assert_eq!(fetched.restarts(), [], "{:?}", fetched.events);
    fetched.done();
    lab.published(SEED, LONG);
}

// C54, P43
#[tokio::test]
async fn a_redirect_that_appears_in_the_middle_does_not_spoil_what_is_held() {
    let lab = lab_with_pieces().await;
    let other = ScriptedPeer::start().await;
    other.serve("/far", in_pieces(COUNT));
    lab.peer.always(FILE, Answer::redirect(other.url("/far")));
    let fetched = drive(lab.start(everything(&lab))).await;
    assert_eq!(fetched.restarts(), [], "{:?}", fetched.events);
    fetched.done();
    lab.published(SEED, total(COUNT));
}

// C54: elsewhere each piece is compared with what is held in front of it, so they come in the order of the file.
#[tokio::test]
async fn pieces_from_another_origin_are_joined_by_comparing_them() {
    let lab = lab().await;
    let other = ScriptedPeer::start().await;
    other.serve("/far", in_pieces(COUNT));
    lab.peer.always(FILE, Answer::redirect(other.url("/far")));
    let fetched = drive(lab.start(only_pieces(&lab))).await;
    assert_eq!(fetched.restarts(), [], "{:?}", fetched.events);
    fetched.done();
    let held = lab.record().await.unwrap().durable;
    assert!(pieces(COUNT).difference(&held).is_empty(), "{held:?}");
    lab.record_is_true(SEED).await;
}

// C54: an equal tag elsewhere is a coincidence until the bytes say otherwise.
#[tokio::test]
async fn other_bytes_under_the_same_tag_elsewhere_are_never_mixed_in() {
    let lab = lab_with_pieces().await;
    let other = ScriptedPeer::start().await;
    other.serve("/far", Representation::seeded(OTHER, total(COUNT)).etag("\"a\""));
    lab.peer.always(FILE, Answer::redirect(other.url("/far")));
    let fetched = drive(lab.start(everything(&lab))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::OverlapMismatch, COUNT * PIECE)]);
    fetched.done();
    lab.published(OTHER, total(COUNT));
}
