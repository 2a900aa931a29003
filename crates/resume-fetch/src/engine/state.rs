//! What is known about one download: the image of its record and its disk.

use crate::identity::Identity;
use crate::ledger::Record;
use crate::range_set::RangeSet;

/// Always: durable ⊆ written ⊆ [0, total).
#[derive(Debug, Default)]
pub(super) struct State {
    /// 0 before anything is on record.
    pub(super) generation: u64,
    pub(super) identity: Identity,
    pub(super) written: RangeSet,
    pub(super) durable: RangeSet,
}

impl State {
    pub(super) fn total(&self) -> Option<u64> {
        self.identity.total
    }

    pub(super) fn is_whole(&self) -> bool {
        self.generation > 0 && self.total().is_some_and(|total| self.written.covers(&(0..total)))
    }

    /// The next bytes nobody holds, by offset: `[from, until)`, open at the end when it is the last gap.
    pub(super) fn next_gap(&self) -> (u64, Option<u64>) {
        match self.total() {
            Some(total) => {
                let gap = self.written.gaps(0..total).next().unwrap_or(total..total);
                (gap.start, Some(gap.end).filter(|end| *end < total))
            }
            None => (self.written.available_from(0), None),
        }
    }

    /// Where the run of held bytes that ends at `offset` begins; `offset` itself when there is none.
    pub(super) fn held_from(&self, offset: u64) -> u64 {
        self.written.iter().find(|run| run.end == offset).map_or(offset, |run| run.start)
    }

    /// Bytes written and not yet on record.
    pub(super) fn undurable(&self) -> RangeSet {
        self.written.difference(&self.durable)
    }
}

impl From<Record> for State {
    fn from(record: Record) -> Self {
        let Record { generation, identity, durable, .. } = record;
        Self { generation, identity, written: durable.clone(), durable }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    fn holding(total: Option<u64>, written: &[Range<u64>]) -> State {
        let identity = Identity { total, ..Identity::default() };
        State { generation: 1, identity, written: written.iter().cloned().collect(), ..State::default() }
    }

    #[test]
    fn the_next_gap_is_the_first_and_is_left_open_only_at_the_very_end() {
        for (total, written, expected, because) in [
            (Some(100), &[][..], (0, None), "nothing is held"),
            (Some(100), &[0..40], (40, None), "a prefix is continued to the end"),
            (Some(100), &[0..40, 60..70], (40, Some(60)), "a hole is asked for exactly"),
            (Some(100), &[10..100], (0, Some(10)), "also at the beginning"),
            (None, &[0..40], (40, None), "of an end nobody has named"),
        ] {
            assert_eq!(holding(total, written).next_gap(), expected, "{because}");
        }
    }

    #[test]
    fn a_file_is_whole_only_when_every_byte_up_to_its_known_end_is_there() {
        assert!(holding(Some(100), &[0..100]).is_whole());
        assert!(holding(Some(0), &[]).is_whole(), "an empty file is whole as soon as it is known to be one");
        assert!(!holding(Some(100), &[0..50, 51..100, 100..200]).is_whole(), "a hole of one byte");
        assert!(!holding(None, &[0..100]).is_whole(), "an end nobody has named");
        let nothing = State { generation: 0, ..holding(Some(0), &[]) };
        assert!(!nothing.is_whole(), "not before the peer was asked");
    }

    #[test]
    fn held_bytes_before_an_offset_are_those_of_the_run_that_ends_there() {
        let state = holding(None, &[0..40, 60..70]);
        assert_eq!((state.held_from(40), state.held_from(70), state.held_from(50)), (0, 60, 50));
    }
}
