//! Answers that are not what was asked for: nothing of them lands where it does not belong.

use resume_fetch::{Connections, Digest, RestartReason};
use scripted_peer::{Answer, Gate, Representation, seeded_bytes};

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};
use crate::stage::{COUNT, PIECE, everything, hole, is_for, lab, lab_with_pieces, only_pieces};
use crate::stage::{part_is_true, piece, pieces, total};

const LONG: u64 = 16 * MIB + 777;

// P25
#[tokio::test]
async fn a_peer_that_ignores_ranges_gives_the_file_over_one_connection() {
    let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"").without_ranges()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB, &gate)]);
    let download = lab.start(lab.request().connections(Connections::fixed(4)));
    // The first is under way; the others get a 200 for their ranges, and leave.
    lab.peer.wait_for_finished(FILE, 1).await;
    gate.release();
    let fetched = drive(download).await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(fetched.done().received, LONG, "nothing of the 200s was taken");
    let requests = lab.peer.requests(FILE);
    assert!(requests.len() <= 4, "it was not asked again and again: {}", requests.len());
    lab.published(SEED, LONG);
}

// P25
#[tokio::test]
async fn a_peer_that_ignores_ranges_is_continued_by_one_connection_at_a_time() {
    let lab = Lab::new(Representation::seeded(SEED, LONG).etag("\"a\"").without_ranges()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(MIB, &gate).and(Answer::truncate_at(5 * MIB))]);
    let download = lab.start(lab.request().connections(Connections::fixed(4)));
    lab.peer.wait_for_finished(FILE, 1).await;
    let tried = lab.peer.requests(FILE).len();
    gate.release();
    let fetched = drive(download).await;
    assert_eq!(fetched.restarts(), [], "what is held is compared on the way, not given up");
    fetched.done();
    let requests = lab.peer.requests(FILE);
    assert!(requests[tried.max(3)..].iter().all(|request| request.at_once == 1));
    lab.published(SEED, LONG);
}

// P25
#[tokio::test]
async fn one_whole_answer_to_a_range_lands_nowhere() {
    let lab = lab_with_pieces().await;
    let gate = Gate::closed();
    let parks = Answer::hold_at(1000, &gate);
    lab.peer.once(FILE, move |request| is_for(request, hole(0).start).then(|| parks.clone()));
    lab.peer.once(FILE, |request| is_for(request, hole(2).start).then(Answer::ignore_range));
    let download = lab.start(everything(&lab));
    gate.parked(1).await;
    lab.peer
        .wait_until(FILE, "the whole answer", |seen| {
            seen.iter().any(|it| it.status == Some(200) && it.finished)
        })
        .await;
    part_is_true(&lab, &download.content().held());
    gate.release();
    let fetched = drive(download).await;
    assert_eq!(fetched.restarts(), []);
    fetched.done();
    lab.published(SEED, total(COUNT));
}

// P26
#[tokio::test]
async fn a_shorter_part_is_recorded_as_what_it_brought_and_the_rest_is_asked_for() {
    let lab = lab().await;
    let few = 10 * KIB + 1;
    lab.peer.whenever(FILE, move |request| is_for(request, piece(5).start).then(|| Answer::at_most(few)));
    let fetched = drive(lab.start(only_pieces(&lab))).await;
    assert_eq!((fetched.retries(), fetched.restarts()), (0, vec![]), "a shorter part is a right answer");
    assert_eq!(fetched.done().received, COUNT * PIECE);
    let rest = format!("bytes={}-{}", piece(5).start + few, piece(5).end - 1);
    let asked = lab.peer.requests(FILE).iter().filter(|request| request.range() == Some(&rest)).count();
    assert_eq!(asked, 1);
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    part_is_true(&lab, &pieces(COUNT));
}

// P26
#[tokio::test]
async fn a_body_that_ends_early_is_recorded_as_what_it_brought_and_the_rest_is_asked_for() {
    let lab = lab().await;
    let few = 10 * KIB + 1;
    for answer in [Answer::truncate_at(few), Answer::reset_at(few)] {
        lab.peer.once(FILE, move |request| is_for(request, piece(5).start).then(|| answer.clone()));
    }
    let fetched = drive(lab.start(only_pieces(&lab))).await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(fetched.done().received, COUNT * PIECE, "no byte came twice");
    let rest = format!("bytes={}-{}", piece(5).start + few, piece(5).end - 1);
    let asked = lab.peer.requests(FILE).iter().filter(|request| request.range() == Some(&rest)).count();
    assert_eq!(asked, 1);
    part_is_true(&lab, &pieces(COUNT));
}

// P26
#[tokio::test]
async fn more_than_was_asked_for_is_not_taken() {
    let lab = lab().await;
    lab.peer.whenever(FILE, |request| {
        let (from, until) = request.asked()?;
        (from > 0).then(|| Answer::other_range(from..until.map_or(from + 1, |until| until + 5000)))
    });
    let fetched = drive(lab.start(only_pieces(&lab))).await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(fetched.done().received, COUNT * PIECE);
    assert_eq!(lab.record().await.unwrap().durable, pieces(COUNT));
    part_is_true(&lab, &pieces(COUNT));
}

// P26, P02, C50
#[tokio::test]
async fn an_answer_that_contradicts_itself_or_the_others_costs_a_restart_and_never_a_wrong_byte() {
    for (answer, because) in [
        (Answer::claim_total(total(COUNT) + 1), "a total is written once in a generation"),
        (Answer::claim_total(piece(5).end), "nor does the end of a part make it smaller"),
        (Answer::claim_start(piece(5).start + 1), "the start is not the one asked for"),
        (Answer::other_range(0..PIECE), "other bytes than those asked for"),
        (Answer::multipart(), "one range was asked for"),
        (Answer::encoding("gzip"), "no coding was asked for"),
    ] {
        let lab = lab().await;
        let bad = answer.clone();
        lab.peer.once(FILE, move |request| is_for(request, piece(5).start).then(|| bad.clone()));
        let fetched = drive(lab.start(only_pieces(&lab))).await;
        let restarts = fetched.restarts();
        assert_eq!(restarts.len(), 1, "{because}: {:?}", fetched.events);
        let expected = [RestartReason::ContentRangeMismatch, RestartReason::UnexpectedEncoding];
        assert!(expected.contains(&restarts[0].0), "{because}: {restarts:?}");
        let completed = fetched.done();
        assert_eq!((completed.total, completed.restarts), (total(COUNT), 1), "{because}");
        let record = lab.record().await.unwrap();
        assert_eq!((record.generation, record.identity.total), (2, Some(total(COUNT))), "{because}");
        assert!(pieces(COUNT).difference(&record.durable).is_empty(), "{because}");
        lab.record_is_true(SEED).await;
    }
}

// P26, P44: what no head gives away, the digest does.
#[tokio::test]
async fn a_wrong_byte_in_one_piece_is_found_by_the_digest_and_everything_is_fetched_once_more() {
    let lab = lab_with_pieces().await;
    lab.peer.once(FILE, |request| is_for(request, hole(5).start).then(|| Answer::flip_at(1234)));
    let whole = seeded_bytes(SEED, 0..total(COUNT));
    let digest = Digest::Blake3(*blake3::hash(&whole).as_bytes());
    let fetched = drive(lab.start(everything(&lab).expect_digest(Some(digest)))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::Corruption, total(COUNT))]);
    fetched.done();
    lab.published(SEED, total(COUNT));
}
