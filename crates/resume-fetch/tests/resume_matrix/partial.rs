//! Rows 1 to 18: a 206, and whether its bytes continue ours.

use resume_fetch::{AnswerError, Event, RestartReason, Verified};
use scripted_peer::Answer;

use crate::common::{FILE, Lab, MIB, OTHER, SEED, file, once, other_file};
use crate::{HALF, drops_and_restarts, is_answer, resumed};

#[tokio::test]
async fn row_01_a_matching_206_is_appended_where_the_part_ends() {
    let (lab, fetched) = resumed([]).await;
    assert_eq!(lab.asked(), [None, Some(HALF)]);
    let second = &lab.peer.requests(FILE)[1];
    assert_eq!(second.header("if-range"), Some("\"a\""));
    assert_eq!(second.header("accept-encoding"), Some("identity"));
    assert_eq!(second.body_bytes, MIB - HALF, "not one byte twice");
    let started = Event::Started { from: HALF, total: Some(MIB), validator: Some("\"a\"".into()) };
    assert_eq!(fetched.events, [started]);
    let done = fetched.done();
    assert_eq!((done.received, done.resumed_from, done.verified), (MIB - HALF, HALF, Verified::Validator));
}

#[tokio::test]
async fn row_01_a_206_may_leave_its_validators_out() {
    let (lab, fetched) = resumed([Answer::honest().without_header("ETag")]).await;
    assert_eq!((lab.asked().len(), fetched.restarts().len()), (2, 0));
}

#[tokio::test]
async fn row_02_a_206_of_another_complete_length_starts_over() {
    drops_and_restarts(Answer::claim_total(MIB + 1), RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_03_a_206_under_another_tag_starts_over_although_if_range_was_sent() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    lab.peer.script(FILE, [Answer::ignore_if_range()]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, HALF)]);
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_03_a_tag_that_is_none_is_not_ours() {
    drops_and_restarts(Answer::honest().header("ETag", "a"), RestartReason::ValidatorChanged).await;
    let twice = Answer::honest().add_header("ETag", "\"a\"");
    drops_and_restarts(twice, RestartReason::ValidatorChanged).await;
}

#[tokio::test]
async fn row_04_a_weak_tag_where_it_was_strong_starts_over() {
    drops_and_restarts(Answer::honest().header("ETag", "W/\"a\""), RestartReason::ValidatorChanged).await;
}

#[tokio::test]
async fn row_05_another_repr_digest_under_the_same_tag_starts_over() {
    let digest = |byte: char| format!("sha-256=:{}=:", byte.to_string().repeat(43));
    let lab = Lab::new(file()).await;
    lab.peer.script(
        FILE,
        [
            Answer::truncate_at(HALF).header("Repr-Digest", digest('A')),
            Answer::honest().header("Repr-Digest", digest('E')),
        ],
    );
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, HALF)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_06_an_unknown_total_is_no_harm_when_it_is_known_already() {
    let (lab, fetched) = resumed([Answer::claim_unknown_total()]).await;
    assert_eq!((lab.asked().len(), fetched.restarts().len()), (2, 0));
}

#[tokio::test]
async fn row_07_an_end_nobody_names_is_found_by_asking_until_nothing_is_left() {
    let lab = Lab::new(file()).await;
    let piece = || Answer::at_most(MIB / 4).and(Answer::claim_unknown_total());
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(HALF)), piece(), piece()]);
    let fetched = lab.run().await;
    lab.published(SEED, MIB);
    assert_eq!(
        lab.asked(),
        [None, Some(HALF), Some(HALF + MIB / 4), Some(MIB)],
        "the 416 at the end names it"
    );
    assert_eq!(fetched.restarts(), []);
}

