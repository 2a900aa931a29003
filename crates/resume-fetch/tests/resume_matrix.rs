//! What each reply to a resume request leads to, through real sockets: one test for each row of the reply table
//! (`docs/resume.md`). Half of the file is held under the strong tag `"a"`, unless a test says otherwise.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::single_range_in_vec_init, reason = "a list of one byte range is what is meant")]

mod common;

use common::{FILE, Fetched, KIB, Lab, MIB, OTHER, SEED, file, once, other_file};
use resume_fetch::{
    AnswerError, AttemptError, Digest, Event, FetchErrorKind, Identity, Ledger, LocalError, RedirectError,
    RestartReason, SidecarLedger, Verified,
};
use scripted_peer::{Answer, Representation, seeded_bytes};

const HALF: u64 = MIB / 2;

/// Resumes at the half against `answers`, then the honest peer. Expects the file at the end.
async fn resumed(answers: impl IntoIterator<Item = Answer>) -> (Lab, Fetched) {
    let lab = Lab::holding(HALF).await;
    lab.peer.script(FILE, answers);
    let fetched = lab.run().await;
    if let Err(error) = &fetched.result {
        panic!("{}; {:?}", common::describe(error), fetched.events);
    }
    lab.published(SEED, MIB);
    (lab, fetched)
}

/// The answer made us start over for `reason`, with `requests` after the earlier run's first.
async fn restarts(answer: Answer, reason: RestartReason, requests: usize) {
    let (lab, fetched) = resumed([answer]).await;
    assert_eq!(fetched.restarts(), [(reason, HALF)]);
    assert_eq!(lab.asked().len(), 1 + requests);
    assert_eq!(lab.asked()[1], Some(HALF));
    assert_eq!(fetched.retries(), 0, "a restart is not a failed attempt");
    assert_eq!(fetched.done().restarts, 1);
}

/// As [`restarts`], by asking once more without a range.
async fn drops_and_restarts(answer: Answer, reason: RestartReason) {
    restarts(answer, reason, 2).await;
}

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

/// All bytes are held, but the transfer ended without saying that they are all.
async fn holding_everything(representation: Representation) -> Lab {
    let lab = Lab::new(representation).await;
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(MIB))]);
    lab.fetch(once(lab.request())).await.failed();
    assert_eq!(lab.part_len(), Some(MIB));
    lab
}

#[tokio::test]
async fn row_22_a_416_at_the_very_end_finishes_the_file_when_the_tag_confirms_it() {
    let lab = holding_everything(file()).await;
    lab.peer.always(FILE, Answer::honest().header("ETag", "\"a\""));
    let fetched = lab.run().await;
    lab.published(SEED, MIB);
    assert_eq!(lab.asked(), [None, Some(MIB)]);
    assert_eq!(fetched.restarts(), []);
}

#[tokio::test]
async fn row_22_a_416_that_nobody_confirms_starts_over() {
    let lab = holding_everything(file()).await;
    lab.peer.script(FILE, [Answer::honest().without_header("ETag")]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::RangeNotSatisfiable, MIB)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_22_without_a_validator_the_end_of_a_whole_part_is_compared() {
    let lab = holding_everything(Representation::seeded(SEED, MIB)).await;
    let fetched = lab.run().await;
    assert_eq!(lab.asked(), [None, Some(MIB - 64 * KIB)]);
    assert_eq!(fetched.done().verified, Verified::Overlap);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_23_a_416_under_another_tag_starts_over() {
    let answer = Answer::status(416).header("Content-Range", "bytes */524288").header("ETag", "\"b\"");
    drops_and_restarts(answer, RestartReason::ValidatorChanged).await;
}

#[tokio::test]
async fn row_24_a_416_of_a_file_shorter_than_the_part_starts_over() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, Representation::seeded(OTHER, 1000).etag("\"b\""));
    lab.peer.script(FILE, [Answer::ignore_if_range().without_header("ETag")]);
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::RangeNotSatisfiable, HALF)]);
    lab.published(OTHER, 1000);
}

#[tokio::test]
async fn row_24b_a_416_that_ends_the_file_where_the_part_ends_is_not_believed_against_the_record() {
    let answer = Answer::status(416).header("Content-Range", "bytes */524288").header("ETag", "\"a\"");
    drops_and_restarts(answer, RestartReason::RangeNotSatisfiable).await;
}

