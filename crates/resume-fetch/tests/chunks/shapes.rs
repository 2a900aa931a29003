//! Lengths and bounds of every kind.

use resume_fetch::{Connections, RangeSet, Wanted};
use scripted_peer::Representation;

use crate::common::{FILE, KIB, Lab, MIB, SEED, drive};
use crate::stage::part_is_true;

/// Fetches `wanted` of a file of `total` bytes, and nothing else.
async fn brings(total: u64, wanted: &RangeSet, expected: &RangeSet) -> Lab {
    let lab = Lab::new(Representation::seeded(SEED, total).etag("\"a\"")).await;
    let request = lab.request().want(Wanted::Ranges(wanted.clone())).connections(Connections::fixed(4));
    let completed = drive(lab.start(request)).await.done();
    assert_eq!((completed.total, completed.published), (total, false), "{wanted:?} of {total}");
    assert_eq!(completed.received, expected.len(), "{wanted:?} of {total}");
    let record = lab.record().await.unwrap();
    assert_eq!((record.durable, record.identity.total), (expected.clone(), Some(total)));
    part_is_true(&lab, expected);
    lab
}

fn set(ranges: impl IntoIterator<Item = std::ops::Range<u64>>) -> RangeSet {
    ranges.into_iter().collect()
}

// C01
#[tokio::test]
async fn a_range_may_begin_and_end_anywhere() {
    let total = 2 * MIB + 777;
    for range in [
        0..1,
        0..PIECE,
        1..2,
        12_345..23_456,
        MIB - 1..MIB + 1,
        total - 1..total,
        total - 777..total,
        0..total - 1,
        0..total,
    ] {
        let lab = brings(total, &set([range.clone()]), &set([range.clone()])).await;
        assert_eq!(lab.peer.requests(FILE).len(), 1, "{range:?}");
    }
}

// C15, P22
#[tokio::test]
async fn the_last_bytes_of_a_file_of_any_length_are_fetched_once_and_then_held() {
    for total in [MIB, MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 3 * MIB + PIECE - 1] {
        // Thirteen ranges, each one byte from the next; the last one asks for more than there is.
        let lanes = 13;
        let lane = total / lanes;
        let wanted = set((0..lanes).map(|n| {
            let end = if n + 1 == lanes { u64::MAX } else { (n + 1) * lane - 1 };
            n * lane..end
        }));
        let expected = set(wanted.iter().map(|range| range.start..range.end.min(total)));
        let lab = brings(total, &wanted, &expected).await;
        assert_eq!(lab.peer.requests(FILE).len(), lanes as usize, "{total}");
        let again = lab.request().want(Wanted::Ranges(set([total - 1..u64::MAX])));
        assert_eq!(drive(lab.start(again)).await.done().received, 0, "{total}: the tail is there");
        drive(lab.start(lab.request().connections(Connections::fixed(4)))).await.done();
        lab.published(SEED, total);
    }
}

// C15, P46
#[tokio::test]
async fn a_file_under_a_mebibyte_is_one_request_whatever_its_length() {
    for total in [0, 1, 2, PIECE, MIB - 1] {
        let lab = Lab::new(Representation::seeded(SEED, total).etag("\"a\"")).await;
        let request = lab.request().connections(Connections::fixed(16));
        assert_eq!(drive(lab.start(request)).await.done().received, total);
        lab.published(SEED, total);
        assert_eq!(lab.peer.requests(FILE).len(), 1, "{total}");
    }
}

// P46
#[tokio::test]
async fn ranges_of_an_empty_file_are_none() {
    let wanted = set([0..10, 100..u64::MAX]);
    brings(0, &wanted, &RangeSet::new()).await;
}

// C24
#[tokio::test]
async fn ranges_past_the_end_are_none_when_others_tell_where_it_is() {
    let total = MIB + 5;
    let wanted = set([0..10, total..total + 10, 1 << 40..u64::MAX]);
    let lab = brings(total, &wanted, &set([0..10])).await;
    assert_eq!(lab.peer.requests(FILE).len(), 1, "nobody asks for what cannot be");
}

// C24, P22: nobody knew where the file ends when it was asked for.
#[tokio::test]
async fn a_range_past_the_end_alone_is_none_and_that_is_found_out_with_a_byte() {
    let lab = Lab::new(Representation::seeded(SEED, MIB).etag("\"a\"")).await;
    let request = lab.request().want(Wanted::Ranges(set([2 * MIB..3 * MIB])));
    let completed = drive(lab.start(request)).await.done();
    assert_eq!((completed.total, completed.published), (MIB, false));
    assert!(completed.received <= 1);
    assert_eq!(lab.peer.requests(FILE).len(), 2);
}

// C02, C12: without a wish there is no request.
#[tokio::test]
async fn no_ranges_at_all_are_not_asked_for() {
    let lab = Lab::new(Representation::seeded(SEED, MIB).etag("\"a\"")).await;
    let earlier = lab.request().want(Wanted::Ranges(set([0..KIB])));
    drive(lab.start(earlier)).await.done();
    let request = lab.request().want(Wanted::Ranges(RangeSet::new()));
    assert_eq!(drive(lab.start(request)).await.done().received, 0);
    assert_eq!(lab.peer.requests(FILE).len(), 1);
}

const PIECE: u64 = 64 * KIB;
