//! The loop: what is tried, what is waited for, and which error comes out.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::Duration;

use retry_kit::{Backoff, Clock, DelaySource, Jitter, ManualClock, Next, RetryPolicy, Verdict, retry};

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Refused(u32),
    NotFound,
    Busy { retry_after: Duration },
    Cut { kept: u64 },
}

/// Delays without chance: 1, 2, 4, 8 s.
fn policy() -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    policy.backoff = Backoff::default().jitter(Jitter::None);
    policy
}

fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed(21)
}

fn verdict(failure: &Failure) -> Verdict {
    match *failure {
        Failure::Refused(_) => Verdict::transient(),
        Failure::NotFound => Verdict::Permanent,
        Failure::Busy { retry_after } => Verdict::transient().with_hint(Some(retry_after)),
        Failure::Cut { kept } => Verdict::transient().with_progress(kept),
    }
}

/// Runs the loop over an operation that always fails alike; returns the result, the seconds at which it was tried, and
/// what the observer was told.
fn fail_with(
    policy: &RetryPolicy,
    failure: impl Fn(u32) -> Failure,
) -> (Result<(), Failure>, Vec<u64>, Vec<Next>) {
    let clock = ManualClock::new();
    let start = clock.now();
    let (tried, told) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
    let mut rng = rng();
    let run = retry(policy, |attempt| {
        tried.borrow_mut().push((clock.now() - start).as_secs());
        let failure = failure(attempt);
        async move { Err::<(), _>(failure) }
    })
    .when(verdict)
    .notify(|_, next| told.borrow_mut().push(*next))
    .run(&clock, &mut rng);
    let result = clock.run(run);
    (result, tried.into_inner(), told.into_inner())
}

#[test]
fn a_first_success_waits_for_nothing() {
    let clock = ManualClock::new();
    let start = clock.now();
    let mut rng = rng();
    let run = retry(&policy(), |attempt| async move { Ok::<_, Failure>(attempt) })
        .notify(|error, _| panic!("{error:?}"))
        .run(&clock, &mut rng);
    assert_eq!(clock.run(run), Ok(1));
    assert_eq!(clock.now(), start);
}

#[test]
fn attempts_are_counted_from_one_until_one_succeeds() {
    let clock = ManualClock::new();
    let start = clock.now();
    let mut rng = rng();
    let run = retry(&policy(), |attempt| async move {
        if attempt < 4 { Err(Failure::Refused(attempt)) } else { Ok(attempt) }
    })
    .run(&clock, &mut rng);
    assert_eq!(clock.run(run), Ok(4));
    assert_eq!(clock.now() - start, 7 * SECOND, "1 + 2 + 4");
}

#[test]
fn when_the_attempts_run_out_the_last_error_comes_back_unchanged() {
    let (result, tried, told) = fail_with(&policy(), Failure::Refused);
    assert_eq!(result, Err(Failure::Refused(5)));
    assert_eq!(tried, [0, 1, 3, 7, 15]);
    let retry =
        |attempt, seconds| Next::Retry { attempt, delay: seconds * SECOND, source: DelaySource::Backoff };
    assert_eq!(told, [retry(1, 1), retry(2, 2), retry(3, 4), retry(4, 8), Next::GiveUp { attempts: 5 }]);
}

#[test]
fn a_single_attempt_is_never_repeated() {
    let policy = RetryPolicy::builder().max_attempts(1).build().expect("sensible");
    let (result, tried, told) = fail_with(&policy, Failure::Refused);
    assert_eq!((result, tried), (Err(Failure::Refused(1)), vec![0]));
    assert_eq!(told, [Next::GiveUp { attempts: 1 }]);
}

#[test]
fn a_permanent_error_ends_at_once() {
    let (result, tried, told) = fail_with(&policy(), |attempt| match attempt {
        1 => Failure::Refused(1),
        _ => Failure::NotFound,
    });
    assert_eq!((result, tried), (Err(Failure::NotFound), vec![0, 1]));
    assert_eq!(told.last(), Some(&Next::GiveUp { attempts: 2 }));
}

#[test]
fn a_bool_says_transient_or_not() {
    let clock = ManualClock::new();
    let tried = Cell::new(0);
    let mut rng = rng();
    let run = retry(&policy(), |_| {
        tried.set(tried.get() + 1);
        async { Err::<(), _>(Failure::NotFound) }
    })
    .when(|failure| *failure != Failure::NotFound)
    .run(&clock, &mut rng);
    assert_eq!(clock.run(run), Err(Failure::NotFound));
    assert_eq!(tried.get(), 1);
}

#[test]
fn the_peers_wish_replaces_a_shorter_backoff() {
    let busy = |attempt| match attempt {
        1 => Failure::Busy { retry_after: 100 * SECOND },
        _ => Failure::NotFound,
    };
    let (_, tried, told) = fail_with(&policy(), busy);
    assert!((100..=105).contains(&tried[1]), "{tried:?}");
    assert!(matches!(told[0], Next::Retry { attempt: 1, source: DelaySource::RetryAfter, .. }), "{told:?}");
}

