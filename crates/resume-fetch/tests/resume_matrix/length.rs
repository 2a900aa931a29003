//! Rows 34 to 38: how long the file is, and how the message says so.

use resume_fetch::{AnswerError, AttemptError, FetchErrorKind};
use scripted_peer::Answer;

use crate::common::{FILE, Lab, MIB, SEED, file, other_file};
use crate::{HALF, blake3, is_answer};

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
