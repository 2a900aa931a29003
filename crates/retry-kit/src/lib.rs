#![cfg_attr(docsrs, feature(doc_cfg))]
//! When to try again, how long to wait, who goes next.
//!
//! The heart is arithmetic without a clock, a runtime or a global generator: [`Backoff`] is a schedule,
//! [`retry_after()`] reads the peer's wish, [`RetryPolicy::after_failure`] turns both into a decision, and
//! [`TokenBucket`] says how many bytes may move. Around it stand three small things that wait: [`retry()`] for an
//! operation that fails, [`Permits`] for a turn, [`RateLimiter`] for bytes. They wait on the [`Clock`] they are handed
//! and draw from the [`fastrand::Rng`] they are handed, so a test runs an hour in a millisecond, twice the same.
//!
//! ```
//! use std::time::Duration;
//! use retry_kit::{Attempts, DelaySource, Next, RetryPolicy};
//!
//! let policy = RetryPolicy::builder().base(Duration::from_millis(100)).max_attempts(3).build()?;
//! let mut attempts = Attempts::default();
//! let mut rng = fastrand::Rng::with_seed(1);
//!
//! let Next::Retry { delay, source, .. } = policy.after_failure(&mut attempts, None, &mut rng) else { unreachable!() };
//! assert!(delay <= Duration::from_millis(100) && source == DelaySource::Backoff);
//!
//! // The peer asks for an hour. That is not slept off; the caller is told until when to leave it alone.
//! let hint = Some(Duration::from_secs(3600));
//! assert!(matches!(policy.after_failure(&mut attempts, hint, &mut rng), Next::Deferred { delay, .. } if delay >= hint.unwrap()));
//!
//! assert_eq!(policy.after_failure(&mut attempts, None, &mut rng), Next::GiveUp { attempts: 3 });
//! # Ok::<(), retry_kit::PolicyError>(())
//! ```
//!
//! # Features
//! None by default. `tokio` brings `TokioClock`, `test-util` brings `ManualClock`.

#![forbid(unsafe_code)]

mod attempts;
mod backoff;
mod builder;
mod clock;
mod jitter;
mod layers;
mod permits;
mod policy;
mod queue;
mod rate;
mod rate_limiter;
mod retry;
pub mod retry_after;
mod sync;
mod token_bucket;
mod urgency;
mod verdict;

#[cfg(any(test, feature = "test-util"))]
mod manual_clock;
#[cfg(feature = "tokio")]
mod tokio_clock;

pub use attempts::Attempts;
pub use backoff::{Backoff, Delays};
pub use builder::{PolicyError, RetryPolicyBuilder};
pub use clock::{Clock, SharedClock, Sleep};
pub use jitter::Jitter;
pub use layers::Layers;
#[cfg(any(test, feature = "test-util"))]
pub use manual_clock::ManualClock;
pub use permits::{Acquire, AcquireOrClosed, Closed, Permit, Permits};
pub use policy::{DelaySource, Next, RetryPolicy};
pub use rate::Rate;
pub use rate_limiter::{AcquireBytes, RateLimiter};
pub use retry::{Retry, retry};
pub use retry_after::retry_after;
pub use token_bucket::TokenBucket;
#[cfg(feature = "tokio")]
pub use tokio_clock::TokioClock;
pub use urgency::Urgency;
pub use verdict::Verdict;

#[cfg(all(doctest, feature = "tokio"))]
#[doc = include_str!("../README.md")]
struct Readme;
