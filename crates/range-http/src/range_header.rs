//! The Range request field (RFC 9110 §14.1.1, §14.1.2, §14.2).
//!
//! ```text
//! Range: bytes=0-499, 1000-, -500
//! ```
//! A set with one invalid member is invalid as a whole. Digits are unbounded, list members may be empty, and OWS may
//! stand around commas and after `=` (the RFC's own example has it, erratum 7306).

use core::error::Error;
use core::fmt;

use crate::scan::{Decimal, is_token, take_decimal, trim_ows_start};

/// One range-spec as written, before it meets a length.
///
/// Positions are inclusive as on the wire. Numbers past `u64::MAX` saturate, which changes no answer: no representation
/// has that many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRangeSpec {
    /// `first-`
    From {
        /// The first-pos.
        first: u64,
    },
    /// `first-last`
    FromTo {
        /// The first-pos.
        first: u64,
        /// The last-pos, inclusive and not before `first`.
        last: u64,
    },
    /// `-len`
    Suffix {
        /// How many bytes before the end; may be zero, which no representation satisfies.
        len: u64,
    },
}

/// Why a Range field value is no set of byte ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RangeError {
    /// A valid range unit other than `bytes`. A server must ignore the field (RFC 9110 §14.2).
    UnknownUnit,
    /// Not a ranges-specifier from byte `at` of the value on. An inverted range among others counts as this.
    Malformed {
        /// Offset into the value.
        at: usize,
    },
    /// The only range has its last-pos before its first-pos (RFC 9110 §14.1.1: invalid, not unsatisfiable).
    Inverted,
    /// More range-specs than the limit, or more empty list members than anyone needs.
    TooManySpecs,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownUnit => f.write_str("range unit is not bytes"),
            Self::Malformed { at } => write!(f, "malformed range at byte {at}"),
            Self::Inverted => f.write_str("last-pos lies before first-pos"),
            Self::TooManySpecs => f.write_str("too many ranges"),
        }
    }
}

impl Error for RangeError {}

/// A valid set of byte ranges, borrowed from the field value; at least one.
///
/// ```
/// use range_http::{ByteRange, Limits, RangeHeader, Resolved};
///
/// let header = RangeHeader::parse(b"bytes=-3", 64)?;
/// let last_three = ByteRange::new(7, 10).expect("three bytes");
/// assert_eq!(header.resolve(10, &Limits::default()), Resolved::Single(last_three));
/// # Ok::<(), range_http::RangeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeHeader<'a> {
    set: &'a [u8],
    first: ByteRangeSpec,
    count: usize,
}

impl<'a> RangeHeader<'a> {
    /// Reads one field value of at most `max_specs` range-specs.
    ///
    /// Takes time linear in the value and stops at the first range-spec past the limit. Allocates nothing.
    ///
    /// # Errors
    /// [`RangeError`] says whether to ignore the field (`UnknownUnit`) or to ask the policy.
    pub fn parse(value: &'a [u8], max_specs: usize) -> Result<Self, RangeError> {
        let set = match value.strip_prefix(b"bytes=") {
            Some(set) => set,
            None => other_spelling(value)?,
        };
        let mut members = Members { rest: set, empty: 0 };
        let mut first = None;
        let mut count = 0;
        let mut inverted = None;
        while members.at_member() {
            if count == max_specs {
                return Err(RangeError::TooManySpecs);
            }
            let at = value.len() - members.rest.len();
            match members.take_member() {
                Some(Member::Spec(spec)) => first = first.or(Some(spec)),
                Some(Member::Inverted) => inverted = inverted.or(Some(at)),
                None => return Err(RangeError::Malformed { at }),
            }
            count += 1;
        }
        if members.empty > MAX_EMPTY_MEMBERS {
            return Err(RangeError::TooManySpecs);
        }
        match (first, inverted) {
            (Some(first), None) => Ok(Self { set, first, count }),
            (None, Some(_)) if count == 1 => Err(RangeError::Inverted),
            (_, Some(at)) => Err(RangeError::Malformed { at }),
            (None, None) => Err(RangeError::Malformed { at: value.len() }),
        }
    }

    /// The range-specs in the order written.
    #[must_use]
    pub fn specs(&self) -> Specs<'a> {
        Specs { members: Members { rest: self.set, empty: 0 }, left: self.count }
    }

    /// The first range-spec.
    #[must_use]
    pub const fn first(&self) -> ByteRangeSpec {
        self.first
    }

    /// How many range-specs were written; at least one.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.count
    }
}

/// The range-specs of a [`RangeHeader`], in the order written.
#[derive(Debug, Clone)]
pub struct Specs<'a> {
    members: Members<'a>,
    left: usize,
}