#[tokio::test]
async fn row_25_a_416_that_could_have_been_satisfied_starts_over() {
    let answer = Answer::status(416).header("Content-Range", "bytes */1048576");
    drops_and_restarts(answer, RestartReason::RangeNotSatisfiable).await;
}

#[tokio::test]
async fn rows_26_and_27_a_416_without_a_length_starts_over() {
    drops_and_restarts(Answer::status(416), RestartReason::RangeNotSatisfiable).await;
    let lab = holding_everything(file()).await;
    lab.peer.script(FILE, [Answer::status(416)]);
    let fetched = lab.run().await;
    assert_eq!(
        fetched.restarts(),
        [(RestartReason::RangeNotSatisfiable, MIB)],
        "our length is not the file's"
    );
}

#[tokio::test]
async fn row_28_a_416_to_a_request_without_a_range_is_the_end() {
    let lab = Lab::holding(HALF).await;
    lab.peer.always(FILE, Answer::status(416));
    let error = lab.run().await.failed();
    assert_eq!(status(&error.kind), Some(416));
    assert_eq!(lab.asked(), [None, Some(HALF), None]);
    assert_eq!(error.bytes_kept, HALF, "the part stays until there is something better");
}

#[tokio::test]
async fn row_29_a_412_starts_over() {
    drops_and_restarts(Answer::status(412), RestartReason::ValidatorChanged).await;
}

#[tokio::test]
async fn row_30_a_304_nobody_asked_for_is_tried_once_more() {
    let (_, fetched) = resumed([Answer::status(304)]).await;
    assert_eq!(fetched.retries(), 1);
    let lab = Lab::holding(HALF).await;
    lab.peer.always(FILE, Answer::status(304));
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Permanent(_)), "{error}");
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn row_31_a_203_is_taken_only_fresh_and_only_under_a_digest() {
    let lab = Lab::holding(HALF).await;
    lab.peer.always(FILE, Answer::relabel(203));
    let error = lab.run().await.failed();
    assert_eq!((status(&error.kind), error.bytes_kept), (Some(203), HALF));

    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::relabel(203));
    let done = lab.fetch(lab.request().expect_digest(Some(blake3(SEED, MIB)))).await.done();
    assert_eq!(done.verified, Verified::Digest);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_32_a_success_that_carries_no_file_is_the_end_and_its_body_is_not_kept() {
    for code in [201, 202, 204, 205, 207, 226] {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, Answer::status(code).body(if code == 204 { "" } else { "not the file" }));
        let error = lab.run().await.failed();
        assert_eq!(status(&error.kind), Some(code));
        assert_eq!(lab.asked().len(), 1, "{code} is permanent");
        assert_eq!(lab.part_len(), None, "{code}: nothing was written, and nothing is left");
    }
}

#[tokio::test]
async fn row_33_a_206_nobody_asked_for_is_tried_once_more() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::other_range(0..HALF));
    let error = lab.run().await.failed();
    assert!(is_answer(&error.kind, &AnswerError::UnaskedPartial), "{error}");
    assert_eq!(lab.asked(), [None, None]);
    lab.unpublished(SEED).await;
}

#[tokio::test]
async fn row_34_a_file_of_the_wrong_size_is_refused_before_a_byte_is_written() {
    let lab = Lab::new(file()).await;
    let error = lab.fetch(lab.request().max_size(Some(MIB - 1))).await.failed();
    assert!(is_answer(&error.kind, &AnswerError::TooLarge { size: MIB, max: MIB - 1 }), "{error}");
    let error = lab.fetch(lab.request().expect_size(Some(MIB + 1))).await.failed();
    let wrong = AnswerError::SizeMismatch { expected: MIB + 1, actual: MIB };
    assert!(is_answer(&error.kind, &wrong), "{error}");
    assert_eq!((lab.asked().len(), lab.part_len()), (2, None));
    lab.fetch(lab.request().max_size(Some(MIB)).expect_size(Some(MIB))).await.done();
}

#[tokio::test]
async fn row_34_the_limit_holds_for_the_total_of_a_part_and_for_bytes_nobody_announced() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::chunked());
    let error = lab.fetch(lab.request().max_size(Some(HALF))).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Permanent(AttemptError::Oversize { max: HALF })), "{error}");
    assert_eq!(lab.part_len(), Some(HALF), "and not a byte more reached the disk");
    lab.peer.always(FILE, Answer::honest());
    let error = lab.fetch(lab.request().max_size(Some(HALF))).await.failed();
    assert!(is_answer(&error.kind, &AnswerError::TooLarge { size: MIB, max: HALF }), "{error}");
}

