//! From range-specs to satisfiable ranges of a representation (RFC 9110 §14.1.2, §14.2, §15.3.7.2).

use alloc::vec::Vec;

use crate::{ByteRange, ByteRangeSpec, Limits, RangeHeader, Reason};

/// What a valid set of ranges means for a representation of a known length.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resolved {
    /// Serve the whole representation, for this reason.
    Full(Reason),
    /// No range overlaps the representation.
    Unsatisfiable,
    /// One range is left.
    Single(ByteRange),
    /// Several ranges are left, to be served in this order.
    Multi(RangeSet),
}

/// Two or more disjoint ranges in the order they are served: that of the request, a merged range standing where the
/// earliest of its members stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RangeSet {
    ranges: Vec<ByteRange>,
}

impl RangeSet {
    /// The ranges.
    #[must_use]
    pub fn as_slice(&self) -> &[ByteRange] {
        &self.ranges
    }

    /// The ranges in order.
    pub fn iter(&self) -> core::iter::Copied<core::slice::Iter<'_, ByteRange>> {
        self.ranges.iter().copied()
    }

    /// Bytes of the representation in all ranges together. They are disjoint, so this is at most its length.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        sum(&self.ranges)
    }
}

impl<'a> IntoIterator for &'a RangeSet {
    type Item = ByteRange;
    type IntoIter = core::iter::Copied<core::slice::Iter<'a, ByteRange>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl ByteRangeSpec {
    /// The bytes this selects of a representation of `len` bytes; `None` if it is not satisfiable, and for every
    /// range-spec if `len` is zero.
    ///
    /// A last-pos past the end means the end, a suffix longer than the representation means all of it.
    #[must_use]
    pub const fn resolve(self, len: u64) -> Option<ByteRange> {
        match self {
            Self::From { first } => ByteRange::new(first, len),
            Self::FromTo { first, last } if last < len => ByteRange::from_positions(first, last),
            Self::FromTo { first, .. } => ByteRange::new(first, len),
            Self::Suffix { len: 0 } => None,
            Self::Suffix { len: suffix } => ByteRange::new(len.saturating_sub(suffix), len),
        }
    }
}

impl RangeHeader<'_> {
    /// Resolves the set against a representation of `len` bytes.
    ///
    /// Overlapping and neighbouring ranges are merged, in time O(n log n) and memory O(n) for n range-specs. One
    /// range-spec allocates nothing. Of an empty representation a suffix of at least one byte is satisfiable by
    /// definition, yet selects nothing: [`Resolved::Full`].
    #[must_use]
    pub fn resolve(&self, len: u64, limits: &Limits) -> Resolved {
        if self.count() > limits.max_specs {
            return Resolved::Full(Reason::TooManyRanges);
        }
        if len == 0 {
            let selects = |spec| matches!(spec, ByteRangeSpec::Suffix { len } if len > 0);
            return if self.specs().any(selects) {
                Resolved::Full(Reason::EmptyRepresentation)
            } else {
                Resolved::Unsatisfiable
            };
        }
        if self.count() == 1 {
            return match limited(self.first(), len, limits) {
                Some(range) => admit_one(range, limits),
                None => Resolved::Unsatisfiable,
            };
        }
        let mut ranges = Vec::with_capacity(self.count());
        ranges.extend(self.specs().filter_map(|spec| limited(spec, len, limits)));
        if !is_ascending(&ranges, limits.coalesce_gap) {
            ranges = coalesce(ranges, limits.coalesce_gap);
        }
        match ranges[..] {
            [] => Resolved::Unsatisfiable,
            [range] => admit_one(range, limits),
            _ => admit_several(ranges, len, limits),
        }
    }
}

fn limited(spec: ByteRangeSpec, len: u64, limits: &Limits) -> Option<ByteRange> {
    let range = spec.resolve(len)?;
    match (spec, limits.max_open_len) {
        (ByteRangeSpec::From { .. }, Some(most)) if most < range.len() => {
            // A server may send less than asked: the 206 says what it holds (RFC 9110 §15.3.7.1).
            ByteRange::new(range.start(), range.start().saturating_add(most.max(1)))
        }
        _ => Some(range),
    }
}

fn admit_one(range: ByteRange, limits: &Limits) -> Resolved {
    if limits.max_bytes.is_some_and(|most| range.len() > most) {
        return Resolved::Full(Reason::TooManyBytes);
    }
    Resolved::Single(range)
}

