//! HTTP-date in its three forms (RFC 9110 §5.6.7).
//!
//! ```text
//! Sun, 06 Nov 1994 08:49:37 GMT    IMF-fixdate, the only one written
//! Sunday, 06-Nov-94 08:49:37 GMT   RFC 850
//! Sun Nov  6 08:49:37 1994         asctime
//! ```

use core::fmt;
use core::str::FromStr;

use crate::scan::trim_ows;

/// A moment in whole seconds, from year 0 to year 9999.
///
/// Files may be older than 1970, so may their Last-Modified.
///
/// ```
/// use range_http::HttpDate;
///
/// let date = HttpDate::parse(b"Sun, 06 Nov 1994 08:49:37 GMT").expect("the date of the RFC");
/// assert_eq!(date.unix_seconds(), 784_111_777);
/// assert_eq!(date.to_string(), "Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpDate {
    seconds: i64,
}

impl HttpDate {
    /// The moment `seconds` after (or before) 1970-01-01 00:00:00 UTC; `None` outside the years 0 to 9999, which the
    /// format cannot write.
    #[must_use]
    pub const fn from_unix(seconds: i64) -> Option<Self> {
        if FIRST <= seconds && seconds <= LAST { Some(Self { seconds }) } else { None }
    }

    /// The second `time` lies in; `None` outside the years 0 to 9999.
    #[cfg(feature = "std")]
    #[must_use]
    pub fn from_system_time(time: std::time::SystemTime) -> Option<Self> {
        let nanos = crate::file_stamp::unix_nanos(time)?;
        // Rounded down, also before 1970: a date later than the change would hide it.
        Self::from_unix(i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?)
    }

    /// Reads one date in any of the three forms. Of RFC 850's two digits, 70 to 99 mean the 1900s and 00 to 69 the
    /// 2000s.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let value = trim_ows(value);
        imf_fixdate(value).or_else(|| rfc850(value)).or_else(|| asctime(value))
    }

    /// Seconds since 1970-01-01 00:00:00 UTC, negative before.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.seconds
    }
}

/// IMF-fixdate, always 29 characters.
impl fmt::Display for HttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds.div_euclid(DAY), self.seconds.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        // 1970-01-01 was a Thursday.
        let weekday = WEEKDAYS[(days + 3).rem_euclid(7) as usize].0;
        let month = MONTHS[month as usize - 1];
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
    }
}

impl FromStr for HttpDate {
    type Err = InvalidHttpDate;

    fn from_str(value: &str) -> Result<Self, InvalidHttpDate> {
        Self::parse(value.as_bytes()).ok_or(InvalidHttpDate)
    }
}

/// The text is not an HTTP-date.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHttpDate;

impl fmt::Display for InvalidHttpDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an HTTP-date")
    }
}

impl core::error::Error for InvalidHttpDate {}

fn imf_fixdate(value: &[u8]) -> Option<HttpDate> {
    let mut text = Text(value);
    text.one_of(WEEKDAYS.iter().map(|(short, _)| *short))?;
    text.expect(b", ")?;
    let day = text.digits(2)?;
    text.expect(b" ")?;
    let month = text.month()?;
    text.expect(b" ")?;
    let year = text.digits(4)?;
    text.expect(b" ")?;
    let time = text.time()?;
    text.expect(b" GMT")?;
    text.end(year, month, day, time)
}

fn rfc850(value: &[u8]) -> Option<HttpDate> {
    let mut text = Text(value);
    text.one_of(WEEKDAYS.iter().map(|(_, long)| *long))?;
    text.expect(b", ")?;
    let day = text.digits(2)?;
    text.expect(b"-")?;
    let month = text.month()?;
    text.expect(b"-")?;
    let year = text.digits(2)?;
    text.expect(b" ")?;
    let time = text.time()?;
    text.expect(b" GMT")?;
    text.end(if year < 70 { 2000 + year } else { 1900 + year }, month, day, time)
}

fn asctime(value: &[u8]) -> Option<HttpDate> {
    let mut text = Text(value);
    text.one_of(WEEKDAYS.iter().map(|(short, _)| *short))?;
    text.expect(b" ")?;
    let month = text.month()?;
    text.expect(b" ")?;
    let day = if text.expect(b" ").is_some() { text.digits(1)? } else { text.digits(2)? };
    text.expect(b" ")?;
    let time = text.time()?;
    text.expect(b" ")?;
    let year = text.digits(4)?;
    text.end(year, month, day, time)
}

/// What is left to read; every step either takes its piece or fails.
struct Text<'a>(&'a [u8]);

