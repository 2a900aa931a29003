//! When it is tried again, how often, and who waits.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{FILE, KIB, Lab, MIB, SEED, drive, file, once, policy};
use resume_fetch::{
    AttemptError, BodyStream, BoxFuture, Event, FetchErrorKind, FetchRequest, Fetcher, MemoryLedger,
    NetworkFailure, Phase, Transport, TransportError,
};
use retry_kit::{Clock, DelaySource, ManualClock, RetryPolicy};
use scripted_peer::{Answer, Representation};

#[tokio::test]
async fn attempts_are_counted_exactly() {
    for attempts in 1..=4 {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, Answer::status(503));
        let fetched = lab.fetch(lab.request().retry(policy(attempts))).await;
        assert_eq!(lab.asked().len(), attempts as usize);
        let announced: Vec<_> = fetched
            .events
            .iter()
            .map(|event| match event {
                Event::Retrying { attempt, max, .. } => (*attempt, *max),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(announced, (1..attempts).map(|n| (n, attempts)).collect::<Vec<_>>());
        let error = fetched.failed();
        let FetchErrorKind::Exhausted { attempts: counted, last } = &error.kind else { panic!("{error}") };
        assert_eq!((*counted, last.status().map(|status| status.as_u16())), (attempts, Some(503)));
        assert!(error.kind.is_retryable());
        assert_eq!((error.attempts, error.history.len()), (attempts, attempts as usize));
        assert!(error.history.iter().all(|failed| failed.reason.contains("503") && failed.held == 0));
    }
}

#[tokio::test]
async fn enough_durable_progress_makes_the_count_start_over() {
    let cut_every = |bytes: u64| Answer::truncate_at(bytes);
    let policy = || {
        RetryPolicy::builder()
            .max_attempts(2)
            .base(Duration::from_millis(1))
            .cap(Duration::from_millis(1))
            .attempts_reset_bytes(100 * KIB)
            .build()
            .unwrap()
    };
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, (0..10).map(|_| cut_every(100 * KIB)));
    let fetched = lab.fetch(lab.request().retry(policy())).await;
    assert_eq!(fetched.retries(), 10, "each of them the first in a row");
    lab.published(SEED, MIB);

    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, cut_every(100 * KIB - 1));
    let error = lab.fetch(lab.request().retry(policy())).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Exhausted { attempts: 2, .. }), "{error}");
    assert_eq!(error.bytes_kept, 2 * (100 * KIB - 1));
}

#[tokio::test]
async fn a_body_that_broke_after_progress_is_taken_up_after_the_first_wait_again() {
    let backoff = RetryPolicy::builder()
        .base(Duration::from_millis(1))
        .cap(Duration::from_millis(64))
        .jitter(retry_kit::Jitter::None)
        .attempts_reset_bytes(100 * KIB)
        .build()
        .unwrap();
    let lab = Lab::new(file()).await;
    let (broken, crumb) = (Answer::reset_at(100 * KIB), Answer::reset_at(1));
    let refused = || Answer::status(503);
    lab.peer.script(FILE, [refused(), refused(), refused(), broken.clone(), crumb, broken]);
    let fetched = lab.fetch(lab.request().retry(backoff)).await;
    let delays = fetched.events.iter().filter_map(|event| match event {
        Event::Retrying { delay, .. } => Some(delay.as_millis()),
        _ => None,
    });
    assert_eq!(delays.collect::<Vec<_>>(), [1, 2, 4, 1, 2, 1], "progress makes it short, a crumb does not");
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_count_from_an_earlier_call_goes_on() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::status(500));
    let error = lab.fetch(lab.request().failures_so_far(3)).await.failed();
    assert_eq!((lab.asked().len(), error.attempts), (2, 5));
}

#[tokio::test]
async fn progress_of_an_earlier_call_and_of_this_one_together_make_the_count_start_over() {
    let policy = || {
        RetryPolicy::builder().base(Duration::from_millis(1)).attempts_reset_bytes(600 * KIB).build().unwrap()
    };
    for (earlier, requests, because) in [
        (400 * KIB, 5, "200 KiB more, and four failures are forgotten"),
        (399 * KIB, 1, "one KiB too few: the next failure is the fifth"),
        (600 * KIB, 5, "what came before is enough by itself"),
    ] {
        let lab = Lab::new(file()).await;
        lab.peer.script(FILE, [Answer::truncate_at(200 * KIB)]);
        lab.peer.always(FILE, Answer::status(503));
        let request = lab.request().retry(policy()).failures_so_far(4).progress_so_far(earlier);
        let error = lab.fetch(request).await.failed();
        assert_eq!((lab.asked().len(), error.attempts), (requests, 5), "{because}: {error}");
    }
}

