//! How long somebody waits, on a clock that moves only when told to.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use range_http::Source as _;
use retry_kit::{Clock, TokioClock};
use scripted_peer::{Answer, Gate};

use super::super::tests::Service;
use super::patience::written;
use super::*;

#[test]
fn only_what_a_browser_plays_or_draws_is_shown_by_it() {
    for (kind, expected) in [
        ("video/webm", OpenedAs::Media),
        ("audio/flac", OpenedAs::Media),
        ("image/svg+xml", OpenedAs::Image),
        ("text/html", OpenedAs::Nothing),
        ("application/pdf", OpenedAs::Nothing),
        ("application/octet-stream", OpenedAs::Nothing),
        ("", OpenedAs::Nothing),
    ] {
        assert_eq!(opened_as(kind), expected, "{kind}");
    }
}

/// Waits for `future` as long as its limits let it; the time of the service goes by as fast as ours meanwhile.
async fn soon<T>(service: &Service, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        let (before, step) = (TokioClock.now(), Duration::from_millis(2));
        tokio::select! {
            biased;
            outcome = &mut future => return outcome,
            () = TokioClock.sleep(step) => {}
        }
        // Not by more than a step, however late we are: nobody else has had that time either.
        service.clock.advance((TokioClock.now() - before).min(step));
    }
}

/// Waits for `future`, which nothing but time can end; that goes by in steps of 50 ms. Returns how much of it did.
async fn passing<T>(service: &Service, future: impl Future<Output = T>) -> (T, Duration) {
    let (begin, mut future) = (service.clock.now(), pin!(future));
    loop {
        if let Some(outcome) = future.as_mut().now_or_never() {
            return (outcome, service.clock.now() - begin);
        }
        service.clock.advance(Duration::from_millis(50));
        TokioClock.sleep(Duration::from_micros(300)).await;
    }
}

fn about(limit: Duration, took: Duration) -> bool {
    (limit..limit + Duration::from_secs(1)).contains(&took)
}

/// C20, C49
#[tokio::test]
async fn an_answer_waits_ten_seconds_for_its_first_byte_and_a_body_a_minute_for_the_next() {
    let service = Service::start().await;
    service.bob.always("/m", Answer::stall_before_head());
    let (id, _gate) = service.running().await;
    let content = soon(&service, service.downloads.content(id)).await.unwrap();
    assert_eq!(content.representation().len(), 5000);
    let source = content.into_source(5000);
    soon(&service, source.begin(0)).await.unwrap();
    let first = soon(&service, source.read_at(0, 5000)).await.unwrap();
    assert_eq!(first.len(), 100);
    // What came a moment ago is news to nobody who begins to wait now.
    let seen = async {
        while written(&service.downloads.shared, id) < 100 {
            tokio::task::yield_now().await;
        }
    };
    soon(&service, seen).await;
    let (missing, took) = passing(&service, source.begin(4000)).await;
    assert!(matches!(missing, Err(ContentError::NotNow { retry_after: RETRY_AFTER, .. })), "{missing:?}");
    assert!(about(HEAD_WAIT, took), "{took:?}");
    let (missing, took) = passing(&service, source.read_at(4000, 1000)).await;
    assert!(matches!(missing, Err(ContentError::Stalled(BODY_WAIT))), "{missing:?}");
    assert!(about(BODY_WAIT, took), "{took:?}");
}

/// Bytes that were on record before a worker began are nothing it has brought.
#[tokio::test]
async fn a_worker_that_comes_or_goes_is_no_news_and_a_byte_is() {
    let service = Service::start().await;
    let downloads = &service.downloads;
    let id = service.enqueue().await;
    let patience = || Patience::new(&downloads.shared, id, HEAD_WAIT);
    let holds = async |bytes| {
        while written(&downloads.shared, id) != bytes {
            TokioClock.sleep(Duration::from_millis(1)).await;
        }
    };
    let before = patience();
    let gate = Gate::closed();
    service.bob.script("/m", [Answer::hold_at(100, &gate)]);
    service.bob.always("/m", Answer::stall_before_head());
    downloads.shared.wake.notify_one();
    soon(&service, holds(100)).await;
    assert!(before.renewed() && !before.renewed(), "a hundred bytes, once");
    let during = patience();
    soon(&service, downloads.pause(id)).await.unwrap();
    soon(&service, holds(0)).await;
    assert!(!during.renewed(), "it has gone");
    let between = patience();
    soon(&service, downloads.resume(id)).await.unwrap();
    soon(&service, holds(100)).await;
    assert!(![before, during, between].iter().any(Patience::renewed), "another has come");
}

/// C49
#[tokio::test]
async fn ten_seconds_are_what_the_first_answer_of_the_peer_may_take() {
    let service = Service::start().await;
    let gate = Gate::closed();
    service.bob.script("/m", [Answer::hold_head(&gate)]);
    let id = service.enqueue().await;
    let (unknown, took) = passing(&service, service.downloads.content(id)).await;
    assert!(matches!(unknown, Err(ContentError::NotNow { retry_after: RETRY_AFTER, .. })));
    assert!(about(HEAD_WAIT, took), "{took:?}");
    gate.parked(1).await;
    gate.release();
    let known = soon(&service, service.downloads.content(id)).await.unwrap();
    assert_eq!(known.representation().len(), 5000);
}