fn admit_several(ranges: Vec<ByteRange>, len: u64, limits: &Limits) -> Resolved {
    let bytes = sum(&ranges);
    let overhead = PART_OVERHEAD.saturating_mul(ranges.len() as u64);
    if ranges.len() > limits.max_parts {
        Resolved::Full(Reason::TooManyRanges)
    } else if limits.max_bytes.is_some_and(|most| bytes > most) {
        Resolved::Full(Reason::TooManyBytes)
    } else if bytes.checked_add(overhead).is_none_or(|total| total > len) {
        Resolved::Full(Reason::Inefficient)
    } else {
        Resolved::Multi(RangeSet { ranges })
    }
}

/// Whether the ranges stand in ascending order with more than `gap` bytes between them: the ordinary case, in which
/// nothing is to be merged.
fn is_ascending(ranges: &[ByteRange], gap: u64) -> bool {
    ranges.windows(2).all(|pair| pair[0].end().saturating_add(gap) < pair[1].start())
}

/// Merges ranges that overlap, touch, or lie at most `gap` bytes apart.
///
/// Sorted by start, a range can only join the one before it, so one pass suffices; merging pairwise instead is the
/// quadratic mistake behind several denial-of-service reports.
fn coalesce(ranges: Vec<ByteRange>, gap: u64) -> Vec<ByteRange> {
    let mut slots: Vec<(ByteRange, usize)> = ranges.into_iter().zip(0..).collect();
    slots.sort_unstable();
    let mut merged: Vec<(ByteRange, usize)> = Vec::with_capacity(slots.len());
    for (range, slot) in slots {
        match merged.last_mut() {
            Some((last, earliest)) if range.start() <= last.end().saturating_add(gap) => {
                *earliest = slot.min(*earliest);
                *last = ByteRange::new(last.start(), range.end().max(last.end())).unwrap_or(*last);
            }
            _ => merged.push((range, slot)),
        }
    }
    merged.sort_unstable_by_key(|(_, slot)| *slot);
    merged.into_iter().map(|(range, _)| range).collect()
}

fn sum(ranges: &[ByteRange]) -> u64 {
    ranges.iter().fold(0, |total, range| total.saturating_add(range.len()))
}

