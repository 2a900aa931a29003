//! The loop: attempt, verdict, decision, sleep.

use std::future::Future;
use std::time::Duration;

use crate::attempts::Attempts;
use crate::clock::Clock;
use crate::policy::{Next, RetryPolicy};
use crate::verdict::Verdict;

/// Repeats `operation` until it succeeds, fails for good, or runs out of attempts.
///
/// The operation is told which attempt it is, counted from 1. Without [`when`](Retry::when) every error is transient.
///
/// ```
/// use retry_kit::{Clock, RetryPolicy, retry};
///
/// # async fn fetch(attempt: u32) -> Result<&'static str, std::io::Error> { Ok("hello") }
/// async fn greet(clock: &impl Clock) -> Result<&'static str, std::io::Error> {
///     let policy = RetryPolicy::default();
///     retry(&policy, |attempt| fetch(attempt))
///         .when(|error| error.kind() != std::io::ErrorKind::PermissionDenied)
///         .notify(|error, next| eprintln!("{error}: {next:?}"))
///         .run(clock, &mut fastrand::Rng::with_seed(7))
///         .await
/// }
/// ```
pub fn retry<Op, Fut, T, E>(policy: &RetryPolicy, operation: Op) -> Plain<Op, E>
where
    Op: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    Retry {
        policy: policy.clone(),
        operation,
        when: |_| Verdict::transient(),
        notify: |_, _| (),
        max_elapsed: None,
    }
}

/// Every error is transient, and nobody is told.
type Plain<Op, E> = Retry<Op, fn(&E) -> Verdict, fn(&E, &Next)>;

/// What [`retry`] returns.
#[derive(Debug)]
#[must_use = "nothing is tried before `run`"]
pub struct Retry<Op, When, Notify> {
    policy: RetryPolicy,
    operation: Op,
    when: When,
    notify: Notify,
    max_elapsed: Option<Duration>,
}

impl<Op, Fut, T, E, When, Notify> Retry<Op, When, Notify>
where
    Op: FnMut(u32) -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    /// Says which errors are worth another try: a `bool`, or a [`Verdict`] with the peer's hint and the progress made.
    pub fn when<W, V>(self, when: W) -> Retry<Op, W, Notify>
    where
        W: FnMut(&E) -> V,
        V: Into<Verdict>,
    {
        let Self { policy, operation, notify, max_elapsed, .. } = self;
        Retry { policy, operation, when, notify, max_elapsed }
    }

    /// Is told of every failure and of what follows from it, before the wait. A permanent failure shows as
    /// [`Next::GiveUp`].
    pub fn notify<N>(self, notify: N) -> Retry<Op, When, N>
    where
        N: FnMut(&E, &Next),
    {
        let Self { policy, operation, when, max_elapsed, .. } = self;
        Retry { policy, operation, when, notify, max_elapsed }
    }

    /// Gives up rather than start a wait that would end later than this after the beginning. An attempt under way is
    /// never cut short.
    pub fn max_elapsed(self, max_elapsed: Duration) -> Self {
        Self { max_elapsed: Some(max_elapsed), ..self }
    }

    /// Tries, waits on `clock`, and tries again.
    ///
    /// # Errors
    /// The last error, unchanged: when it is permanent, when the attempts or the time ran out, or when the peer asked
    /// for a longer wait than [`RetryPolicy::max_retry_after`] ([`notify`](Retry::notify) is told how long).
    ///
    /// # Cancel safety
    /// Safe. Dropping the future drops the attempt or the sleep in progress; nothing runs on.
    pub async fn run<C, V>(mut self, clock: &C, rng: &mut fastrand::Rng) -> Result<T, E>
    where
        C: Clock + ?Sized,
        When: FnMut(&E) -> V,
        V: Into<Verdict>,
        Notify: FnMut(&E, &Next),
    {
        let started = clock.now();
        let mut attempts = Attempts::default();
        let mut attempt = 0_u32;
        loop {
            attempt = attempt.saturating_add(1);
            // The error stays inside: it may hold a connection, or not be Send, and is not kept over the wait.
            let delay = match (self.operation)(attempt).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    let verdict = (self.when)(&error).into();
                    let elapsed = clock.now().saturating_duration_since(started);
                    let next = decide(&self.policy, self.max_elapsed, &mut attempts, verdict, elapsed, rng);
                    (self.notify)(&error, &next);
                    match next {
                        Next::Retry { delay, .. } => delay,
                        Next::Deferred { .. } | Next::GiveUp { .. } => return Err(error),
                    }
                }
            };
            clock.sleep(delay).await;
        }
    }
}

/// One turn of the loop without the waiting.
fn decide(
    policy: &RetryPolicy,
    max_elapsed: Option<Duration>,
    attempts: &mut Attempts,
    verdict: Verdict,
    elapsed: Duration,
    rng: &mut fastrand::Rng,
) -> Next {
    let Verdict::Transient { hint, progress } = verdict else {
        return Next::GiveUp { attempts: attempts.fail() };
    };
    attempts.progress(progress, policy.attempts_reset_bytes);
    match policy.after_failure(attempts, hint, rng) {
        Next::Retry { attempt, delay, .. }
            if max_elapsed.is_some_and(|limit| elapsed.saturating_add(delay) > limit) =>
        {
            Next::GiveUp { attempts: attempt }
        }
        next => next,
    }
}
