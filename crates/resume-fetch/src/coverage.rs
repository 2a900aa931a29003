//! Where the bytes of a download stand at one moment: what a map of it is drawn from.

use crate::board::Notes;
use crate::lease::Bounds;
use crate::range_set::RangeSet;

/// Where the bytes of a download stand, all as of one moment. Pure data: it does not follow what happens next.
///
/// Offsets count bytes of the file from zero, ranges are half-open. While [`total`](Self::total) is not known, a range
/// that is asked for up to the end of the file ends at [`u64::MAX`]. Its size grows with the number of separate runs of
/// held bytes, of requests under way, and of readers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Coverage {
    /// Which representation it is about: the number it is on record under, from 1; `None` while nobody knows.
    pub generation: Option<u64>,
    /// The complete-length in bytes, if known.
    pub total: Option<u64>,
    /// Written, and readable as far as anybody has found out.
    pub held: RangeSet,
    /// What the requests under way have still to bring; nothing of it is held.
    pub arriving: RangeSet,
    /// What readers stand still for or are about to reach, and what was asked for by itself, as far as it is missing. The
    /// download's own wish for the rest of the file is not in here.
    pub wanted: RangeSet,
}

impl Coverage {
    pub(crate) fn of(notes: &Notes) -> Self {
        let (held, total) = (notes.held(), notes.total);
        let end = total.unwrap_or(u64::MAX);
        // Nobody brings or waits for anything any more.
        let over = notes.end.is_some();
        let asked = notes.leases.values().filter(|_| !over).map(Bounds::left);
        let arriving = asked.map(|left| left.start.min(end)..left.end.min(end)).collect::<RangeSet>();
        let wanted = if over { RangeSet::new() } else { notes.demand.awaited(end) };
        Self {
            generation: Some(notes.generation).filter(|generation| *generation > 0),
            total,
            arriving: arriving.difference(&held),
            wanted: wanted.difference(&held),
            held,
        }
    }
}
