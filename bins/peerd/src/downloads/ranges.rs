//! A map of one download: which of its bytes are here, on their way, and waited for.
//!
//! A row that is worked on is shown as its engine has it, any other one as it is on record. Lists are bounded: what is
//! held loses its smallest spans, so that nothing is claimed that is not there; the other two are joined over their
//! smallest gaps.

use std::cmp::Reverse;
use std::ops::Range;

use download_registry::{Download, DownloadId, DownloadState, StorageError};
use resume_fetch::{Coverage, RangeSet};
use serde::Serialize;

use super::Downloads;

/// The ranges object of the API: half-open byte offsets in ascending order, none of a list overlapping another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RangesView {
    total: Option<u64>,
    held: Vec<(u64, u64)>,
    arriving: Vec<(u64, u64)>,
    wanted: Vec<(u64, u64)>,
}

impl Downloads {
    /// Where the bytes of one download stand; `None` when there is no such row.
    ///
    /// # Errors
    /// When the registry cannot be read.
    ///
    /// # Cancel safety
    /// Safe. It only looks.
    pub async fn ranges(&self, id: DownloadId) -> Result<Option<RangesView>, StorageError> {
        let coverage = self.shared.engine_of(id).map(|engine| engine.content.coverage());
        // Until it has read its record, an engine knows less than that.
        let coverage = coverage.filter(|coverage| coverage.generation.is_some());
        let recorded = match coverage {
            Some(_) => RangeSet::new(),
            None => self.shared.registry.ranges(id).await?.into_iter().collect(),
        };
        // The row last: a file that is published in between has no record of ranges any more.
        let Some(row) = self.shared.registry.get(id).await? else { return Ok(None) };
        let total = row.identity.total.map(|total| total.bytes);
        Ok(Some(match coverage {
            _ if row.state.is_published() => {
                RangesView::recorded(total, &self.published_bytes(&row, total).await)
            }
            _ if row.state == DownloadState::Cancelled => RangesView::recorded(total, &RangeSet::new()),
            Some(coverage) => RangesView::live(total, &coverage),
            None => RangesView::recorded(total, &recorded),
        }))
    }

    /// What of a finished file is still where it was published.
    async fn published_bytes(&self, row: &Download, total: Option<u64>) -> RangeSet {
        let Some(total) = total else { return RangeSet::new() };
        let there = self.shared.published(row, total).await.is_ok();
        there.then_some(0..total).into_iter().collect()
    }
}

impl RangesView {
    fn recorded(total: Option<u64>, held: &RangeSet) -> Self {
        let held = largest(within(held, total), MOST_SPANS);
        Self { total, held: pairs(held), ..Self::default() }
    }

    /// `total` is what the row says, which is less certain than what the engine knows.
    fn live(total: Option<u64>, coverage: &Coverage) -> Self {
        let total = coverage.total.or(total);
        let outline = |set| pairs(joined(within(set, total), MOST_SPANS));
        Self {
            arriving: outline(&coverage.arriving),
            wanted: outline(&coverage.wanted),
            ..Self::recorded(total, &coverage.held)
        }
    }
}

/// The spans of `set` as far as the file goes. Where nobody knows how far that is, a span without an end is told by its
/// first byte.
fn within(set: &RangeSet, total: Option<u64>) -> Vec<Range<u64>> {
    let clipped = |span: Range<u64>| match total {
        Some(total) => span.start.min(total)..span.end.min(total),
        None if span.end == u64::MAX => span.start..span.start.saturating_add(1),
        None => span,
    };
    set.iter().map(clipped).filter(|span| !span.is_empty()).collect()
}

/// The `most` largest of `spans`, in their order.
fn largest(mut spans: Vec<Range<u64>>, most: usize) -> Vec<Range<u64>> {
    if spans.len() > most {
        spans.sort_unstable_by_key(|span| (Reverse(span.end - span.start), span.start));
        spans.truncate(most);
        spans.sort_unstable_by_key(|span| span.start);
    }
    spans
}

