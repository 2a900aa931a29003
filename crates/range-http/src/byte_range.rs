//! One satisfiable byte range (RFC 9110 §14.1.2).

use core::fmt;
use core::ops::Range;

/// Bytes `start..end` of a representation, counted from zero; never empty.
///
/// Half-open inside, because lengths and neighbours then need no `+ 1`. The inclusive first-pos and last-pos of the
/// wire are converted here and nowhere else.
///
/// ```
/// use range_http::ByteRange;
///
/// let range = ByteRange::new(0, 5).expect("five bytes are not empty");
/// assert_eq!((range.first(), range.last(), range.len()), (0, 4, 5));
/// assert_eq!(ByteRange::new(5, 5), None);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ByteRange {
    first: u64,
    /// Kept inclusive: a Content-Range of unknown complete-length may name the position `u64::MAX`, whose half-open
    /// end does not fit.
    last: u64,
}

impl ByteRange {
    /// The bytes `start..end`, or `None` if that is empty.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Option<Self> {
        if start < end { Some(Self { first: start, last: end - 1 }) } else { None }
    }

    /// The bytes from first-pos to last-pos as the wire names them, or `None` if last-pos lies before first-pos.
    #[must_use]
    pub const fn from_positions(first: u64, last: u64) -> Option<Self> {
        if first <= last { Some(Self { first, last }) } else { None }
    }

    /// Where the range begins.
    #[must_use]
    pub const fn start(self) -> u64 {
        self.first
    }

    /// One past the last byte. Saturates at `u64::MAX` for a range that holds the position `u64::MAX`, which no
    /// representation of a 64-bit length has.
    #[must_use]
    pub const fn end(self) -> u64 {
        self.last.saturating_add(1)
    }

    /// The inclusive first-pos of the wire.
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The inclusive last-pos of the wire.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes; at least one. Saturates like [`ByteRange::end`].
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a ByteRange is never empty")]
    pub const fn len(self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Whether `position` is one of the bytes.
    #[must_use]
    pub const fn contains(self, position: u64) -> bool {
        self.first <= position && position <= self.last
    }
}

impl From<ByteRange> for Range<u64> {
    fn from(range: ByteRange) -> Self {
        range.start()..range.end()
    }
}

impl fmt::Debug for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start(), self.end())
    }
}

/// `first-pos "-" last-pos`, as in `Range` and `Content-Range`.
impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_never_empty() {
        for (start, end) in [(0, 0), (5, 5), (6, 5), (u64::MAX, u64::MAX), (u64::MAX, 0)] {
            assert_eq!(ByteRange::new(start, end), None, "{start}..{end}");
        }
        assert_eq!(ByteRange::from_positions(1, 0), None);
    }

    #[test]
    fn positions_are_inclusive_only_on_the_wire() {
        let range = ByteRange::from_positions(500, 999).unwrap();
        assert_eq!(range, ByteRange::new(500, 1000).unwrap());
        assert_eq!((range.start(), range.end(), range.len()), (500, 1000, 500));
        assert_eq!(Range::from(range), 500..1000);
        assert!(range.contains(999) && !range.contains(1000));
        assert_eq!(std::format!("{range} {range:?}"), "500-999 500..1000");
    }

    #[test]
    fn the_largest_positions_do_not_overflow() {
        let all = ByteRange::from_positions(0, u64::MAX).unwrap();
        assert_eq!((all.len(), all.end()), (u64::MAX, u64::MAX));
        let one = ByteRange::from_positions(u64::MAX, u64::MAX).unwrap();
        assert_eq!((one.len(), one.first(), one.last()), (1, u64::MAX, u64::MAX));
    }
}