/// What RFC 9110 §15.3.7.2 estimates for the head of one part, in bytes.
const PART_OVERHEAD: u64 = 80;

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use super::*;

    fn range(start: u64, end: u64) -> ByteRange {
        ByteRange::new(start, end).unwrap()
    }

    fn resolve_with(value: &str, len: u64, limits: &Limits) -> Resolved {
        RangeHeader::parse(value.as_bytes(), 10_000).unwrap().resolve(len, limits)
    }

    fn resolve(value: &str, len: u64) -> Resolved {
        resolve_with(value, len, &Limits::default())
    }

    fn several(ranges: &[(u64, u64)]) -> Resolved {
        Resolved::Multi(RangeSet { ranges: ranges.iter().map(|(start, end)| range(*start, *end)).collect() })
    }

    #[test]
    fn one_range_is_clamped_to_the_representation() {
        use Resolved::{Full, Single, Unsatisfiable};
        for (value, len, expected, because) in [
            ("bytes=0-4", 10, Single(range(0, 5)), "last-pos is inclusive"),
            ("bytes=0-9", 10, Single(range(0, 10)), "the whole is a range too"),
            ("bytes=2-50", 9, Single(range(2, 9)), "a last-pos past the end means the end"),
            ("bytes=9-", 10, Single(range(9, 10)), "the last byte"),
            ("bytes=-3", 10, Single(range(7, 10)), "suffix"),
            (
                "bytes=-99",
                10,
                Single(range(0, 10)),
                "a suffix longer than the representation selects all of it",
            ),
            ("bytes=-0", 10, Unsatisfiable, "a suffix of nothing"),
            ("bytes=10-", 10, Unsatisfiable, "first-pos must lie before the end"),
            ("bytes=11-12", 10, Unsatisfiable, "past the end"),
            ("bytes=0-18446744073709551615", 10, Single(range(0, 10)), "last-pos + 1 would overflow"),
            ("bytes=18446744073709551616-18446744073709551620", 10, Unsatisfiable, "wrapped it would be 0-4"),
            ("bytes=18446744073709551615-", u64::MAX, Unsatisfiable, "one past the longest representation"),
            ("bytes=18446744073709551614-", u64::MAX, Single(range(u64::MAX - 1, u64::MAX)), "its last byte"),
            ("bytes=-18446744073709551616", u64::MAX, Single(range(0, u64::MAX)), "all of it"),
            ("bytes=0-", 0, Unsatisfiable, "an empty representation has no first byte"),
            ("bytes=0-0", 0, Unsatisfiable, "nor a range"),
            ("bytes=-0", 0, Unsatisfiable, "nor a suffix of nothing"),
            (
                "bytes=-5",
                0,
                Full(Reason::EmptyRepresentation),
                "§14.1.2: satisfiable if suffix-length is non-zero",
            ),
        ] {
            assert_eq!(resolve(value, len), expected, "{value} of {len}: {because}");
        }
    }

    #[test]
    fn several_ranges_keep_the_order_of_the_request() {
        for (value, len, expected, because) in [
            ("bytes=0-0,-1", 10_000, several(&[(0, 1), (9_999, 10_000)]), "first and last byte"),
            ("bytes=9000-9099,0-99", 10_000, several(&[(9_000, 9_100), (0, 100)]), "§15.3.7.2 request order"),
            ("bytes=15-,0-5", 10, Resolved::Single(range(0, 6)), "unsatisfiable members are dropped"),
            ("bytes=200-,-0", 200, Resolved::Unsatisfiable, "nothing is left"),
            ("bytes=500-700,601-999", 10_000, Resolved::Single(range(500, 1_000)), "overlap"),
            ("bytes=1-2,3-5", 9, Resolved::Single(range(1, 6)), "neighbours"),
            (
                "bytes=0-9,138-147",
                10_000,
                Resolved::Single(range(0, 148)),
                "128 bytes between them cost less than a part",
            ),
            ("bytes=0-9,139-148", 10_000, several(&[(0, 10), (139, 149)]), "129 bytes do not"),
            ("bytes=0-,-1", 1_000, Resolved::Single(range(0, 1_000)), "an open range swallows a suffix"),
            (
                "bytes=2000-3000,500-1500,0-500,2500-3500",
                10_000,
                several(&[(2_000, 3_501), (0, 1_501)]),
                "a merged range stands where its earliest member stood",
            ),
            ("bytes=-5", 10, Resolved::Single(range(5, 10)), "one is one"),
        ] {
            assert_eq!(resolve(value, len), expected, "{value} of {len}: {because}");
        }
    }

    #[test]
    fn an_answer_longer_than_the_representation_is_never_planned() {
        let tiny: String = (0..40).map(|part| std::format!("{}-{},", part * 200, part * 200)).collect();
        for (value, because) in [
            (std::format!("bytes={tiny}"), "40 parts"),
            (std::format!("bytes={}", "0-,".repeat(65)), "65 range-specs, however they would merge"),
        ] {
            assert_eq!(resolve(&value, 10_000), Resolved::Full(Reason::TooManyRanges), "{because}");
        }
        let limits = Limits { coalesce_gap: 10, ..Limits::default() };
        let halves = several(&[(0, 400), (600, 1_000)]);
        assert_eq!(resolve_with("bytes=0-399,600-999", 1_000, &limits), halves, "800 + 2 * 80 fit");
        let full = Resolved::Full(Reason::Inefficient);
        assert_eq!(resolve_with("bytes=0-449,500-999", 1_000, &limits), full, "950 + 2 * 80 do not");
    }

    #[test]
    fn limits_on_bytes_and_open_ranges_hold() {
        let limits = Limits { max_bytes: Some(100), ..Limits::default() };
        assert_eq!(resolve_with("bytes=0-99", 1_000, &limits), Resolved::Single(range(0, 100)));
        assert_eq!(resolve_with("bytes=0-100", 1_000, &limits), Resolved::Full(Reason::TooManyBytes));
        assert_eq!(resolve_with("bytes=0-59,500-559", 1_000, &limits), Resolved::Full(Reason::TooManyBytes));
        let limits = Limits { max_open_len: Some(64), ..Limits::default() };
        assert_eq!(resolve_with("bytes=10-", 1_000, &limits), Resolved::Single(range(10, 74)));
        assert_eq!(resolve_with("bytes=990-", 1_000, &limits), Resolved::Single(range(990, 1_000)));
        assert_eq!(
            resolve_with("bytes=10-900", 1_000, &limits),
            Resolved::Single(range(10, 901)),
            "not open"
        );
    }

    #[test]
    fn merged_ranges_are_disjoint_and_cover_the_same_bytes() {
        let ranges = vec![range(5, 9), range(0, 1), range(8, 20), range(30, 31), range(1, 2), range(20, 21)];
        assert_eq!(coalesce(ranges, 0), vec![range(5, 21), range(0, 2), range(30, 31)]);
        let far = vec![range(0, 1), range(u64::MAX - 1, u64::MAX)];
        assert_eq!(coalesce(far.clone(), 0), far);
        assert_eq!(coalesce(far, u64::MAX), vec![range(0, u64::MAX)]);
    }
}