impl Iterator for Specs<'_> {
    type Item = ByteRangeSpec;

    #[inline]
    fn next(&mut self) -> Option<ByteRangeSpec> {
        self.left = self.left.checked_sub(1)?;
        // The set was read once before: there is a member, and it is a range-spec.
        match self.members.at_member().then(|| self.members.take_member())? {
            Some(Member::Spec(spec)) => Some(spec),
            _ => None,
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Specs<'_> {}

/// `first-last` as a request would write it, without the unit.
impl fmt::Display for ByteRangeSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From { first } => write!(f, "{first}-"),
            Self::FromTo { first, last } => write!(f, "{first}-{last}"),
            Self::Suffix { len } => write!(f, "-{len}"),
        }
    }
}

/// What follows `bytes=` where that is not spelled so.
#[cold]
fn other_spelling(value: &[u8]) -> Result<&[u8], RangeError> {
    let equals = value.iter().position(|byte| *byte == b'=').ok_or(RangeError::Malformed { at: 0 })?;
    // Not on both sides: `bytes =0-4` has no valid unit.
    let unit = trim_ows_start(&value[..equals]);
    if !is_token(unit) {
        return Err(RangeError::Malformed { at: 0 });
    }
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Err(RangeError::UnknownUnit);
    }
    Ok(&value[equals + 1..])
}

/// The members of a list that are still to be read (RFC 9110 §5.6.1).
#[derive(Debug, Clone)]
struct Members<'a> {
    rest: &'a [u8],
    /// Empty ones skipped so far.
    empty: usize,
}

/// What a member is if its syntax is right.
enum Member {
    Spec(ByteRangeSpec),
    Inverted,
}

impl Members<'_> {
    /// Skips to the next member that is not empty; whether there is one. Stops within too many empty ones.
    #[inline]
    fn at_member(&mut self) -> bool {
        loop {
            self.rest = trim_ows_start(self.rest);
            match self.rest {
                [] => return false,
                [b',', rest @ ..] if self.empty <= MAX_EMPTY_MEMBERS => {
                    self.empty += 1;
                    self.rest = rest;
                }
                [b',', ..] => return false,
                _ => return true,
            }
        }
    }

    /// Reads one member with the comma after it; `None` if it is malformed.
    #[inline]
    fn take_member(&mut self) -> Option<Member> {
        let (member, rest) = take_spec(self.rest)?;
        self.rest = match trim_ows_start(rest) {
            [] => &[],
            [b',', rest @ ..] => rest,
            _ => return None,
        };
        Some(member)
    }
}

/// One range-spec and what follows it.
#[inline]
fn take_spec(input: &[u8]) -> Option<(Member, &[u8])> {
    if let [b'-', suffix @ ..] = input {
        let (len, rest) = take_decimal(suffix)?;
        return Some((Member::Spec(ByteRangeSpec::Suffix { len: len.saturated() }), rest));
    }
    let (first, rest) = take_decimal(input)?;
    let last_text = rest.strip_prefix(b"-")?;
    let Some((last, rest)) = take_decimal(last_text) else {
        return Some((Member::Spec(ByteRangeSpec::From { first: first.saturated() }), last_text));
    };
    let inverted = match (first, last) {
        (Decimal::Exact(first), Decimal::Exact(last)) => last < first,
        (Decimal::Exact(_), Decimal::TooLarge) => false,
        (Decimal::TooLarge, Decimal::Exact(_)) => true,
        (Decimal::TooLarge, Decimal::TooLarge) => {
            let first_text = &input[..input.len() - last_text.len() - 1];
            less(&last_text[..last_text.len() - rest.len()], first_text)
        }
    };
    let spec = ByteRangeSpec::FromTo { first: first.saturated(), last: last.saturated() };
    Some((if inverted { Member::Inverted } else { Member::Spec(spec) }, rest))
}

/// Whether decimal `a` is less than decimal `b`, both of any length.
fn less(a: &[u8], b: &[u8]) -> bool {
    let [a, b] = [a, b].map(|digits| {
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        &digits[zeros..]
    });
    (a.len(), a) < (b.len(), b)
}

