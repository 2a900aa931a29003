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

/// Waits for `future`; time goes by in steps of 50 ms meanwhile. Returns how much of it did.
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
    let (content, _) = passing(&service, service.downloads.content(id)).await;
    let content = content.unwrap();
    assert_eq!(content.representation().len(), 5000);
    let source = content.into_source(5000);
    passing(&service, source.begin(0)).await.0.unwrap();
    let (first, _) = passing(&service, source.read_at(0, 5000)).await;
    assert_eq!(first.unwrap().len(), 100);
    // What came a moment ago is news to nobody who begins to wait now.
    let seen = async {
        while written(&service.downloads.shared, id) < 100 {
            tokio::task::yield_now().await;
        }
    };
    passing(&service, seen).await;
    let (missing, took) = passing(&service, source.begin(4000)).await;
    assert!(matches!(missing, Err(ContentError::NotNow { retry_after: RETRY_AFTER, .. })), "{missing:?}");
    assert!(about(HEAD_WAIT, took), "{took:?}");
    let (missing, took) = passing(&service, source.read_at(4000, 1000)).await;
    assert!(matches!(missing, Err(ContentError::Stalled(BODY_WAIT))), "{missing:?}");
    assert!(about(BODY_WAIT, took), "{took:?}");
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
    let (known, _) = passing(&service, service.downloads.content(id)).await;
    assert_eq!(known.unwrap().representation().len(), 5000);
}
