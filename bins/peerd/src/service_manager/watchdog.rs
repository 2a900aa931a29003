//! When the daemon counts as alive.
//!
//! `/healthz` means that the event loop turns, and so does the watchdog: the sign of life comes from a task of the
//! runtime, which cannot be given when the runtime's threads hang. Besides, the registry must have answered and the
//! locks of the download service been free within [`PATIENCE`]. That is minutes and not seconds: a disk under pressure
//! keeps a database waiting for longer than any watchdog does, and killing the daemon would only add to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use retry_kit::{Clock, SharedClock};

use super::{Notifier, Word};

/// When the parts of the daemon that may hang were last heard of. Clones are the same.
#[derive(Clone)]
pub(super) struct Pulse {
    clock: SharedClock,
    heard: Arc<Mutex<Instant>>,
}

impl Pulse {
    /// They are heard of now.
    pub(super) fn new(clock: SharedClock) -> Self {
        Self { heard: Arc::new(Mutex::new(clock.now())), clock }
    }

    /// They are heard of again.
    pub(super) fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = self.clock.now();
    }

    /// Gives `notifier` a sign of life twice within every `interval`, and none while they are silent for too long.
    pub(super) async fn give_signs_of_life(self, notifier: Notifier, interval: Duration) {
        loop {
            let silent_for = self.silent_for();
            if is_alive(silent_for) {
                notifier.tell(&[Word::Alive]).await;
            } else {
                let silent_s = silent_for.as_secs();
                tracing::error!(
                    silent_s,
                    "the registry or the queue does not answer: no sign of life for the watchdog"
                );
            }
            self.clock.sleep(beat(interval)).await;
        }
    }

    fn silent_for(&self) -> Duration {
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.clock.now().saturating_duration_since(heard)
    }
}

/// Within which time the service manager wants a sign of life: `WATCHDOG_USEC`, unless `WATCHDOG_PID` names another
/// process than `us`. `None` when it does not wait for one.
pub fn watchdog_interval(variable: impl Fn(&str) -> Option<String>, us: u32) -> Option<Duration> {
    if variable("WATCHDOG_PID").is_some_and(|pid| pid.parse() != Ok(us)) {
        return None;
    }
    let interval = Duration::from_micros(variable("WATCHDOG_USEC")?.parse().ok()?);
    Some(interval).filter(|interval| !interval.is_zero())
}

/// How often a sign of life is given, so that one may come late.
fn beat(interval: Duration) -> Duration {
    (interval / 2).max(SHORTEST)
}

/// Whether a daemon is alive whose parts were last heard of this long ago.
fn is_alive(silent_for: Duration) -> bool {
    silent_for < PATIENCE
}

/// How long the registry and the queue may take to answer.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// An interval this short is a mistake, and no reason to spin.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use retry_kit::ManualClock;

    use super::*;

    #[tokio::test]
    async fn no_sign_of_life_is_given_while_the_registry_keeps_silent_for_minutes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        manager.set_nonblocking(true).unwrap();
        let signs = || {
            let mut text = [0; 64];
            std::iter::from_fn(|| manager.recv(&mut text).ok()).count()
        };
        let clock = ManualClock::new();
        let shared: SharedClock = Arc::new(clock.clone());
        let pulse = Pulse::new(shared);
        let interval = Duration::from_secs(30);
        let beating = pulse.clone().give_signs_of_life(Notifier::to(Some(path.into())), interval);
        let beating = tokio::spawn(beating);
        let turn = async |by: Duration| {
            clock.wait_for_sleepers(1).await;
            clock.advance(by);
            clock.wait_for_sleepers(1).await;
            signs()
        };
        clock.wait_for_sleepers(1).await;
        assert_eq!(signs(), 1);
        assert_eq!(turn(interval / 2).await, 1);
        assert_eq!(turn(PATIENCE - interval).await, 1, "a slow disk is no reason");
        assert_eq!(turn(interval).await, 0, "silence is");
        pulse.heard();
        assert_eq!(turn(interval / 2).await, 1, "and over when it ends");
        beating.abort();
    }

    #[test]
    fn a_sign_of_life_is_wanted_from_the_process_that_is_named() {
        let interval = |usec: Option<&str>, pid: Option<&str>| {
            let variable = |name: &str| match name {
                "WATCHDOG_USEC" => usec.map(str::to_owned),
                _ => pid.map(str::to_owned),
            };
            watchdog_interval(variable, 42)
        };
        let half_a_minute = Some(Duration::from_secs(30));
        assert_eq!(interval(Some("30000000"), Some("42")), half_a_minute);
        assert_eq!(interval(Some("30000000"), None), half_a_minute);
        assert_eq!(interval(Some("30000000"), Some("41")), None, "somebody else is meant");
        for none in [None, Some(""), Some("0"), Some("soon"), Some("-1")] {
            assert_eq!(interval(none, Some("42")), None, "{none:?}");
        }
    }

    #[test]
    fn it_comes_twice_in_the_time_it_is_wanted_in() {
        assert_eq!(beat(Duration::from_secs(30)), Duration::from_secs(15));
        assert_eq!(beat(Duration::from_micros(1)), SHORTEST);
    }

    #[test]
    fn a_slow_disk_does_not_kill_and_silence_does() {
        assert!(is_alive(Duration::from_secs(120)));
        assert!(!is_alive(Duration::from_secs(301)));
    }
}
