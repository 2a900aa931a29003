//! `Retry-After` (RFC 9110 §10.2.3).
//!
//! ```text
//! Retry-After: 120                              delay-seconds
//! Retry-After: Fri, 31 Dec 1999 23:59:59 GMT    HTTP-date (§5.6.7)
//! ```

use std::time::{Duration, SystemTime};

/// How long the peer asks us to stay away; `None` if it asks nothing we can read, or nothing that lies ahead.
///
/// `values` are the `Retry-After` lines of one reply; among several the longest valid one counts. `reply_date` is the
/// `Date` of the same reply: if it parses, a date is measured against it, since the peer computed both with the same
/// clock and that clock may be hours off. Otherwise it is measured against `now`, our wall-clock time.
///
/// A delay of any number of digits is valid and saturates at `u64::MAX` seconds. Signs, fractions, units and lists are
/// not valid and are ignored. A wait of zero and a date in the past demand nothing: fall back to your own backoff, or
/// the peer that says so is asked without pause.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use retry_kit::retry_after;
///
/// // By our own clock this date is long gone, or years away. By the peer's it is in thirty seconds.
/// let date = b"Sun, 06 Nov 1994 08:49:37 GMT";
/// let hint = retry_after(["Sun, 06 Nov 1994 08:50:07 GMT"], Some(date), SystemTime::now());
/// assert_eq!(hint, Some(Duration::from_secs(30)));
/// ```
#[must_use]
pub fn retry_after<I>(values: I, reply_date: Option<&[u8]>, now: SystemTime) -> Option<Duration>
where
    I: IntoIterator,
    I::Item: AsRef<[u8]>,
{
    let measured_from = reply_date.and_then(|value| http_date(text(value)?, now)).unwrap_or(now);
    values
        .into_iter()
        .filter_map(|value| {
            let value = text(value.as_ref())?;
            delay_seconds(value).or_else(|| http_date(value, now)?.duration_since(measured_from).ok())
        })
        .max()
        .filter(|wait| !wait.is_zero())
}

/// Both forms are plain ASCII between optional whitespace (§5.6.3).
fn text(value: &[u8]) -> Option<&str> {
    let value = std::str::from_utf8(value).ok()?;
    value.is_ascii().then(|| value.trim_matches([' ', '\t']))
}

/// `delay-seconds = 1*DIGIT`.
fn delay_seconds(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    // Digits only, so the one thing that can go wrong is that there are too many.
    digits.then(|| Duration::from_secs(value.parse().unwrap_or(u64::MAX)))
}