#[tokio::test]
async fn row_34_a_limit_lowered_below_a_recorded_total_needs_no_request() {
    let lab = Lab::holding(HALF).await;
    let error = lab.fetch(lab.request().max_size(Some(MIB - 1))).await.failed();
    assert!(is_answer(&error.kind, &AnswerError::TooLarge { size: MIB, max: MIB - 1 }), "{error}");
    assert_eq!(lab.asked().len(), 1);
}

#[tokio::test]
async fn row_35_a_chunked_body_is_whole_only_after_its_last_chunk() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(HALF))]);
    let fetched = lab.run().await;
    assert_eq!(lab.asked(), [None, Some(HALF)]);
    assert_eq!(fetched.retries(), 1);
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::chunked()]);
    lab.run().await.done();
    assert_eq!(lab.asked(), [None]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_36_a_body_that_ends_with_the_connection_needs_somebody_who_knows_where() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::without_length());
    let error = lab.run().await.failed();
    assert!(is_answer(&error.kind, &AnswerError::LengthUnknown), "{error}");

    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::without_length().and(Answer::truncate_at(HALF))]);
    lab.fetch(lab.request().expect_size(Some(MIB))).await.done();
    assert_eq!(lab.asked(), [None, Some(HALF)], "a cut is noticed");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::without_length());
    lab.fetch(lab.request().expect_digest(Some(blake3(SEED, MIB)))).await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_36_a_200_of_unknown_length_never_replaces_what_is_held() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    lab.peer.always(FILE, Answer::without_length());
    let error = lab.run().await.failed();
    assert!(is_answer(&error.kind, &AnswerError::LengthUnknown), "{error}");
    assert_eq!(error.bytes_kept, HALF);
    lab.unpublished(SEED).await;
}

#[tokio::test]
async fn row_37_two_framings_on_one_message_are_tried_again_and_then_given_up() {
    for start in [0, HALF] {
        let lab = Lab::new(file()).await;
        if start > 0 {
            lab.cut_short(start).await;
        }
        let before = lab.asked().len();
        lab.peer.always(FILE, Answer::both_length_and_chunked());
        let error = lab.run().await.failed();
        assert!(is_answer(&error.kind, &AnswerError::Framing), "{error}");
        assert_eq!(lab.asked().len() - before, 3);
        lab.unpublished(SEED).await;
    }
}

#[tokio::test]
async fn row_38_lengths_that_contradict_each_other_are_a_fault_of_the_protocol() {
    for length in ["5, 6", "1e6", "-1"] {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, Answer::honest().header("Content-Length", length));
        let error = lab.run().await.failed();
        let FetchErrorKind::Permanent(last) = &error.kind else { panic!("{error}") };
        assert!(last.is_protocol_fault(), "{length}: {last}");
        assert_eq!(lab.asked().len(), 3, "{length}");
    }
}

#[tokio::test]
async fn row_39_a_redirect_is_followed_anew_by_every_attempt_with_range_and_guard() {
    let lab = Lab::new(file()).await;
    lab.peer.serve("/elsewhere", file());
    lab.peer.always(FILE, Answer::redirect("/elsewhere"));
    lab.peer.script("/elsewhere", [Answer::truncate_at(HALF)]);
    lab.run().await.done();
    lab.published(SEED, MIB);
    assert_eq!(lab.peer.requests(FILE).len(), 2);
    let last = &lab.peer.requests("/elsewhere")[1];
    assert_eq!((last.asked(), last.header("if-range")), (Some((HALF, None)), Some("\"a\"")));
}

#[tokio::test]
async fn row_40_a_redirect_that_leads_nowhere_is_the_end() {
    for (answer, expected) in [
        (Answer::status(302), RedirectError::BadLocation),
        (Answer::redirect("http://[nonsense"), RedirectError::BadLocation),
        (Answer::redirect("file:///etc/passwd"), RedirectError::Scheme("file".into())),
        (Answer::redirect("http://me:pw@localhost/"), RedirectError::Credentials),
        (Answer::redirect(FILE), RedirectError::TooMany),
    ] {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, answer);
        let error = lab.run().await.failed();
        let FetchErrorKind::Permanent(AttemptError::Redirect(redirect)) = &error.kind else {
            panic!("{error}")
        };
        assert_eq!(*redirect, expected);
    }
}

