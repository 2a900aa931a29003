//! Where the bytes stand: what a map of a download is drawn from.

use tokio_util::sync::CancellationToken;

use super::*;
use crate::coverage::Coverage;
use crate::lease::Bounds;
use crate::schedule::LeaseId;

impl Stage {
    /// A request under way, as the engine enters it.
    fn lease(&self, number: u64, range: Range<u64>) -> Bounds {
        let bounds = Bounds::new(range.start, Some(range.end), &CancellationToken::new());
        self.board.notes().leases.insert(LeaseId(number), bounds.clone());
        bounds
    }

    fn coverage(&self) -> Coverage {
        self.content.coverage()
    }
}

fn set(ranges: &[Range<u64>]) -> RangeSet {
    ranges.iter().cloned().collect()
}

#[test]
fn a_download_that_nobody_knows_anything_of_yet_covers_nothing() {
    assert_eq!(Stage::empty().coverage(), Coverage::default());
}

#[test]
fn what_is_on_its_way_is_what_the_requests_under_way_have_still_to_bring() {
    let stage = Stage::of(1000);
    stage.write(0..100);
    let (first, last) = (stage.lease(1, 100..500), stage.lease(2, 600..u64::MAX));
    assert_eq!(stage.coverage().arriving, set(&[100..500, 600..1000]), "no further than the file goes");
    first.claim(50);
    stage.write(100..150);
    last.end();
    let coverage = stage.coverage();
    assert_eq!((coverage.held, coverage.arriving), (set(&[0..150]), set(&[150..500])));
    assert_eq!((coverage.generation, coverage.total), (Some(1), Some(1000)));
}

#[test]
fn what_is_waited_for_is_what_readers_and_requests_miss_and_not_the_rest_of_the_file() {
    let stage = Stage::of(100 * MIB);
    stage.write(0..MIB);
    assert_eq!(stage.coverage().wanted, RangeSet::new());
    let reader = stage.content.reader(0..u64::MAX);
    let request = stage.content.request(99 * MIB..u64::MAX, Priority::Low);
    assert_eq!(
        stage.coverage().wanted,
        set(&[MIB..4 * MIB, 99 * MIB..100 * MIB]),
        "its first window, and that"
    );
    drop((reader, request));
    assert_eq!(stage.coverage().wanted, RangeSet::new());
}

#[test]
fn bytes_that_were_found_unreadable_are_not_held() {
    let stage = Stage::of(1000);
    stage.write(0..1000);
    stage.board.tell(|notes| notes.unreadable.push((1, 200..300)));
    assert_eq!(stage.coverage().held, set(&[0..200, 300..1000]));
}

#[test]
fn nothing_comes_and_nobody_waits_when_the_download_is_over() {
    let stage = Stage::of(1000);
    stage.write(0..100);
    let (_lease, _reader) = (stage.lease(1, 100..1000), stage.content.reader(0..1000));
    stage.fail();
    let coverage = stage.coverage();
    assert_eq!((coverage.arriving, coverage.wanted), (RangeSet::new(), RangeSet::new()));
    assert_eq!(coverage.held, set(&[0..100]), "which a next run finds");
}
