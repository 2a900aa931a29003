//! The Content-Range response field (RFC 9110 §14.4).
//!
//! ```text
//! Content-Range: bytes 42-1233/1234
//! Content-Range: bytes 42-1233/*
//! Content-Range: bytes */1234
//! ```

use core::error::Error;
use core::fmt;
use core::str::FromStr;

use crate::ByteRange;
use crate::scan::{Decimal, is_token, take_decimal, trim_ows};

/// What a Content-Range field says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentRange {
    /// The enclosed bytes of a 206 or of one part.
    Range {
        /// Which bytes.
        range: ByteRange,
        /// The complete-length, more than `range.last()`; `None` where the sender does not know it.
        complete: Option<u64>,
    },
    /// The complete-length in a 416.
    Unsatisfied {
        /// The complete-length.
        complete: u64,
    },
}

/// Why a Content-Range field value cannot be used. A client must not recombine such an answer with what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContentRangeError {
    /// A range unit other than `bytes`.
    UnknownUnit,
    /// Not a Content-Range.
    Malformed,
    /// Last-pos before first-pos.
    Inverted,
    /// A complete-length that does not reach past last-pos.
    PastComplete,
    /// A number above `u64::MAX`.
    TooLarge,
}

impl fmt::Display for ContentRangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownUnit => "range unit is not bytes",
            Self::Malformed => "malformed Content-Range",
            Self::Inverted => "last-pos lies before first-pos",
            Self::PastComplete => "range reaches past the complete-length",
            Self::TooLarge => "number does not fit 64 bits",
        })
    }
}

impl Error for ContentRangeError {}

impl ContentRange {
    /// `bytes first-last/complete`, or `None` if the range does not lie within `complete`.
    #[must_use]
    pub const fn range(range: ByteRange, complete: u64) -> Option<Self> {
        if range.last() < complete { Some(Self::Range { range, complete: Some(complete) }) } else { None }
    }

    /// The complete-length, where it is told.
    #[must_use]
    pub const fn complete(self) -> Option<u64> {
        match self {
            Self::Range { complete, .. } => complete,
            Self::Unsatisfied { complete } => Some(complete),
        }
    }

    /// Reads one field value. Strict, since bytes are placed by it; outer whitespace and unit case are forgiven.
    ///
    /// # Errors
    /// [`ContentRangeError`]; all of them mean that the body must not be used.
    pub fn parse(value: &[u8]) -> Result<Self, ContentRangeError> {
        match Written::parse(value)? {
            Written::Unsatisfied { complete } => Ok(Self::Unsatisfied { complete: exact(complete)? }),
            Written::Range { first, last, complete } => {
                let range = ByteRange::from_positions(exact(first)?, exact(last)?)
                    .ok_or(ContentRangeError::Inverted)?;
                match complete.map(exact).transpose()? {
                    Some(complete) => Self::range(range, complete).ok_or(ContentRangeError::PastComplete),
                    None => Ok(Self::Range { range, complete: None }),
                }
            }
        }
    }

    /// The N of `bytes N-(N-1)/N`: no valid range, but how some caches say that nothing is left after byte N.
    pub(crate) fn past_the_end(value: &[u8]) -> Option<u64> {
        let Written::Range { first, last, complete: Some(complete) } = Written::parse(value).ok()? else {
            return None;
        };
        let (first, last, complete) = (first.exact()?, last.exact()?, complete.exact()?);
        (first == complete && last.checked_add(1) == Some(first)).then_some(complete)
    }
}

/// The numbers as they are written, whether or not they make sense together.
enum Written {
    Range { first: Decimal, last: Decimal, complete: Option<Decimal> },
    Unsatisfied { complete: Decimal },
}

impl Written {
    fn parse(value: &[u8]) -> Result<Self, ContentRangeError> {
        let value = trim_ows(value);
        let space = value.iter().position(|byte| *byte == b' ').ok_or(ContentRangeError::Malformed)?;
        let (unit, rest) = (&value[..space], &value[space + 1..]);
        if !is_token(unit) {
            return Err(ContentRangeError::Malformed);
        }
        if !unit.eq_ignore_ascii_case(b"bytes") {
            return Err(ContentRangeError::UnknownUnit);
        }
        if let [b'*', b'/', complete @ ..] = rest {
            return Ok(Self::Unsatisfied { complete: last_decimal(complete)? });
        }
        let (first, rest) = take_decimal(rest).ok_or(ContentRangeError::Malformed)?;
        let [b'-', rest @ ..] = rest else { return Err(ContentRangeError::Malformed) };
        let (last, rest) = take_decimal(rest).ok_or(ContentRangeError::Malformed)?;
        let complete = match rest {
            b"/*" => None,
            [b'/', complete @ ..] => Some(last_decimal(complete)?),
            _ => return Err(ContentRangeError::Malformed),
        };
        Ok(Self::Range { first, last, complete })
    }
}