impl Text<'_> {
    fn expect(&mut self, literal: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn one_of(&mut self, names: impl Iterator<Item = &'static str>) -> Option<i64> {
        for (place, name) in (0..).zip(names) {
            if self.expect(name.as_bytes()).is_some() {
                return Some(place);
            }
        }
        None
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits.iter().try_fold(0, |number, digit| {
            digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
        })?;
        self.0 = rest;
        Some(number)
    }

    fn month(&mut self) -> Option<i64> {
        self.one_of(MONTHS.into_iter()).map(|place| place + 1)
    }

    /// Seconds since midnight. A leap second is the first second of the next minute.
    fn time(&mut self) -> Option<i64> {
        let hour = self.digits(2).filter(|hour| *hour < 24)?;
        self.expect(b":")?;
        let minute = self.digits(2).filter(|minute| *minute < 60)?;
        self.expect(b":")?;
        let second = self.digits(2).filter(|second| *second <= 60)?;
        Some(hour * 3600 + minute * 60 + second)
    }

    fn end(self, year: i64, month: i64, day: i64, time: i64) -> Option<HttpDate> {
        let days = self.0.is_empty().then(|| days(year, month, day))?;
        // A day the month does not have would come out as one of the next month.
        (day > 0 && civil(days) == (year, month, day)).then_some(())?;
        HttpDate::from_unix(days * DAY + time)
    }
}

/// Days from 1970-01-01 to a date of the proleptic Gregorian calendar.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the leap day is the last of its year.
    let shifted = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (shifted.div_euclid(400), shifted.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - EPOCH
}

/// Year, month and day of the date so many days after 1970-01-01.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, day_of_era) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12 + 1;
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

const DAY: i64 = 86_400;
/// Days of 400 years.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
const FIRST: i64 = days(0, 1, 1) * DAY;
const LAST: i64 = days(10_000, 1, 1) * DAY - 1;

const WEEKDAYS: [(&str, &str); 7] = [
    ("Mon", "Monday"),
    ("Tue", "Tuesday"),
    ("Wed", "Wednesday"),
    ("Thu", "Thursday"),
    ("Fri", "Friday"),
    ("Sat", "Saturday"),
    ("Sun", "Sunday"),
];

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn seconds(value: &str) -> Option<i64> {
        HttpDate::parse(value.as_bytes()).map(HttpDate::unix_seconds)
    }

    #[test]
    fn all_three_forms_name_the_same_moment() {
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            " Sun, 06 Nov 1994 08:49:37 GMT\t",
        ] {
            assert_eq!(seconds(value), Some(784_111_777), "{value}");
        }
    }

    #[test]
    fn dates_round_trip_over_the_whole_range() {
        for (written, moment) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
            ("Fri, 01 Jan 1960 00:00:00 GMT", -315_619_200),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Sat, 01 Jan 0000 00:00:00 GMT", FIRST),
            ("Fri, 31 Dec 9999 23:59:59 GMT", LAST),
        ] {
            assert_eq!(seconds(written), Some(moment), "{written}");
            assert_eq!(HttpDate::from_unix(moment).unwrap().to_string(), written);
        }
        for step in 0..20_000 {
            let date = HttpDate::from_unix(FIRST + step * ((LAST - FIRST) / 20_000)).unwrap();
            assert_eq!(date.to_string().parse(), Ok(date));
        }
        assert_eq!(HttpDate::from_unix(FIRST - 1), None);
        assert_eq!(HttpDate::from_unix(LAST + 1), None);
        assert_eq!(HttpDate::from_unix(i64::MIN), None);
    }

    #[test]
    fn two_digit_years_turn_at_seventy() {
        assert_eq!(seconds("Thursday, 01-Jan-70 00:00:00 GMT"), Some(0));
        assert_eq!(seconds("Tuesday, 01-Jan-69 00:00:00 GMT"), seconds("Tue, 01 Jan 2069 00:00:00 GMT"));
    }

    #[test]
    fn a_leap_second_is_the_next_second() {
        assert_eq!(seconds("Sat, 31 Dec 2016 23:59:60 GMT"), seconds("Sun, 01 Jan 2017 00:00:00 GMT"));
        assert_eq!(seconds("Fri, 31 Dec 9999 23:59:60 GMT"), None, "there is no year 10000");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for value in [
            "",
            "0",
            "784111777",
            "Thu, 33 Jan 1970 00:00:00 GMT",
            "Thu, 00 Jan 1970 00:00:00 GMT",
            "Wed, 30 Feb 2000 00:00:00 GMT",
            "Thu, 29 Feb 1900 00:00:00 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "sun, 06 nov 1994 08:49:37 gmt",
            "Sunday, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 19x4 08:49:37 GMT",
            "Sun Nov 6 08:49:37 1994",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(seconds(value), None, "{value}");
        }
    }
}
