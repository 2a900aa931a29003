//! Rows 22 to 30: the peer says that nothing is left there, or that nothing was to be sent.

use resume_fetch::{FetchErrorKind, RestartReason, Verified};
use scripted_peer::{Answer, Representation};

use crate::common::{FILE, KIB, Lab, MIB, OTHER, SEED, file};
use crate::{HALF, blake3, drops_and_restarts, holding_everything, resumed, status};

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
async fn row_22_a_416_at_the_very_end_leaves_the_word_to_a_digest() {
    let digest = |seed| Some(blake3(seed, MIB));
    let lab = holding_everything(file()).await;
    lab.peer.script(FILE, [Answer::honest().without_header("ETag")]);
    let done = lab.fetch(lab.request().expect_digest(digest(SEED))).await.done();
    assert_eq!((lab.asked(), done.verified), (vec![None, Some(MIB)], Verified::Digest));
    lab.published(SEED, MIB);

    let lab = holding_everything(file()).await;
    lab.peer.script(FILE, [Answer::honest().without_header("ETag")]);
    let fetched = lab.fetch(lab.request().expect_digest(digest(OTHER))).await;
    assert_eq!(fetched.restarts()[0], (RestartReason::Corruption, MIB));
    fetched.failed();
    assert!(!lab.target().exists());
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
