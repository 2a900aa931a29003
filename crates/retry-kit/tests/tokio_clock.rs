//! The clock of a tokio runtime, on paused time.

use std::time::{Duration, SystemTime};

use retry_kit::{Clock, TokioClock};

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn sleeps_follow_the_timer_of_the_runtime() {
    let start = TokioClock.now();
    TokioClock.sleep(HOUR).await;
    assert!(TokioClock.now() - start >= HOUR);
    TokioClock.sleep_until(start).await;
    assert!(TokioClock.now() - start < 2 * HOUR, "a deadline in the past is over");
}

#[tokio::test(start_paused = true)]
async fn a_sleep_longer_than_time_itself_does_not_end() {
    let forever = TokioClock.sleep(Duration::MAX);
    tokio::time::timeout(HOUR, forever).await.expect_err("still asleep");
}

#[test]
fn a_sleep_may_be_created_outside_a_runtime() {
    let sleep = TokioClock.sleep_until(TokioClock.now());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(sleep);
    assert!(TokioClock.wall() > SystemTime::UNIX_EPOCH);
}
