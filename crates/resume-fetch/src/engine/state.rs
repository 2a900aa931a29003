//! What is known about one download: the image of its record and its disk.

use crate::identity::Identity;
use crate::ledger::{Layout, Record};
use crate::range_set::RangeSet;

/// Always: durable ⊆ written ⊆ [0, total).
#[derive(Debug, Default)]
pub(super) struct State {
    /// 0 before anything is on record.
    pub(super) generation: u64,
    pub(super) identity: Identity,
    pub(super) written: RangeSet,
    pub(super) durable: RangeSet,
    /// Whether the record says that there may be holes.
    pub(super) layout: Layout,
}

impl State {
    pub(super) fn total(&self) -> Option<u64> {
        self.identity.total
    }

    /// Where the run of held bytes that ends at `offset` begins; `offset` itself when there is none.
    pub(super) fn held_from(&self, offset: u64) -> u64 {
        self.written.iter().find(|run| run.end == offset).map_or(offset, |run| run.start)
    }

    /// Bytes written and not yet on record.
    pub(super) fn undurable(&self) -> RangeSet {
        self.written.difference(&self.durable)
    }

    /// How many they are.
    pub(super) fn undurable_len(&self) -> u64 {
        self.written.len().saturating_sub(self.durable.len())
    }
}

impl From<Record> for State {
    fn from(record: Record) -> Self {
        let Record { generation, identity, durable, layout, .. } = record;
        Self { generation, identity, written: durable.clone(), durable, layout }
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
    fn held_bytes_before_an_offset_are_those_of_the_run_that_ends_there() {
        let state = holding(None, &[0..40, 60..70]);
        assert_eq!((state.held_from(40), state.held_from(70), state.held_from(50)), (0, 60, 50));
    }
}