#[tokio::test]
async fn row_41_a_refusal_is_the_end_and_the_part_stays() {
    for code in [400, 401, 402, 403, 404, 405, 406, 407, 409, 410, 414, 418, 451] {
        let lab = Lab::holding(HALF).await;
        lab.peer.always(FILE, Answer::status(code));
        let error = lab.run().await.failed();
        assert_eq!((status(&error.kind), error.bytes_kept), (Some(code), HALF));
        assert!(!error.kind.is_retryable(), "{code}");
        assert_eq!(lab.asked().len(), 2, "{code}");
        assert_eq!(lab.part_len(), Some(HALF), "{code}");
    }
}

#[tokio::test]
async fn row_41_a_refusal_at_the_end_of_a_redirect_gets_one_more_try_from_the_beginning() {
    let lab = Lab::new(file()).await;
    lab.peer.serve("/signed", file());
    lab.peer.script("/signed", [Answer::status(403)]);
    lab.peer.always(FILE, Answer::redirect("/signed"));
    let fetched = lab.run().await;
    assert_eq!(fetched.retries(), 0, "not a failed attempt");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::redirect("/gone"));
    let error = lab.run().await.failed();
    assert_eq!(status(&error.kind), Some(404));
    assert_eq!(lab.peer.requests("/gone").len(), 2);
}

#[tokio::test]
async fn row_42_a_passing_failure_is_tried_again_and_the_part_stays() {
    for code in [408, 421, 425, 429, 500, 502, 503, 504, 507, 520, 599] {
        let (lab, fetched) = resumed([Answer::status(code)]).await;
        assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF)], "{code}");
        assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 0), "{code}");
    }
    for code in [501, 505, 506, 508, 510, 511] {
        let lab = Lab::holding(HALF).await;
        lab.peer.always(FILE, Answer::status(code));
        let error = lab.run().await.failed();
        assert_eq!((status(&error.kind), lab.asked().len()), (Some(code), 2), "a lasting inability");
    }
}

#[tokio::test]
async fn row_43_a_part_that_is_not_an_ordinary_file_of_ours_is_not_touched_and_nothing_is_asked() {
    let make: [fn(&Lab); 4] = [
        |lab| std::os::unix::fs::symlink(lab.path("victim"), lab.part()).unwrap(),
        |lab| std::fs::hard_link(lab.path("victim"), lab.part()).unwrap(),
        |lab| std::fs::create_dir(lab.part()).unwrap(),
        |lab| std::os::unix::fs::symlink(lab.path("nowhere"), lab.part()).unwrap(),
    ];
    for make in make {
        let lab = Lab::new(file()).await;
        std::fs::write(lab.path("victim"), b"precious").unwrap();
        make(&lab);
        let error = lab.run().await.failed();
        let local = matches!(error.kind, FetchErrorKind::Local(LocalError::UnsafePart { .. }));
        assert!(local, "{error}");
        assert!(lab.asked().is_empty());
        assert_eq!(std::fs::read(lab.path("victim")).unwrap(), b"precious");
        assert!(!lab.path("nowhere").exists());
    }
}