/// `spans`, joined over their smallest gaps until no more than `most` are left.
fn joined(spans: Vec<Range<u64>>, most: usize) -> Vec<Range<u64>> {
    let Some(surplus) = spans.len().checked_sub(most).filter(|surplus| *surplus > 0) else { return spans };
    let mut gaps: Vec<_> = spans.windows(2).map(|pair| pair[0].end..pair[1].start).collect();
    gaps.sort_unstable_by_key(|gap| (gap.end - gap.start, gap.start));
    gaps.truncate(surplus);
    spans.into_iter().chain(gaps).collect::<RangeSet>().iter().collect()
}

fn pairs(spans: Vec<Range<u64>>) -> Vec<(u64, u64)> {
    spans.into_iter().map(|span| (span.start, span.end)).collect()
}

/// Spans of one list at most: more than any map has room to show.
const MOST_SPANS: usize = 1000;

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "one range is a list of ranges, too")]
mod tests {
    use super::*;

    fn set(spans: &[Range<u64>]) -> RangeSet {
        spans.iter().cloned().collect()
    }

    #[test]
    fn a_list_that_fits_is_told_as_it_is() {
        let spans = vec![0..10, 20..30, 35..90];
        assert_eq!(largest(spans.clone(), 3), spans);
        assert_eq!(joined(spans.clone(), 3), spans);
        assert_eq!((largest(Vec::new(), 3), joined(Vec::new(), 3)), (Vec::new(), Vec::new()));
    }

    #[test]
    fn what_is_held_loses_its_smallest_spans_and_never_gains_a_byte() {
        let spans = vec![0..10, 20..25, 30..100, 110..115, 200..210];
        for (most, expected) in [
            (4, vec![0..10, 20..25, 30..100, 200..210]),
            (3, vec![0..10, 30..100, 200..210]),
            (1, vec![30..100]),
            (0, vec![]),
        ] {
            assert_eq!(largest(spans.clone(), most), expected, "at most {most}");
        }
    }

    #[test]
    fn what_is_on_its_way_is_joined_over_its_smallest_gaps_and_never_loses_a_byte() {
        let spans = vec![0..10, 20..30, 31..40, 100..110, 115..120];
        for (most, expected) in [
            (4, vec![0..10, 20..40, 100..110, 115..120]),
            (3, vec![0..10, 20..40, 100..120]),
            (2, vec![0..40, 100..120]),
            (1, vec![0..120]),
        ] {
            assert_eq!(joined(spans.clone(), most), expected, "at most {most}");
        }
    }

    #[test]
    fn a_thousand_spans_are_told_whatever_there_is() {
        let scattered: RangeSet = (0..5000).map(|n| n * 10..n * 10 + 1 + n % 9).collect();
        let coverage = {
            let mut coverage = Coverage::default();
            coverage.total = Some(50_000);
            (coverage.held, coverage.arriving) = (scattered.clone(), scattered.clone());
            coverage
        };
        let view = RangesView::live(None, &coverage);
        assert_eq!((view.held.len(), view.arriving.len()), (MOST_SPANS, MOST_SPANS));
        assert!(view.held.iter().all(|(start, end)| scattered.covers(&(*start..*end))));
        let told: RangeSet = view.arriving.iter().map(|(start, end)| *start..*end).collect();
        assert!(scattered.iter().all(|span| told.covers(&span)));
        for list in [&view.held, &view.arriving] {
            assert!(list.windows(2).all(|pair| pair[0].1 < pair[1].0), "ascending and apart");
        }
    }

    #[test]
    fn nothing_is_told_from_beyond_the_end_and_an_end_nobody_knows_is_not_made_up() {
        let open = set(&[0..10, 50..u64::MAX]);
        assert_eq!(within(&open, Some(100)), [0..10, 50..100]);
        assert_eq!(within(&open, Some(50)), [0..10]);
        assert_eq!(within(&open, None), [0..10, 50..51]);
    }

    #[test]
    fn the_engine_knows_better_than_the_row_how_long_the_file_is() {
        let mut coverage = Coverage::default();
        coverage.held = set(&[0..10]);
        assert_eq!(RangesView::live(Some(80), &coverage).total, Some(80));
        coverage.total = Some(90);
        assert_eq!(RangesView::live(Some(80), &coverage).total, Some(90));
    }
}
