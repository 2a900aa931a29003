//! Rows 19 to 21b: a 200 although a range was asked for.

use resume_fetch::RestartReason;
use scripted_peer::{Answer, Representation};

use crate::common::{self, FILE, KIB, Lab, MIB, OTHER, SEED, file, once, other_file};
use crate::{HALF, drops_and_restarts, restarts};

#[tokio::test]
async fn row_19_a_200_under_the_same_tag_starts_over_with_the_body_in_hand() {
    restarts(Answer::ignore_range(), RestartReason::RangeIgnored, 1).await;
}

#[tokio::test]
async fn row_19_a_peer_that_never_serves_ranges_still_finishes_however_often_it_is_cut() {
    let lab = Lab::holding(HALF).await;
    let whole = |cut| Answer::ignore_range().and(Answer::truncate_at(cut));
    let cuts = [300 * KIB, 500 * KIB, 200 * KIB, 700 * KIB, 900 * KIB].map(whole);
    lab.peer.script(FILE, cuts);
    lab.peer.always(FILE, Answer::ignore_range());
    let fetched = lab.fetch(lab.request().retry(common::policy(9))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::RangeIgnored, HALF)], "once, and then it is read past");
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_20_a_200_with_another_tag_starts_over_with_the_body_in_hand() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, HALF)]);
    assert_eq!(lab.asked(), [None, Some(HALF)], "no request more than the one that told");
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_20_a_200_without_validators_starts_over_with_the_body_in_hand() {
    let lab = Lab::new(Representation::seeded(SEED, MIB)).await;
    lab.cut_short(HALF).await;
    lab.peer.replace(FILE, Representation::seeded(OTHER, 2 * MIB).without_ranges());
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::RangeIgnored, HALF)]);
    assert_eq!(lab.asked().len(), 2);
    lab.published(OTHER, 2 * MIB);
}

#[tokio::test]
async fn row_20_a_200_cut_while_it_replaces_the_part_is_continued_and_nothing_of_the_old_one_survives() {
    for (cut, because) in [
        (0, "not a byte of the new one came"),
        (HALF - 300 * KIB, "fewer bytes than the old one left"),
        (HALF + 300 * KIB, "more than that"),
    ] {
        let lab = Lab::holding(HALF).await;
        lab.peer.replace(FILE, other_file());
        lab.peer.script(FILE, [Answer::truncate_at(cut)]);
        let fetched = lab.fetch(once(lab.request())).await;
        assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, HALF)], "{because}");
        assert_eq!(fetched.failed().bytes_kept, cut, "{because}");
        assert_eq!(lab.part_len(), Some(cut), "nothing of the old one lies behind the new one: {because}");
        lab.unpublished(OTHER).await;
        let record = lab.record().await.unwrap();
        assert_eq!(record.identity.validator.map(|tag| tag.to_string()).as_deref(), Some("\"b\""));

        let fetched = lab.run().await;
        assert_eq!(fetched.restarts(), [], "the restart is behind us: {because}");
        let last = lab.peer.requests(FILE).pop().unwrap();
        let expected = (cut > 0).then_some(cut);
        assert_eq!(last.asked().map(|(from, _)| from), expected, "{because}");
        assert_eq!(last.header("if-range"), expected.map(|_| "\"b\""), "{because}");
        lab.published(OTHER, MIB);
    }
}

#[tokio::test]
async fn row_20_a_200_cut_while_it_replaces_the_part_costs_one_attempt_and_no_second_restart() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    lab.peer.script(FILE, [Answer::truncate_at(300 * KIB)]);
    let fetched = lab.run().await;
    assert_eq!(lab.asked(), [None, Some(HALF), Some(300 * KIB)]);
    assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 1));
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_21_a_200_of_another_length_under_the_same_tag_is_asked_for_plainly() {
    let tail = Answer::relabel(200).without_header("Content-Range");
    drops_and_restarts(tail, RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_21b_a_part_labelled_200_is_asked_for_plainly() {
    drops_and_restarts(Answer::relabel(200), RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_21b_a_part_labelled_200_never_becomes_the_whole_file() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::other_range(0..HALF).and(Answer::relabel(200))]);
    let fetched = lab.run().await;
    assert_eq!(fetched.retries(), 1);
    lab.published(SEED, MIB);
}
