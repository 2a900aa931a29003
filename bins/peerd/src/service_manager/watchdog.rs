//! When the daemon counts as alive.
//!
//! `/healthz` means that the event loop turns, and so does the watchdog: the sign of life comes from a task of the
//! runtime, which cannot be given when the runtime's threads hang. Besides, the registry must have answered and the
//! locks of the download service been free within [`PATIENCE`]. That is minutes and not seconds: a disk under pressure
//! keeps a database waiting for longer than any watchdog does, and killing the daemon would only add to it.

use std::time::Duration;

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
pub(super) fn beat(interval: Duration) -> Duration {
    (interval / 2).max(SHORTEST)
}

/// Whether a daemon is alive whose parts were last heard of this long ago.
pub(super) fn is_alive(silent_for: Duration) -> bool {
    silent_for < PATIENCE
}

/// How long the registry may take to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// An interval this short is a mistake, and no reason to spin.
const SHORTEST: Duration = Duration::from_millis(1);

#[cfg(test)]
mod tests {
    use super::*;

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