/// "A reasonable number of empty list elements" must be accepted; more is an attack on our patience.
const MAX_EMPTY_MEMBERS: usize = 64;

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    fn specs(value: &str) -> Result<Vec<ByteRangeSpec>, RangeError> {
        let header = RangeHeader::parse(value.as_bytes(), 64)?;
        assert_eq!(header.specs().next(), Some(header.first()));
        assert_eq!(header.specs().len(), header.count());
        Ok(header.specs().collect())
    }

    #[test]
    fn every_valid_form_is_read() {
        use ByteRangeSpec::{From, FromTo, Suffix};
        for (value, expected, because) in [
            ("bytes=0-4", vec![FromTo { first: 0, last: 4 }], "§14.1.2 int-range"),
            ("bytes=5-", vec![From { first: 5 }], "§14.1.2 last-pos is optional"),
            ("bytes=-3", vec![Suffix { len: 3 }], "§14.1.2 suffix-range"),
            ("bytes=-0", vec![Suffix { len: 0 }], "valid, though never satisfiable"),
            (
                "bytes=0-0,-1",
                vec![FromTo { first: 0, last: 0 }, Suffix { len: 1 }],
                "§14.1.2 first and last byte",
            ),
            (
                "bytes= 0-999, 4500-5499, -1000",
                vec![
                    FromTo { first: 0, last: 999 },
                    FromTo { first: 4500, last: 5499 },
                    Suffix { len: 1000 },
                ],
                "§14.1.2 example with its space",
            ),
            ("BYTES=0-4", vec![FromTo { first: 0, last: 4 }], "§14.1 units are case-insensitive"),
            (
                " \tbytes=0-4\t ",
                vec![FromTo { first: 0, last: 4 }],
                "§5.5 outer whitespace is no part of the value",
            ),
            ("bytes=000-0004", vec![FromTo { first: 0, last: 4 }], "1*DIGIT allows leading zeros"),
            ("bytes=,1-2, ,\t,", vec![FromTo { first: 1, last: 2 }], "§5.6.1.2 empty list members"),
            (
                "bytes=0-0 ,\t2-2",
                vec![FromTo { first: 0, last: 0 }, FromTo { first: 2, last: 2 }],
                "OWS around commas",
            ),
            (
                "bytes=9-99999999999999999999999",
                vec![FromTo { first: 9, last: u64::MAX }],
                "§14.1.2 large numerals",
            ),
            ("bytes=99999999999999999999999-", vec![From { first: u64::MAX }], "first-pos saturates"),
            ("bytes=-99999999999999999999999", vec![Suffix { len: u64::MAX }], "a suffix saturates"),
        ] {
            assert_eq!(specs(value), Ok(expected), "{value}: {because}");
        }
    }

    #[test]
    fn a_set_with_one_invalid_member_is_invalid() {
        for (value, at) in [
            ("", 0),
            ("bytes", 0),
            ("0-4", 0),
            ("bytes 0-4", 0),
            ("=0-4", 0),
            ("by tes=0-4", 0),
            ("bytes =0-4", 0),
            ("bytes=", 6),
            ("bytes=,, ,", 10),
            ("bytes=7", 6),
            ("bytes=-", 6),
            ("bytes=--5", 6),
            ("bytes=-1-4", 6),
            ("bytes=A-", 6),
            ("bytes=0x1-0x2", 6),
            ("bytes=+0-4", 6),
            ("bytes=0-+4", 6),
            ("bytes=1.0-4", 6),
            ("bytes=1 -2", 6),
            ("bytes=1- 2", 6),
            ("bytes=0-4;q=1", 6),
            ("bytes==0-4", 6),
            ("bytes=bytes=0-4", 6),
            ("bytes=*-4", 6),
            ("bytes=0-4,-", 10),
            ("bytes=0-4, x-", 11),
            ("bytes=0-4,9-8", 10),
            ("bytes=²-", 6),
        ] {
            assert_eq!(specs(value), Err(RangeError::Malformed { at }), "{value}");
        }
        assert_eq!(RangeHeader::parse(b"bytes=\xff-\x00", 64), Err(RangeError::Malformed { at: 6 }));
    }

    #[test]
    fn another_unit_is_told_apart_from_garbage() {
        for value in ["lines=1-2", "seconds=", "exampleunit=1.2-4.3", "none=0-", "bytesx=0-4", "b!=x"] {
            assert_eq!(specs(value), Err(RangeError::UnknownUnit), "{value}");
        }
    }

    #[test]
    fn an_inverted_range_alone_is_told_apart_from_garbage() {
        for value in [
            "bytes=5-4",
            "bytes=1-0,",
            "bytes=99999999999999999999999-4",
            "bytes=99999999999999999999999-88888888888888888888888",
            "bytes=00199999999999999999999-99999999999999999999",
        ] {
            assert_eq!(specs(value), Err(RangeError::Inverted), "{value}");
        }
        assert!(specs("bytes=88888888888888888888888-99999999999999999999999").is_ok());
        assert!(specs("bytes=099999999999999999999-99999999999999999999").is_ok());
    }

    #[test]
    fn more_specs_than_the_limit_are_refused_before_any_work() {
        let value =
            |count: usize| -> String { "bytes=".chars().chain("0-0,".repeat(count).chars()).collect() };
        assert_eq!(specs(&value(64)).map(|specs| specs.len()), Ok(64));
        assert_eq!(specs(&value(65)), Err(RangeError::TooManySpecs));
        assert_eq!(RangeHeader::parse(b"bytes=0-0", 0), Err(RangeError::TooManySpecs));
        assert_eq!(specs(&std::format!("bytes={}0-0", ",".repeat(100_000))), Err(RangeError::TooManySpecs));
    }
}