#[tokio::test]
async fn the_failure_that_uses_up_the_attempts_still_tells_when_the_peer_wants_to_be_asked_again() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::status(503).header("Retry-After", "7200"));
    let error = lab.fetch(lab.request().failures_so_far(4)).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Exhausted { .. }), "{error}");
    assert_eq!(error.retry_after, Some(Duration::from_secs(7200)));
}

#[tokio::test]
async fn an_attempt_that_reached_nobody_is_told_as_such() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::status(503), Answer::close_before_head()]);
    let fetched = lab.run().await;
    let reached_nobody = |event: &&Event| matches!(event, Event::Unreachable { .. });
    assert_eq!(
        fetched.events.iter().filter(reached_nobody).count(),
        0,
        "somebody was there: {:?}",
        fetched.events
    );
    let lab = Lab::new(file()).await;
    lab.peer.go_away().await;
    let fetched = lab.run().await;
    assert_eq!(fetched.events.iter().filter(reached_nobody).count(), 5);
    fetched.failed();
}

/// A peer whose first answer is `answer`; time stands still.
async fn frozen(answer: Answer) -> (Lab, ManualClock) {
    let clock = ManualClock::new();
    let mut lab = Lab::new(file()).await;
    lab.clock = Arc::new(clock.clone());
    lab.peer.script(FILE, [answer]);
    (lab, clock)
}

#[tokio::test]
async fn the_peers_retry_after_is_waited_for_in_full() {
    let tomorrow = "Fri, 02 Jan 2026 00:00:00 GMT";
    for (answer, hint, because) in [
        (Answer::status(503).header("Retry-After", "120"), 120, "in seconds"),
        (Answer::status(429).header("Retry-After", "120"), 120, "also for too many requests"),
        (
            Answer::status(503)
                .header("Retry-After", "Sun, 01 Mar 2026 12:02:00 GMT")
                .header("Date", "Sun, 01 Mar 2026 12:00:00 GMT"),
            120,
            "as a date, by the peer's own clock however wrong it is",
        ),
        (
            Answer::status(503).header("Retry-After", "Thu, 01 Jan 2026 00:02:00 GMT").without_header("Date"),
            120,
            "as a date, by ours where the peer tells none",
        ),
        (
            Answer::status(503)
                .header("Retry-After", tomorrow)
                .header("Date", "Thu, 01 Jan 2026 23:59:00 GMT"),
            60,
            "a date across midnight",
        ),
    ] {
        let (lab, clock) = frozen(answer).await;
        let mut download = lab.start(lab.request());
        let mut events = download.take_events();
        let Some(Event::Retrying { delay, source, .. }) = events.next().await else { panic!("{because}") };
        let hint = Duration::from_secs(hint);
        assert!(delay >= hint && delay <= hint + hint / 10, "{because}: {delay:?}");
        assert_eq!(source, DelaySource::RetryAfter, "{because}");
        // The wait is the last thing it does, so once somebody sleeps until then, that is it.
        let start = clock.now();
        while clock.next_deadline().is_none_or(|deadline| deadline < start + hint) {
            tokio::task::yield_now().await;
        }
        clock.advance(hint - Duration::from_millis(1));
        tokio::task::yield_now().await;
        assert_eq!(lab.asked().len(), 1, "{because}: not a moment earlier");
        assert_eq!(download.progress().borrow().phase, Phase::Waiting);
        clock.advance(delay);
        download.await.unwrap_or_else(|error| panic!("{because}: {error}"));
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn a_retry_after_that_means_nothing_is_none() {
    for nonsense in ["-5", "1.5", "soon", "", "Thu, 01 Jan 1970 00:00:00 GMT", "0"] {
        let lab = Lab::new(file()).await;
        lab.peer.script(FILE, [Answer::status(503).header("Retry-After", nonsense)]);
        let fetched = lab.run().await;
        let Event::Retrying { source, .. } = &fetched.events[0] else { panic!("{:?}", fetched.events) };
        assert_eq!(*source, DelaySource::Backoff, "{nonsense:?}");
        fetched.done();
    }
}

#[tokio::test]
async fn a_longer_retry_after_than_we_wait_for_ends_the_call_with_the_time() {
    for (value, at_least) in
        [("301", 301), ("9999999999", 9_999_999_999), ("99999999999999999999999", u64::MAX / 2)]
    {
        let lab = Lab::holding(MIB / 2).await;
        lab.peer.script(FILE, [Answer::status(429).header("Retry-After", value)]);
        let error = lab.run().await.failed();
        let FetchErrorKind::Deferred { delay, source_of_delay, .. } = &error.kind else { panic!("{error}") };
        assert!(delay.as_secs() >= at_least, "{value}: {delay:?}");
        assert_eq!(*source_of_delay, DelaySource::RetryAfter);
        assert_eq!((lab.asked().len(), error.attempts, error.bytes_kept), (2, 1, MIB / 2));
        assert!(error.kind.is_retryable());
        lab.run().await.done();
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn a_wait_longer_than_the_caller_holds_on_for_is_the_callers() {
    let backoff = RetryPolicy::builder()
        .base(Duration::from_secs(60))
        .cap(Duration::from_secs(60))
        .jitter(retry_kit::Jitter::None)
        .build()
        .unwrap();
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::truncate_at(MIB / 2)]);
    let request = || lab.request().retry(backoff.clone()).hold_at_most(Duration::from_secs(1));
    let error = lab.fetch(request()).await.failed();
    let FetchErrorKind::Deferred { delay, source_of_delay, last } = &error.kind else { panic!("{error}") };
    assert_eq!((delay.as_secs(), *source_of_delay), (60, DelaySource::Backoff));
    assert!(matches!(last, AttemptError::Transport(_) | AttemptError::Truncated { .. }), "{last}");
    assert_eq!(error.bytes_kept, MIB / 2, "everything received is on record before the caller waits");
    lab.fetch(request().failures_so_far(error.attempts)).await.done();
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_permanent_failure_is_not_made_transient_by_a_retry_after() {
    let lab = Lab::new(file()).await;
    lab.peer.always(FILE, Answer::status(404).header("Retry-After", "1"));
    let error = lab.run().await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Permanent(_)), "{error}");
    assert_eq!(lab.asked().len(), 1);
}

#[tokio::test]
async fn stopping_does_not_wait_for_the_wait() {
    let (lab, _clock) = frozen(Answer::truncate_at(1000)).await;
    let mut download = lab.start(lab.request());
    let stop = download.stopper();
    let mut events = download.take_events();
    while !matches!(events.next().await, Some(Event::Retrying { .. })) {}
    stop.cancel();
    let error = download.await.unwrap_err();
    assert!(matches!(error.kind, FetchErrorKind::Stopped), "{error}");
    assert_eq!(error.bytes_kept, 1000);
}

#[tokio::test]
async fn the_same_seed_waits_the_same_times() {
    let delays = || async {
        let lab = Lab::new(file()).await;
        lab.peer.always(FILE, Answer::status(500));
        let fetched = lab.run().await;
        let delays = fetched.events.iter().filter_map(|event| match event {
            Event::Retrying { delay, .. } => Some(*delay),
            _ => None,
        });
        delays.collect::<Vec<_>>()
    };
    assert_eq!(delays().await, delays().await);
}

#[tokio::test]
async fn a_restart_costs_no_attempt() {
    let lab = Lab::holding(MIB / 2).await;
    lab.peer.replace(FILE, Representation::seeded(SEED, MIB).etag("\"b\""));
    let fetched = lab.fetch(once(lab.request())).await;
    assert_eq!(fetched.restarts().len(), 1);
    fetched.done();
}

/// Fails in one way, and counts how often.
struct Failing {
    failure: NetworkFailure,
    asked: Arc<AtomicUsize>,
}

impl Transport for Failing {
    fn get(
        &self,
        _request: http::Request<()>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Err(TransportError::new(self.failure))))
    }
}