#[test]
fn a_wish_beyond_the_limit_ends_the_loop_and_says_until_when() {
    let hour = 3600 * SECOND;
    let (result, tried, told) = fail_with(&policy(), |_| Failure::Busy { retry_after: hour });
    assert_eq!((result, tried), (Err(Failure::Busy { retry_after: hour }), vec![0]));
    let [Next::Deferred { attempt: 1, delay, source: DelaySource::RetryAfter }] = told[..] else {
        panic!("{told:?}")
    };
    assert!(delay >= hour && delay <= hour + 5 * SECOND);
}

#[test]
fn progress_in_between_starts_the_count_over() {
    let (result, tried, told) = fail_with(&policy(), |attempt| match attempt {
        1..=20 => Failure::Cut { kept: 1 << 20 },
        _ => Failure::NotFound,
    });
    assert_eq!(result, Err(Failure::NotFound));
    assert_eq!(tried, (0..21).collect::<Vec<_>>(), "each failure is the first in a row: one second each");
    assert!(told[..20].iter().all(|next| matches!(next, Next::Retry { attempt: 1, .. })), "{told:?}");
}

#[test]
fn a_drip_of_progress_does_not() {
    let (result, tried, _) = fail_with(&policy(), |_| Failure::Cut { kept: (1 << 20) - 1 });
    assert_eq!(result, Err(Failure::Cut { kept: (1 << 20) - 1 }));
    assert_eq!(tried.len(), 5);

    let mut policy = policy();
    policy.attempts_reset_bytes = 0;
    let (_, tried, _) = fail_with(&policy, |_| Failure::Cut { kept: u64::MAX });
    assert_eq!(tried.len(), 5, "zero switches the reset off");
}

#[test]
fn a_wait_that_would_overrun_is_not_begun() {
    let clock = ManualClock::new();
    let start = clock.now();
    let told = RefCell::new(Vec::new());
    for (limit, ends_after, attempts) in [(7, 7, 4), (6, 3, 3), (0, 0, 1)] {
        let before = clock.now();
        let mut rng = rng();
        let run = retry(&policy(), |attempt| async move { Err::<(), _>(Failure::Refused(attempt)) })
            .notify(|_, next| told.borrow_mut().push(*next))
            .max_elapsed(limit * SECOND)
            .run(&clock, &mut rng);
        assert_eq!(clock.run(run), Err(Failure::Refused(attempts)));
        assert_eq!(clock.now() - before, ends_after * SECOND, "limit {limit} s");
        assert_eq!(told.borrow().last(), Some(&Next::GiveUp { attempts }));
    }
    assert_eq!(clock.now() - start, 10 * SECOND);
}

#[test]
fn the_same_seed_waits_the_same() {
    let waits = |seed| {
        let clock = ManualClock::new();
        let start = clock.now();
        let mut rng = fastrand::Rng::with_seed(seed);
        let policy = RetryPolicy::default();
        let run = retry(&policy, |_| async { Err::<(), _>(()) }).run(&clock, &mut rng);
        clock.run(run).expect_err("always fails");
        clock.now() - start
    };
    assert_eq!(waits(1), waits(1));
    assert_ne!(waits(1), waits(2));
}

#[test]
fn dropping_the_loop_drops_the_sleep_or_the_attempt_in_progress() {
    let clock = ManualClock::new();
    let policy = policy();
    let mut context = Context::from_waker(Waker::noop());
    let mut first_rng = rng();
    {
        let mut sleeping = pin!(retry(&policy, |_| async { Err::<(), _>(()) }).run(&clock, &mut first_rng));
        assert!(sleeping.as_mut().poll(&mut context).is_pending());
        assert_eq!(clock.waiters(), 1);
    }
    assert_eq!(clock.waiters(), 0);

    let held = Rc::new(());
    {
        let attempt = |_| {
            let held = Rc::clone(&held);
            async move {
                let _held = held;
                pending::<Result<(), ()>>().await
            }
        };
        let mut trying = pin!(retry(&policy, attempt).run(&clock, &mut first_rng));
        assert!(trying.as_mut().poll(&mut context).is_pending());
        assert_eq!(Rc::strong_count(&held), 2);
    }
    assert_eq!(Rc::strong_count(&held), 1);
}

#[test]
fn the_loop_can_be_spawned_even_if_its_error_cannot() {
    fn require_send<F: Future + Send>(future: F) -> F {
        future
    }
    let clock = ManualClock::new();
    let mut rng = rng();
    let policy = policy();
    let run = retry(&policy, |_| async { Err::<(), Rc<str>>(Rc::from("busy")) }).run(&clock, &mut rng);
    assert_eq!(clock.run(require_send(run)), Err(Rc::from("busy")));
}

#[test]
fn nothing_makes_a_permanent_failure_transient() {
    assert_eq!(Verdict::Permanent.with_hint(Some(SECOND)).with_progress(1 << 30), Verdict::Permanent);
    assert_eq!(Verdict::from(true), Verdict::transient());
    assert_eq!(Verdict::from(false), Verdict::Permanent);
}
