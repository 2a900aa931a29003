//! Which bytes: a set of byte offsets kept as sorted, disjoint, non-touching half-open ranges.
//!
//! Completeness is always [`RangeSet::covers`], never a sum or a count: two overlapping writes must not add up to a
//! file with a hole in it.

use std::ops::Range;

/// A set of byte offsets, merged as it grows.
///
/// Offsets count bytes of the representation from zero; ranges are half-open. Memory is proportional to the number of
/// separate runs, so a sequential download costs one entry.
///
/// ```
/// use resume_fetch::RangeSet;
///
/// let mut held = RangeSet::new();
/// held.insert(0..100);
/// held.insert(100..150);
/// assert!(held.covers(&(0..150)));
/// assert_eq!(held.gaps(0..200).collect::<Vec<_>>(), [150..200]);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RangeSet {
    /// Sorted by start; every end lies strictly before the next start.
    runs: Vec<Range<u64>>,
}

impl RangeSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// Adds every offset of `range`; an empty range adds nothing.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        // Touching counts as overlapping here, so that neighbours become one run.
        let first = self.runs.partition_point(|run| run.end < range.start);
        let last = self.runs.partition_point(|run| run.start <= range.end);
        let merged = match self.runs.get(first..last) {
            Some([head, .., tail]) => range.start.min(head.start)..range.end.max(tail.end),
            Some([only]) => range.start.min(only.start)..range.end.max(only.end),
            _ => range,
        };
        self.runs.splice(first..last, [merged]);
    }

    /// Removes every offset of `range`, splitting a run that reaches over both ends.
    pub fn remove(&mut self, range: &Range<u64>) {
        if range.is_empty() {
            return;
        }
        let first = self.runs.partition_point(|run| run.end <= range.start);
        let last = self.runs.partition_point(|run| run.start < range.end);
        let Some(hit) = self.runs.get(first..last).filter(|hit| !hit.is_empty()) else { return };
        let before = hit[0].start..range.start;
        let after = range.end..hit[hit.len() - 1].end;
        let kept = [before, after].into_iter().filter(|run| !run.is_empty());
        self.runs.splice(first..last, kept);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.runs.clear();
    }

    /// Whether every offset of `range` is in the set; an empty range is always covered.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.run_at(range.start).is_some_and(|run| run.end >= range.end)
    }

    /// The end of the run that holds `offset`, or `offset` itself when it is not in the set: how far one can read.
    pub fn available_from(&self, offset: u64) -> u64 {
        self.run_at(offset).map_or(offset, |run| run.end)
    }

    /// Number of offsets in the set.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.end - run.start).sum()
    }

    /// Whether no offset is in the set.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The separate runs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.runs.iter().cloned()
    }

    /// The parts of `within` that are not in the set, in ascending order.
    pub fn gaps(&self, within: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.runs.partition_point(|run| run.end <= within.start);
        let mut runs = self.runs[first..].iter();
        let mut at = within.start;
        std::iter::from_fn(move || {
            while at < within.end {
                let next = runs.next().map_or(within.end..within.end, Clone::clone);
                let gap = at..next.start.min(within.end);
                at = next.end.max(at);
                if next.start >= within.end {
                    at = within.end;
                }
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }

    /// The offsets of `self` that are not in `other`.
    pub fn difference(&self, other: &RangeSet) -> RangeSet {
        RangeSet { runs: self.runs.iter().flat_map(|run| other.gaps(run.clone())).collect() }
    }

    fn run_at(&self, offset: u64) -> Option<&Range<u64>> {
        let index = self.runs.partition_point(|run| run.end <= offset);
        self.runs.get(index).filter(|run| run.start <= offset)
    }
}

impl FromIterator<Range<u64>> for RangeSet {
    fn from_iter<I: IntoIterator<Item = Range<u64>>>(ranges: I) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

impl Extend<Range<u64>> for RangeSet {
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, ranges: I) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl std::fmt::Debug for RangeSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(&self.runs).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[Range<u64>]) -> RangeSet {
        ranges.iter().cloned().collect()
    }

    #[test]
    fn neighbours_and_overlaps_become_one_run_whatever_the_order() {
        for order in [[0..10, 10..20, 5..12], [10..20, 5..12, 0..10], [5..12, 0..10, 10..20]] {
            assert_eq!(set(&order).iter().collect::<Vec<_>>(), [0..20], "{order:?}");
        }
        assert_eq!(set(&[0..10, 11..20]).iter().count(), 2, "a hole of one byte keeps them apart");
        assert_eq!(
            set(&[0..5, 20..25, 5..20]).iter().collect::<Vec<_>>(),
            [0..25],
            "filling a gap joins three"
        );
    }

    #[test]
    fn removing_splits_the_run_it_falls_into() {
        let mut held = set(&[0..100]);
        held.remove(&(40..60));
        assert_eq!(held.iter().collect::<Vec<_>>(), [0..40, 60..100]);
        held.remove(&(0..1000));
        assert!(held.is_empty());
    }

    #[test]
    fn a_hole_is_never_covered_and_a_length_never_stands_for_a_prefix() {
        let held = set(&[0..10, 20..30]);
        assert!(held.covers(&(20..30)) && held.covers(&(7..7)));
        assert!(!held.covers(&(9..21)) && !held.covers(&(0..20)));
        assert_eq!((held.available_from(5), held.available_from(10), held.available_from(25)), (10, 10, 30));
    }

    #[test]
    fn every_operation_agrees_with_a_bitmap_for_a_thousand_random_histories() {
        for seed in 0..1000 {
            let mut rng = fastrand::Rng::with_seed(seed);
            let (mut set, mut bits) = (RangeSet::new(), [false; 64]);
            for _ in 0..20 {
                let start = rng.u64(0..64);
                let range = start..rng.u64(start..=64);
                let add = rng.bool();
                if add {
                    set.insert(range.clone());
                } else {
                    set.remove(&range);
                }
                bits[range.start as usize..range.end as usize].fill(add);
                for (at, bit) in bits.iter().enumerate() {
                    assert_eq!(set.covers(&(at as u64..at as u64 + 1)), *bit, "seed {seed}, offset {at}");
                }
                assert_eq!(set.len(), bits.iter().filter(|bit| **bit).count() as u64, "seed {seed}");
                let gaps: RangeSet = set.gaps(3..61).collect();
                for (at, bit) in bits.iter().enumerate().take(61).skip(3) {
                    assert_eq!(gaps.covers(&(at as u64..at as u64 + 1)), !bit, "seed {seed}, gap at {at}");
                }
                assert!(
                    set.iter().zip(set.iter().skip(1)).all(|(a, b)| a.end < b.start),
                    "seed {seed}: runs touch"
                );
                let copy: RangeSet = set.difference(&gaps);
                assert_eq!(copy, set, "seed {seed}: gaps overlap the set");
            }
        }
    }
}