#[tokio::test]
async fn every_failure_of_the_network_is_tried_as_often_as_it_deserves() {
    let timeout = NetworkFailure::ConnectTimeout(Duration::from_secs(10));
    for (failure, requests, unreachable, because) in [
        (NetworkFailure::Dns, 5, true, "a resolver recovers"),
        (NetworkFailure::UnknownHost, 3, true, "a name can be new, but not for long"),
        (NetworkFailure::Connect, 5, true, "a peer comes back"),
        (timeout, 5, true, "a route comes back"),
        (NetworkFailure::Broken, 5, false, "the next connection may hold"),
        (NetworkFailure::Protocol, 3, false, "a second look, not a second day"),
        (NetworkFailure::Tls, 1, false, "a certificate does not mend itself"),
        (NetworkFailure::CertificateDates, 1, true, "dates do not change within a call, but from day to day"),
        (NetworkFailure::Request, 1, false, "what cannot be sent cannot be sent again"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let transport = Failing { failure, asked: Arc::clone(&asked) };
        let fetcher = Fetcher::new(transport, Arc::new(retry_kit::TokioClock), fastrand::Rng::with_seed(1));
        let request = FetchRequest::new("http://peer/x", dir.path().join("x")).unwrap().retry(policy(5));
        let error = drive(fetcher.start(request, MemoryLedger::new())).await.failed();
        assert_eq!(asked.load(Ordering::Relaxed), requests, "{failure}: {because}");
        let (FetchErrorKind::Permanent(last) | FetchErrorKind::Exhausted { last, .. }) = &error.kind else {
            panic!("{error}")
        };
        let AttemptError::Transport(last) = last else { panic!("{last}") };
        assert_eq!(last.is_unreachable(), unreachable, "{failure}");
    }
}