#[tokio::test]
async fn row_07_an_end_nobody_names_is_not_looked_for_when_the_tag_does_not_confirm_the_rest() {
    let lab = Lab::new(file()).await;
    let untagged = Answer::claim_unknown_total().without_header("ETag");
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(HALF)), untagged]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::ContentRangeMismatch, HALF)]);
    assert_eq!(lab.asked(), [None, Some(HALF), None]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_08_bytes_sent_again_are_compared_and_then_appended() {
    let (lab, fetched) = resumed([Answer::other_range(HALF - 4096..MIB)]).await;
    assert_eq!((lab.asked().len(), fetched.restarts().len()), (2, 0));
    assert_eq!(fetched.done().received, MIB - HALF, "what was held is not counted again");
}

#[tokio::test]
async fn row_08_bytes_sent_again_that_differ_start_over() {
    let bent = Answer::other_range(HALF - 4096..MIB).and(Answer::flip_at(4095));
    drops_and_restarts(bent, RestartReason::OverlapMismatch).await;
}

#[tokio::test]
async fn row_08b_a_206_with_nothing_new_starts_over() {
    drops_and_restarts(Answer::other_range(0..HALF), RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_09_a_206_that_leaves_a_gap_is_never_written() {
    drops_and_restarts(Answer::other_range(HALF + 1..MIB), RestartReason::ContentRangeMismatch).await;
    drops_and_restarts(Answer::claim_start(HALF + 100), RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_10_a_shorter_206_is_progress_and_the_rest_is_asked_for() {
    let (lab, fetched) = resumed([Answer::at_most(1000), Answer::at_most(2000)]).await;
    assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF + 1000), Some(HALF + 3000)]);
    assert_eq!((fetched.retries(), fetched.restarts().len()), (0, 0));
}

#[tokio::test]
async fn row_11_a_content_range_that_cannot_be_starts_over() {
    for nonsense in [
        "bytes 524288-1048576/1048576",
        "bytes 524288-524287/1048576",
        "bytes 524288-18446744073709551616/*",
        "lines 524288-1048575/1048576",
        "524288-1048575/1048576",
        "bytes=524288-1048575/1048576",
        "bytes 524288-1048575/1048576, bytes 0-1/1048576",
    ] {
        let answer = Answer::honest().header("Content-Range", nonsense);
        drops_and_restarts(answer, RestartReason::ContentRangeMismatch).await;
    }
    let two = Answer::honest().add_header("Content-Range", "bytes 524288-1048575/1048576");
    drops_and_restarts(two, RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_12_a_206_of_no_bytes_at_the_end_finishes_the_file() {
    let lab = Lab::new(file()).await;
    // All bytes, but without the last chunk nobody has said that they are all.
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(MIB))]);
    lab.fetch(once(lab.request())).await.failed();
    assert_eq!(lab.part_len(), Some(MIB));
    let nothing_left = Answer::status(206).header("Content-Range", "bytes 1048576-1048575/1048576");
    lab.peer.script(FILE, [nothing_left.header("ETag", "\"a\"")]);
    let fetched = lab.run().await;
    lab.published(SEED, MIB);
    assert_eq!(lab.asked(), [None, Some(MIB)]);
    assert_eq!(fetched.done().received, 0);
}

#[tokio::test]
async fn row_13_a_206_without_content_range_starts_over() {
    drops_and_restarts(Answer::honest().without_header("Content-Range"), RestartReason::ContentRangeMismatch)
        .await;
}

#[tokio::test]
async fn row_14_a_multipart_206_starts_over() {
    drops_and_restarts(Answer::multipart(), RestartReason::ContentRangeMismatch).await;
}

#[tokio::test]
async fn row_15_a_coded_206_starts_over_and_a_coded_200_is_the_end() {
    drops_and_restarts(Answer::encoding("gzip"), RestartReason::UnexpectedEncoding).await;
    let (_, fetched) = resumed([Answer::encoding("identity")]).await;
    assert_eq!(fetched.restarts(), [], "identity is no coding");

    let lab = Lab::holding(HALF).await;
    lab.peer.always(FILE, Answer::encoding("gzip"));
    let error = lab.run().await.failed();
    assert!(is_answer(&error.kind, &AnswerError::Encoded), "{error}");
    assert_eq!(lab.asked().len(), 3, "asked again without a range, and not once more");
    assert_eq!(error.bytes_kept, HALF, "nothing was destroyed for it");
}

#[tokio::test]
async fn row_16_of_two_lengths_the_shorter_is_believed_and_the_rest_asked_for() {
    let short = Answer::truncate_at(1000).header("Content-Length", "1000");
    let (lab, fetched) = resumed([short]).await;
    assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF + 1000)]);
    assert_eq!(fetched.restarts(), []);
}

#[tokio::test]
async fn row_17_bytes_past_the_range_are_not_taken() {
    let long = Answer::at_most(1000).and(Answer::extra(vec![0xee; 5000]));
    let (lab, fetched) = resumed([long.clone(), long.and(Answer::chunked())]).await;
    assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF + 1000), Some(HALF + 2000)]);
    assert_eq!((fetched.retries(), fetched.restarts().len()), (0, 0));
}

#[tokio::test]
async fn row_18_a_206_cut_short_is_continued_where_it_was_cut() {
    let (lab, fetched) = resumed([Answer::truncate_at(1000)]).await;
    assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF + 1000)]);
    assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 0));
}
