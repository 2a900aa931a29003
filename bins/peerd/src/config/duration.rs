//! Durations as people write them: `100ms`, `30s`, `1h30m`.
//!
//! They always carry a unit, because nobody remembers whether `60` was seconds. A field of the configuration uses this
//! module as `#[serde(with = "duration")]`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

use super::units::{Term, UnitError};

/// Parses a duration such as `100ms`, `1.5s`, `5m`, `1h30m` or `7d`.
///
/// Units are `ms`, `s`, `m`, `h` and `d`, each at most once and the largest first. Anything above 100 years is
/// refused, so that adding a configured duration to a clock cannot overflow.
///
/// # Errors
/// [`UnitError`] says which part is wrong; a number without a unit is [`UnitError::NoUnit`].
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut rest = text.trim();
    let (mut total, mut smallest) = (0_u128, u128::MAX);
    loop {
        let term = Term::split(rest)?;
        let scale = match term.unit {
            "" => return Err(UnitError::NoUnit { number: term.number().to_owned() }),
            "ms" => MS,
            "s" => 1_000 * MS,
            "m" => 60_000 * MS,
            "h" => 3_600_000 * MS,
            "d" => 86_400_000 * MS,
            unit => return Err(UnitError::UnknownDurationUnit { unit: unit.to_owned() }),
        };
        if scale >= smallest {
            return Err(UnitError::Order);
        }
        smallest = scale;
        let nanos = term.times(scale).ok_or(UnitError::DurationTooLong)?;
        total = total.saturating_add(nanos);
        if total > MAX_NANOS {
            return Err(UnitError::DurationTooLong);
        }
        rest = term.rest.trim_start();
        if rest.is_empty() {
            return Ok(Duration::from_nanos(total as u64));
        }
    }
}

/// Writes a duration in the largest unit that divides it exactly; [`parse_duration`] reads it back unchanged.
///
/// Parts of a millisecond are written as a decimal fraction of one.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    for (scale, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")] {
        if nanos.is_multiple_of(scale * MS) {
            return format!("{}{unit}", nanos / (scale * MS));
        }
    }
    let fraction = format!("{:06}", nanos % MS);
    format!("{}.{}ms", nanos / MS, fraction.trim_end_matches('0'))
}

pub(crate) fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(*value))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map_err(de::Error::custom)
}

/// Nanoseconds in a millisecond.
const MS: u128 = 1_000_000;
const MAX_NANOS: u128 = 36_500 * 86_400_000 * MS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_needs_a_unit_and_may_combine_them() {
        for (text, ms) in [
            ("0s", 0),
            ("100ms", 100),
            ("1.5s", 1_500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for (text, message) in [
            ("60", "a duration needs a unit: write 60s, 60m or 60ms"),
            ("", "expected a number followed by a unit"),
            ("s", "expected a number followed by a unit"),
            ("-1s", "expected a number followed by a unit"),
            ("5 fortnights", "unknown unit `fortnights`; durations take ms, s, m, h or d"),
            ("5min", "unknown unit `min`; durations take ms, s, m, h or d"),
            ("30m1h", "write each unit once and the largest first, as in 1h30m"),
            ("1s1s", "write each unit once and the largest first, as in 1h30m"),
            ("40000d", "a duration cannot exceed 100 years"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn a_printed_duration_parses_to_itself() {
        for nanos in
            [0, 1, 1_500, 1_000_000, 1_500_000_000, 60_000_000_000, 90_000_000_000, 604_800_000_000_000]
        {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
        }
        assert_eq!(format_duration(Duration::from_secs(300)), "5m");
    }
}
