//! Rows 31 to 33 and 39 to 42: answers of another kind.

use resume_fetch::{AnswerError, AttemptError, FetchErrorKind, RedirectError, Verified};
use scripted_peer::Answer;

use crate::common::{FILE, Lab, MIB, SEED, file};
use crate::{HALF, blake3, is_answer, resumed, status};

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
    for code in [408, 425, 429, 500, 502, 503, 504, 507, 520, 599] {
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
async fn row_42_a_request_at_the_wrong_server_is_sent_once_more_over_another_connection() {
    let (lab, fetched) = resumed([Answer::status(421)]).await;
    assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF)]);
    assert_eq!(fetched.retries(), 0, "at once, and not a failed attempt");
    let requests = lab.peer.requests(FILE);
    assert_ne!(requests[1].connection, requests[2].connection);

    let lab = Lab::holding(HALF).await;
    lab.peer.always(FILE, Answer::status(421));
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Permanent(_)), "{error}");
    assert_eq!((status(&error.kind), error.bytes_kept), (Some(421), HALF));
    assert_eq!(lab.asked(), [None, Some(HALF), Some(HALF)]);
}

#[tokio::test]
async fn row_42_after_a_failure_the_next_request_goes_over_a_connection_of_its_own() {
    let (lab, _) = resumed([Answer::status(408)]).await;
    let requests = lab.peer.requests(FILE);
    assert_ne!(requests[1].connection, requests[2].connection);
    assert_eq!((requests[1].header("connection"), requests[2].header("connection")), (None, Some("close")));
}