/// `HTTP-date` in its three forms (§5.6.7); `now` decides which century two digits mean.
fn http_date(value: &str, now: SystemTime) -> Option<SystemTime> {
    rfc850_date(value, now).or_else(|| httpdate::parse_http_date(value).ok())
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`: a year that appears to lie more than 50 years ahead is the latest one in the past
/// with the same two digits.
fn rfc850_date(value: &str, now: SystemTime) -> Option<SystemTime> {
    let (weekday, rest) = value.split_once(", ")?;
    let (date, time) = rest.split_once(' ')?;
    let (day, rest) = date.split_once('-')?;
    let (month, year) = rest.split_once('-')?;
    let weekday = WEEKDAYS.into_iter().find(|name| *name == weekday)?.get(..3)?;
    if year.len() != 2 {
        return None;
    }
    let horizon = now.checked_add(FIFTY_YEARS)?;
    let this_century = year_of(now) / 100;
    // The weekday must fit too, so that a date is what it says or nothing.
    [this_century + 1, this_century, this_century.saturating_sub(1)]
        .into_iter()
        .filter_map(|century| {
            httpdate::parse_http_date(&format!("{weekday}, {day} {month} {century}{year} {time}")).ok()
        })
        .find(|date| *date <= horizon)
}

/// The calendar year, give or take the day around New Year: only its century is used.
fn year_of(now: SystemTime) -> u64 {
    1970 + now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / GREGORIAN_YEAR
}

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Seconds in 365.2425 days.
const GREGORIAN_YEAR: u64 = 31_556_952;

const FIFTY_YEARS: Duration = Duration::from_secs(50 * GREGORIAN_YEAR);

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-01 00:00:00 UTC, a Thursday.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
    }

    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    #[test]
    fn one_line_reads_as_rfc_9110_writes_it() {
        for (value, expected, because) in [
            ("120", seconds(120), "delay-seconds"),
            (" \t120\t ", seconds(120), "whitespace around a field value means nothing"),
            ("007", seconds(7), "1*DIGIT allows leading zeros"),
            ("18446744073709551615", seconds(u64::MAX), "the largest u64"),
            ("18446744073709551616", seconds(u64::MAX), "one more saturates"),
            ("99999999999999999999999999", seconds(u64::MAX), "as does any number of digits"),
            ("0", None, "zero demands nothing"),
            ("-1", None, "no sign"),
            ("+1", None, "no sign"),
            ("1.5", None, "no fraction"),
            ("1e3", None, "no exponent"),
            ("120s", None, "no unit"),
            ("5, 10", None, "not a list"),
            ("", None, "empty"),
            ("soon", None, "words"),
            ("\u{661}\u{662}", None, "digits of ASCII only"),
            ("Thu, 01 Jan 2026 00:02:00 GMT", seconds(120), "IMF-fixdate"),
            ("Thursday, 01-Jan-26 00:02:00 GMT", seconds(120), "RFC 850"),
            ("Thu Jan  1 00:02:00 2026", seconds(120), "asctime"),
            ("Thu, 01 Jan 2026 00:00:00 GMT", None, "now demands nothing"),
            ("Wed, 31 Dec 2025 23:59:59 GMT", None, "nor does the past"),
            ("Fri Jan  1 00:00:00 1999", None, "nor does the last century"),
            ("Friday, 01-Jan-99 00:00:00 GMT", None, "99 is 1999: 2099 would be more than 50 years ahead"),
            ("Sunday, 06-Nov-94 08:49:37 GMT", None, "94 is 1994"),
            ("Thursday, 01-Jan-99 00:00:00 GMT", None, "not even if only the weekday of 2099 fits"),
            (
                "Wednesday, 01-Jan-70 00:00:00 GMT",
                seconds(1_388_534_400),
                "70 is 2070: 44 years are not too many",
            ),
            ("Thursday, 01-Jan-70 00:00:00 GMT", None, "1970 began on a Thursday"),
            ("Fri, 01 Jan 2026 00:02:00 GMT", None, "the weekday must fit"),
            ("Thu, 01 Jan 2026 00:02:00 CET", None, "GMT only"),
            ("Thu, 30 Feb 2026 00:02:00 GMT", None, "no such day"),
            ("Thursday, 01-Jan-2026 00:02:00 GMT", None, "RFC 850 has two digits"),
        ] {
            assert_eq!(retry_after([value], None, now()), expected, "{value:?}: {because}");
        }
    }

    #[test]
    fn a_date_is_measured_against_the_date_of_its_own_reply() {
        let in_an_hour = "Thu, 01 Jan 2026 01:00:02 GMT";
        for (date, expected, because) in [
            (Some("Thu, 01 Jan 2026 01:00:00 GMT"), seconds(2), "the peer's clock runs an hour ahead"),
            (Some("Thu, 01 Jan 1970 00:00:00 GMT"), seconds(1_767_229_202), "or stands at its first day"),
            (Some("Thursday, 01-Jan-26 01:00:00 GMT"), seconds(2), "in any of the three forms"),
            (Some(" Thu Jan  1 01:00:00 2026 "), seconds(2), "in any of the three forms"),
            (Some("Thu, 01 Jan 2026 01:00:03 GMT"), None, "past by the peer's own clock"),
            (Some("yesterday"), seconds(3602), "an unreadable Date leaves our own clock"),
            (None, seconds(3602), "as does a missing one"),
        ] {
            let date = date.map(str::as_bytes);
            assert_eq!(retry_after([in_an_hour], date, now()), expected, "{because}");
        }
        let skewed = Some(b"Thu, 01 Jan 2026 01:00:00 GMT".as_slice());
        assert_eq!(retry_after(["30"], skewed, now()), seconds(30), "seconds need no clock");
    }

    #[test]
    fn among_several_lines_the_longest_valid_one_counts() {
        for (values, expected) in [
            (&["5", "30", "10"][..], seconds(30)),
            (&["5", "Thu, 01 Jan 2026 00:02:00 GMT"], seconds(120)),
            (&["never", "5", "-7"], seconds(5)),
            (&["0", "Thu, 01 Jan 1970 00:00:00 GMT"], None),
            (&["never"], None),
            (&[], None),
        ] {
            assert_eq!(retry_after(values, None, now()), expected, "{values:?}");
        }
    }

    #[test]
    fn two_digits_cross_the_turn_of_a_century() {
        let date = |value| httpdate::parse_http_date(value).expect("a date");
        let two_days_before = date("Thu, 31 Dec 2099 00:00:00 GMT");
        assert_eq!(
            retry_after(["Saturday, 02-Jan-00 00:00:10 GMT"], None, two_days_before),
            seconds(2 * 86_400 + 10)
        );
        let next_morning = date("Fri, 01 Jan 2100 00:00:00 GMT");
        assert_eq!(retry_after(["Thursday, 31-Dec-99 23:59:59 GMT"], None, next_morning), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_no_hint() {
        assert_eq!(retry_after([b"\xff\xfe".as_slice(), b"1\x0030", b"5"], Some(b"\xff"), now()), seconds(5));
    }

    #[test]
    fn a_local_clock_before_1970_does_no_harm() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_secs(10);
        assert_eq!(retry_after(["Thu, 01 Jan 1970 00:00:05 GMT"], None, before), seconds(15));
        assert_eq!(retry_after(["Thursday, 01-Jan-70 00:00:05 GMT"], None, before), seconds(15));
    }

    #[test]
    fn no_input_panics() {
        let mut rng = fastrand::Rng::with_seed(5);
        let alphabet = b"0123456789 ,:-+\tGMTThursdayJanFriSunDecWednesday\xff\x00";
        let seeds =
            ["Thu, 01 Jan 2026 00:02:00 GMT", "Thursday, 01-Jan-26 00:02:00 GMT", "Thu Jan  1 00:02:00 2026"];
        for _ in 0..20_000 {
            let mut value = rng.choice(seeds).expect("three").as_bytes().to_vec();
            for _ in 0..rng.usize(..4) {
                let at = rng.usize(..value.len());
                match rng.u8(..3) {
                    0 => value[at] = *rng.choice(alphabet).expect("not empty"),
                    1 => value.truncate(at.max(1)),
                    _ => value.insert(at, *rng.choice(alphabet).expect("not empty")),
                }
            }
            let _ = retry_after([&value], Some(&value), now());
        }
    }
}
