//! The clock of the tests, tested.

use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, SystemTime};

use retry_kit::{Clock, ManualClock, SharedClock, Sleep};

const SECOND: Duration = Duration::from_secs(1);

fn is_ready(sleep: &mut Sleep) -> bool {
    sleep.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn time_stands_still_until_it_is_moved() {
    let clock = ManualClock::new();
    let (now, wall) = (clock.now(), clock.wall());
    assert_eq!((clock.now(), clock.wall()), (now, wall));
    assert_eq!(wall, SystemTime::UNIX_EPOCH + 1_767_225_600 * SECOND, "2026-01-01 00:00:00 UTC");
    clock.clone().advance(90 * SECOND);
    assert_eq!((clock.now() - now, clock.wall()), (90 * SECOND, wall + 90 * SECOND), "clones share the time");
}

#[test]
fn a_wall_clock_that_jumps_wakes_nobody() {
    let clock = ManualClock::new();
    let now = clock.now();
    let mut sleep = clock.sleep(SECOND);
    assert!(!is_ready(&mut sleep));
    clock.set_wall(SystemTime::UNIX_EPOCH);
    assert_eq!((clock.wall(), clock.now()), (SystemTime::UNIX_EPOCH, now));
    assert!(!is_ready(&mut sleep));
}

#[test]
fn a_sleep_ends_at_its_deadline_and_not_before() {
    let clock = ManualClock::new();
    let mut sleep = clock.sleep(SECOND);
    assert_eq!((clock.waiters(), clock.next_deadline()), (0, None), "not polled, not parked");
    assert!(!is_ready(&mut sleep));
    assert!(!is_ready(&mut sleep));
    assert_eq!((clock.waiters(), clock.next_deadline()), (1, Some(clock.now() + SECOND)));
    clock.advance(SECOND - Duration::from_nanos(1));
    assert!(!is_ready(&mut sleep));
    clock.advance(Duration::from_nanos(1));
    assert_eq!(clock.waiters(), 0, "due is not parked");
    assert!(is_ready(&mut sleep));
}

#[test]
fn sleeps_that_are_over_already_end_at_once() {
    let clock = ManualClock::new();
    assert!(is_ready(&mut clock.sleep(Duration::ZERO)));
    let past = clock.now();
    clock.advance(SECOND);
    assert!(is_ready(&mut clock.sleep_until(past)));
}

#[test]
fn a_sleep_longer_than_time_itself_saturates() {
    let clock = ManualClock::new();
    let mut sleep = clock.sleep(Duration::MAX);
    assert!(!is_ready(&mut sleep));
    let years = clock.next_deadline().expect("parked") - clock.now();
    assert!(years > 100 * 366 * 86_400 * SECOND);
    clock.advance(Duration::MAX);
    assert!(is_ready(&mut sleep));
    clock.advance(Duration::MAX);
}

#[test]
fn a_dropped_sleep_is_forgotten() {
    let clock = ManualClock::new();
    let mut sleep = clock.sleep(SECOND);
    assert!(!is_ready(&mut sleep));
    drop(sleep);
    assert_eq!((clock.waiters(), clock.advance_to_next()), (0, None));
}

#[test]
fn sleepers_wake_by_deadline_then_by_the_order_they_lay_down() {
    struct Bell(&'static str, Arc<Mutex<Vec<&'static str>>>);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.1.lock().expect("no panic holds it").push(self.0);
        }
    }
    let clock = ManualClock::new();
    let rung = Arc::new(Mutex::new(Vec::new()));
    let _asleep =
        [("late", 3), ("early", 1), ("as late", 3), ("middle", 2), ("never", 11)].map(|(name, seconds)| {
            let bell = Waker::from(Arc::new(Bell(name, Arc::clone(&rung))));
            let mut sleep = clock.sleep(seconds * SECOND);
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&bell)).is_pending());
            sleep
        });
    clock.advance(10 * SECOND);
    assert_eq!(*rung.lock().expect("no panic holds it"), ["early", "middle", "late", "as late"]);
    assert_eq!(clock.waiters(), 1);
}

#[test]
fn advancing_to_the_next_deadline_moves_exactly_that_far() {
    let clock = ManualClock::new();
    let mut sleeps = [5, 2, 9].map(|seconds| clock.sleep(seconds * SECOND));
    assert!(sleeps.iter_mut().all(|sleep| !is_ready(sleep)));
    let steps: Vec<Option<Duration>> = (0..4).map(|_| clock.advance_to_next()).collect();
    assert_eq!(steps, [Some(2 * SECOND), Some(3 * SECOND), Some(4 * SECOND), None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waiting_for_sleepers_sees_tasks_on_other_threads_come_to_rest() {
    let clock = ManualClock::new();
    let tasks: Vec<_> = (1..=8)
        .map(|seconds| {
            let clock = clock.clone();
            tokio::spawn(async move {
                clock.sleep(seconds * SECOND).await;
                clock.sleep(SECOND).await;
            })
        })
        .collect();
    clock.wait_for_sleepers(8).await;
    clock.advance(8 * SECOND);
    clock.wait_for_sleepers(8).await;
    clock.advance(SECOND);
    for task in tasks {
        task.await.expect("both sleeps end");
    }
    assert_eq!(clock.waiters(), 0);
}

#[test]
fn run_refuses_to_wait_for_something_else() {
    let clock = ManualClock::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| clock.run(pending::<()>())));
    assert!(outcome.is_err());
}

#[test]
fn a_shared_clock_is_a_clock() {
    let manual = ManualClock::new();
    let shared: SharedClock = Arc::new(manual.clone());
    let start = Clock::now(&shared);
    manual.run(Clock::sleep(&shared, SECOND));
    assert_eq!((Clock::now(&shared) - start, Clock::wall(&shared)), (SECOND, manual.wall()));
}
