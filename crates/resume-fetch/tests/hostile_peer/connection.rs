//! Connections that break, and messages that are none.

use resume_fetch::{AttemptError, Event, FetchErrorKind};
use scripted_peer::{Answer, Gate};

use crate::HALF;
use crate::common::{FILE, KIB, Lab, MIB, SEED, file, once, policy};

#[tokio::test]
async fn a_body_cut_anywhere_in_any_way_is_continued_at_the_byte_where_it_was_cut() {
    let cuts: [fn(u64) -> Answer; 3] =
        [Answer::truncate_at, Answer::reset_at, |at| Answer::chunked().and(Answer::truncate_at(at))];
    for cut in cuts {
        for at in [0, 1, 4095, HALF, MIB - 1] {
            let lab = Lab::new(file()).await;
            lab.peer.script(FILE, [cut(at)]);
            let fetched = lab.run().await;
            assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 0), "cut at {at}");
            assert_eq!(lab.asked()[1], Some(at).filter(|at| *at > 0), "cut at {at}");
            lab.published(SEED, MIB);
        }
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_head_is_a_failed_attempt_and_nothing_more() {
    for answer in [Answer::close_before_head(), Answer::reset_before_head()] {
        let lab = Lab::holding(HALF).await;
        lab.peer.script(FILE, [answer]);
        let fetched = lab.run().await;
        assert_eq!((fetched.retries(), fetched.restarts().len()), (1, 0));
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn a_peer_that_goes_away_and_comes_back_is_waited_for() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.script(FILE, [Answer::hold_at(HALF, &gate)]);
    let mut download = lab.start(lab.request().retry(policy(1000)));
    let mut events = download.take_events();
    gate.parked(1).await;
    lab.peer.go_away().await;
    while !matches!(events.next().await, Some(Event::Retrying { attempt: 2.., .. })) {}
    lab.peer.come_back().await;
    download.await.unwrap();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn nobody_there_is_said_as_such() {
    let lab = Lab::new(file()).await;
    lab.peer.go_away().await;
    let error = lab.fetch(once(lab.request())).await.failed();
    let FetchErrorKind::Exhausted { last: AttemptError::Transport(last), .. } = &error.kind else {
        panic!("{error}")
    };
    assert!(last.is_unreachable(), "{last}");
    assert!(error.kind.is_retryable());
    assert_eq!(lab.part_len(), None, "an empty part is not left lying about");
}

#[tokio::test]
async fn bytes_after_the_end_of_a_message_belong_to_nothing() {
    let lab = Lab::new(file()).await;
    let forged = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    lab.peer.script(FILE, [Answer::garbage_after(forged).and(Answer::at_most(HALF)), Answer::honest()]);
    lab.run().await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_a_fault_of_the_protocol() {
    let lab = Lab::new(file()).await;
    let huge =
        (0..2000).fold(Answer::honest(), |answer, n| answer.add_header(format!("X-{n}"), "x".repeat(500)));
    lab.peer.always(FILE, huge);
    let error = lab.run().await.failed();
    let FetchErrorKind::Permanent(last) = &error.kind else { panic!("{error}") };
    assert!(last.is_protocol_fault(), "{last}");
    assert_eq!(lab.asked().len(), 3);
}

#[tokio::test]
async fn an_error_body_is_not_read() {
    let lab = Lab::new(file()).await;
    let gate = Gate::closed();
    lab.peer.always(FILE, Answer::relabel(404).and(Answer::hold_at(64 * KIB, &gate)));
    lab.run().await.failed();
    let request = &lab.peer.wait_until(FILE, "the client leaves", |all| all[0].hung_up).await[0];
    assert!(request.body_bytes <= 64 * KIB);
}