impl FromStr for ContentRange {
    type Err = ContentRangeError;

    fn from_str(value: &str) -> Result<Self, ContentRangeError> {
        Self::parse(value.as_bytes())
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { range, complete: Some(complete) } => write!(f, "bytes {range}/{complete}"),
            Self::Range { range, complete: None } => write!(f, "bytes {range}/*"),
            Self::Unsatisfied { complete } => write!(f, "bytes */{complete}"),
        }
    }
}

fn last_decimal(input: &[u8]) -> Result<Decimal, ContentRangeError> {
    match take_decimal(input) {
        Some((number, [])) => Ok(number),
        _ => Err(ContentRangeError::Malformed),
    }
}

fn exact(number: Decimal) -> Result<u64, ContentRangeError> {
    // Saturating would be a wrong place for bytes; a server may saturate, a client must refuse.
    number.exact().ok_or(ContentRangeError::TooLarge)
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn enclosed(first: u64, last: u64, complete: Option<u64>) -> ContentRange {
        ContentRange::Range { range: ByteRange::from_positions(first, last).unwrap(), complete }
    }

    #[test]
    fn every_valid_form_is_read_and_written_back() {
        for (value, expected) in [
            ("bytes 500-999/1234", enclosed(500, 999, Some(1234))),
            ("bytes 42-1233/*", enclosed(42, 1233, None)),
            ("bytes 0-0/1", enclosed(0, 0, Some(1))),
            ("bytes */1234", ContentRange::Unsatisfied { complete: 1234 }),
            ("bytes */0", ContentRange::Unsatisfied { complete: 0 }),
            (
                "bytes 18446744073709551614-18446744073709551614/18446744073709551615",
                enclosed(u64::MAX - 1, u64::MAX - 1, Some(u64::MAX)),
            ),
            ("bytes 18446744073709551615-18446744073709551615/*", enclosed(u64::MAX, u64::MAX, None)),
        ] {
            assert_eq!(value.parse(), Ok(expected), "{value}");
            assert_eq!(expected.to_string(), value);
        }
        for (value, expected) in [
            ("Bytes 0-4/10", enclosed(0, 4, Some(10))),
            (" bytes 0-4/10\t", enclosed(0, 4, Some(10))),
            ("bytes 0001-0000000000000000000000002/003", enclosed(1, 2, Some(3))),
        ] {
            assert_eq!(value.parse(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_cannot_place_bytes_is_refused() {
        use ContentRangeError::{Inverted, Malformed, PastComplete, TooLarge, UnknownUnit};
        for (value, expected) in [
            ("", Malformed),
            ("bytes", Malformed),
            ("bytes ", Malformed),
            ("*/526", Malformed),
            ("bytes=0-4/10", Malformed),
            ("bytes: 0-4/10", Malformed),
            ("bytes0-4/10", Malformed),
            ("bytes 0-4/", Malformed),
            ("bytes /10", Malformed),
            ("bytes -2/3", Malformed),
            ("bytes 0-/10", Malformed),
            ("bytes 0-4", Malformed),
            ("bytes */", Malformed),
            ("bytes */*", Malformed),
            ("bytes *-4/10", Malformed),
            ("bytes 0-*/10", Malformed),
            ("bytes 0-98/*x", Malformed),
            ("bytes +1-2/3", Malformed),
            ("bytes 0-4/-10", Malformed),
            ("bytes 0x1-0x2/3", Malformed),
            ("bytes 1-3/20 1", Malformed),
            ("bytes 0-4/10;x=1", Malformed),
            ("bytes 0-4/10, bytes 5-9/10", Malformed),
            ("bytes  0-4/10", Malformed),
            ("bytes\t0-4/10", Malformed),
            ("bytes 1-0/20", Inverted),
            ("bytes 1-20/20", PastComplete),
            ("bytes 0-0/0", PastComplete),
            ("bytes 0-18446744073709551616/18446744073709551617", TooLarge),
            ("bytes */18446744073709551616", TooLarge),
            ("items 0-4/10", UnknownUnit),
            ("exampleunit 1.2-4.3/25", UnknownUnit),
        ] {
            assert_eq!(value.parse::<ContentRange>(), Err(expected), "{value}");
        }
    }

    #[test]
    fn a_range_outside_its_complete_length_cannot_be_built() {
        let range = ByteRange::new(0, 11).unwrap();
        assert_eq!(ContentRange::range(range, 10), None);
        assert_eq!(ContentRange::range(range, 11).and_then(ContentRange::complete), Some(11));
    }
}