#[tokio::test]
async fn row_44_a_part_without_a_record_is_given_up_when_a_body_is_there_and_not_before() {
    let lab = Lab::holding(HALF).await;
    std::fs::remove_file(lab.ledger_path()).unwrap();
    lab.peer.script(FILE, [Answer::status(404)]);
    lab.run().await.failed();
    assert_eq!(lab.part_len(), Some(HALF), "a wrong address does not cost the bytes");
    let fetched = lab.run().await;
    assert_eq!(fetched.restarts(), [(RestartReason::Orphan, HALF)]);
    assert_eq!(lab.asked(), [None, None, None]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_44_a_damaged_record_is_no_record() {
    for damage in [&b""[..], &[0; 300_000], b"peerd-ledger 1\n"] {
        let lab = Lab::holding(HALF).await;
        std::fs::write(lab.ledger_path(), damage).unwrap();
        let fetched = lab.run().await;
        assert_eq!(fetched.restarts(), [(RestartReason::Orphan, HALF)]);
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn row_44_a_digest_or_tag_and_size_adopt_a_part_without_a_record() {
    let digest = Some(blake3(SEED, MIB));
    let tag = "\"a\"".parse().ok();
    let half = seeded_bytes(SEED, 0..HALF);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), &half).unwrap();
    let fetched = lab.fetch(lab.request().expect_digest(digest)).await;
    assert_eq!(fetched.restarts(), []);
    assert_eq!(lab.asked(), [Some(HALF - 64 * KIB)], "no tag is known: the end is compared");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..MIB)).unwrap();
    lab.fetch(lab.request().expect_digest(digest).expect_size(Some(MIB))).await.done();
    assert!(lab.asked().is_empty(), "a whole part of the size asked for is verified without a request");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..MIB)).unwrap();
    lab.fetch(lab.request().expect_digest(digest)).await.done();
    assert_eq!(lab.asked(), [Some(MIB - 64 * KIB)], "else only its end is asked for");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), &half).unwrap();
    let fetched = lab.fetch(lab.request().known_tag(tag.clone()).expect_size(Some(MIB))).await;
    assert_eq!(fetched.restarts(), []);
    let asked = lab.peer.requests(FILE);
    assert_eq!(asked[0].header("if-range"), Some("\"a\""));
    assert!(asked[0].asked().is_some_and(|(from, _)| (HALF / 2..HALF).contains(&from)), "{asked:?}");
    assert_eq!(fetched.done().verified, Verified::Overlap);
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), vec![0; MIB as usize]).unwrap();
    let fetched = lab.fetch(lab.request().known_tag(tag).expect_size(Some(MIB))).await;
    assert_eq!(fetched.restarts()[0].0, RestartReason::OverlapMismatch, "the right length proves nothing");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), vec![0; 2 * MIB as usize]).unwrap();
    let fetched = lab.fetch(lab.request().expect_digest(digest).expect_size(Some(MIB))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::PartOversize, 2 * MIB)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_45_a_record_of_another_url_lends_it_no_bytes() {
    let lab = Lab::holding(HALF).await;
    lab.peer.serve("/other", other_file());
    let url = lab.peer.url("/other");
    let request = common::request(&url, &lab.target());
    let ledger = SidecarLedger::new(lab.ledger_path(), &url);
    let fetched = common::drive(lab.fetcher().start(request, ledger)).await;
    assert_eq!(fetched.restarts(), [(RestartReason::Orphan, HALF)]);
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_45_a_record_of_another_size_or_tag_than_the_caller_wants_now_is_not_continued() {
    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, Representation::seeded(OTHER, 2 * MIB).etag("\"b\""));
    let fetched = lab.fetch(lab.request().expect_size(Some(2 * MIB))).await;
    assert_eq!(fetched.restarts(), [(RestartReason::ContentRangeMismatch, HALF)]);
    assert_eq!(lab.asked(), [None, None]);
    lab.published(OTHER, 2 * MIB);

    let lab = Lab::holding(HALF).await;
    lab.peer.replace(FILE, other_file());
    let fetched = lab.fetch(lab.request().known_tag("\"b\"".parse().ok())).await;
    assert_eq!(fetched.restarts(), [(RestartReason::ValidatorChanged, HALF)]);
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn row_46_a_whole_recorded_part_is_published_without_a_request() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..MIB)).unwrap();
    let ledger = lab.ledger();
    let identity = Identity { total: Some(MIB), ..Identity::default() };
    ledger.begin(1, &identity, None).await.unwrap();
    ledger.record(1, &[0..MIB]).await.unwrap();
    drop(ledger);
    let done = lab.run().await.done();
    assert_eq!((done.received, done.resumed_from), (0, MIB));
    assert!(lab.asked().is_empty());
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn row_47_an_existing_target_is_not_touched_and_nothing_is_asked() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.target(), b"precious").unwrap();
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::AlreadyExists(_)), "{error}");
    assert_eq!(std::fs::read(lab.target()).unwrap(), b"precious");
    assert!(lab.asked().is_empty());
    assert_eq!(lab.part_len(), None, "and nothing is left beside it");
    lab.fetch(lab.request().replace(true)).await.done();
    lab.published(SEED, MIB);
}

fn blake3(seed: u64, length: u64) -> Digest {
    Digest::Blake3(*blake3::hash(&seeded_bytes(seed, 0..length)).as_bytes())
}

fn status(kind: &FetchErrorKind) -> Option<u16> {
    match kind {
        FetchErrorKind::Permanent(last) | FetchErrorKind::Exhausted { last, .. } => {
            last.status().map(|status| status.as_u16())
        }
        _ => None,
    }
}

fn is_answer(kind: &FetchErrorKind, expected: &AnswerError) -> bool {
    matches!(kind, FetchErrorKind::Permanent(AttemptError::Answer(error)) if error == expected)
}
