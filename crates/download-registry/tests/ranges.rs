//! The ranges in the table are the bytes that were recorded, no more and no fewer, merged.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use std::{ops::Range, path::Path};

use common::{at, identity, open};
use download_registry::WorkerError;
use proptest::prelude::*;

const SIZE: usize = 64;

#[derive(Debug, Clone)]
enum Op {
    Record(Vec<Range<u64>>),
    Subtract(Vec<Range<u64>>),
}

fn ranges() -> impl Strategy<Value = Vec<Range<u64>>> {
    let range = (0..SIZE as u64).prop_flat_map(|start| (Just(start), start + 1..=SIZE as u64));
    prop::collection::vec(range.prop_map(|(start, end)| start..end), 1..4)
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![3 => ranges().prop_map(Op::Record), 1 => ranges().prop_map(Op::Subtract)]
}

fn merged(bits: &[bool]) -> Vec<Range<u64>> {
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (n, _) in bits.iter().enumerate().filter(|(_, set)| **set) {
        let n = n as u64;
        match ranges.last_mut() {
            Some(last) if last.end == n => last.end += 1,
            _ => ranges.push(n..n + 1),
        }
    }
    ranges
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// C47, P23
    #[test]
    fn the_table_agrees_with_a_bit_per_byte(ops in prop::collection::vec(op(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let f = open().await;
            f.enqueue("film").await;
            let claim = f.claim(at(1)).await.unwrap();
            let identity = identity(SIZE as u64, "\"v1\"");
            f.registry.begin_generation(&claim.fence, &identity, None, at(1)).await.unwrap();
            let mut bits = [false; SIZE];
            for op in &ops {
                let (ranges, value) = match op {
                    Op::Record(ranges) => (ranges, true),
                    Op::Subtract(ranges) => (ranges, false),
                };
                for range in ranges {
                    bits[range.start as usize..range.end as usize].fill(value);
                }
                let durable = match op {
                    Op::Record(ranges) => f.registry.record_durable(&claim.fence, 1, ranges, at(2)).await,
                    Op::Subtract(ranges) => f.registry.subtract(&claim.fence, 1, ranges, at(2)).await,
                };
                prop_assert_eq!(durable.unwrap(), bits.iter().filter(|set| **set).count() as u64);
                let point = f.registry.resume_point(claim.download.id).await.unwrap().unwrap();
                let apart = point.ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
                prop_assert!(apart, "two rows overlap or touch: {:?}", point.ranges);
                prop_assert_eq!(point.ranges, merged(&bits));
            }
            f.registry.close().await;
            Ok(())
        })?;
    }

    /// C47
    #[test]
    fn pieces_that_arrive_in_any_order_end_as_one_range(
        order in Just((0..SIZE as u64 / 4).collect::<Vec<_>>()).prop_shuffle()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let f = open().await;
            let claim = f.begun("film").await;
            for (n, piece) in order.iter().enumerate() {
                let range = [piece * 4..piece * 4 + 4];
                let durable = f.registry.record_durable(&claim.fence, 1, &range, at(2)).await.unwrap();
                prop_assert_eq!(durable, 4 * (n as u64 + 1), "every byte counts once");
            }
            let recorded = f.registry.ranges(claim.download.id).await.unwrap();
            prop_assert_eq!(recorded, [0..SIZE as u64]);
            f.registry.close().await;
            Ok(())
        })?;
    }
}

/// C47
#[tokio::test]
async fn ranges_that_touch_become_one() {
    let f = open().await;
    let claim = f.begun("film").await;
    for (ranges, expected) in [
        (vec![10..20], vec![10..20]),
        (vec![30..40, 50..60], vec![10..20, 30..40, 50..60]),
        (vec![20..30], vec![10..40, 50..60]),
        (vec![0..10, 60..61], vec![0..40, 50..61]),
        (vec![5..55], vec![0..61]),
        (vec![7..9], vec![0..61]),
    ] {
        let durable = f.registry.record_durable(&claim.fence, 1, &ranges, at(2)).await.unwrap();
        assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), expected, "after {ranges:?}");
        assert_eq!(durable, expected.iter().map(|range| range.end - range.start).sum::<u64>());
    }
}

/// P24
#[tokio::test]
async fn taking_64_kib_out_of_a_whole_file_leaves_the_rest() {
    const TOTAL: u64 = 100 << 30;
    const LOST: Range<u64> = (50 << 30)..(50 << 30) + (64 << 10);
    let f = open().await;
    f.enqueue("film").await;
    let claim = f.claim(at(1)).await.unwrap();
    f.registry.begin_generation(&claim.fence, &identity(TOTAL, "\"v1\""), None, at(1)).await.unwrap();
    f.registry.record_durable(&claim.fence, 1, &[0..TOTAL], at(2)).await.unwrap();
    let left = f.registry.subtract(&claim.fence, 1, &[LOST], at(3)).await.unwrap();
    assert_eq!(left, TOTAL - (64 << 10));
    let id = claim.download.id;
    assert_eq!(f.registry.ranges(id).await.unwrap(), [0..LOST.start, LOST.end..TOTAL]);
    assert_eq!(
        f.registry.subtract(&claim.fence, 1, &[LOST], at(4)).await.unwrap(),
        left,
        "it is gone already"
    );
    assert_eq!(f.row(&claim).await.identity, identity(TOTAL, "\"v1\""), "the rest of the record stays");
    f.durable(&claim, LOST).await;
    assert_eq!(f.registry.ranges(id).await.unwrap(), [0..TOTAL]);
}

/// C42
#[tokio::test]
async fn a_thousand_ranges_cost_one_commit() {
    let f = open().await;
    f.enqueue("film").await;
    let claim = f.claim(at(1)).await.unwrap();
    f.registry.begin_generation(&claim.fence, &identity(10_000, "\"v1\""), None, at(1)).await.unwrap();
    let ranges: Vec<_> = (0..1000).rev().map(|n| n * 10..n * 10 + 5).collect();
    let before = commits(f.registry.path());
    let durable = f.registry.record_durable(&claim.fence, 1, &ranges, at(2)).await.unwrap();
    assert_eq!(commits(f.registry.path()), before + 1);
    assert_eq!((durable, f.registry.ranges(claim.download.id).await.unwrap().len()), (5000, 1000));
    f.registry.subtract(&claim.fence, 1, &ranges, at(3)).await.unwrap();
    assert_eq!(commits(f.registry.path()), before + 2, "and as many taken back, another one");
}

/// Counts the commits in the write-ahead log beside the database at `path`.
///
/// A frame of the log is a page behind a header of 24 bytes. The last frame of a commit has the size of the database in
/// bytes 4 to 8 of its header, all others have 0 there; frames of another round of the log have another salt.
fn commits(path: &Path) -> usize {
    let log = std::fs::read(path.with_file_name("registry.db-wal")).unwrap();
    let (header, frames) = log.split_at(32);
    let page = u32::from_be_bytes(header[8..12].try_into().unwrap()) as usize;
    let of_this_round = frames.chunks_exact(24 + page).take_while(|frame| frame[8..16] == header[16..24]);
    of_this_round.filter(|frame| frame[4..8] != [0; 4]).count()
}

#[tokio::test]
async fn a_range_that_cannot_be_is_refused_whole() {
    let f = open().await;
    let claim = f.begun("film").await;
    for bad in [50..50, Range { start: 9, end: 3 }, 99..101, 100..200] {
        let refused =
            f.registry.record_durable(&claim.fence, 1, &[0..5, bad.clone()], at(2)).await.unwrap_err();
        assert!(
            matches!(refused, WorkerError::OutOfBounds { start, end, .. } if start == bad.start && end == bad.end),
            "{bad:?}: {refused:?}"
        );
    }
    let refused = f.registry.record_durable(&claim.fence, 1, &[0..u64::MAX], at(2)).await;
    assert!(refused.is_err(), "{refused:?}");
    let refused = f.registry.record_durable(&claim.fence, 7, &[0..5], at(2)).await.unwrap_err();
    assert!(matches!(refused, WorkerError::StaleGeneration { asked: 7, current: 1 }));
    assert!(f.registry.ranges(claim.download.id).await.unwrap().is_empty());
    assert_eq!(f.row(&claim).await.durable, 0);
}

#[tokio::test]
async fn without_a_total_there_is_no_end_to_run_past() {
    let f = open().await;
    f.enqueue("film").await;
    let claim = f.claim(at(1)).await.unwrap();
    f.registry.begin_generation(&claim.fence, &Default::default(), None, at(1)).await.unwrap();
    let far = 1 << 50;
    assert_eq!(f.registry.record_durable(&claim.fence, 1, &[0..far], at(2)).await.unwrap(), far);
    let refused = f.registry.adopt_identity(&claim.fence, 1, &identity(far - 1, "\"v1\""), at(3)).await;
    assert!(
        matches!(refused, Err(WorkerError::OutOfBounds { .. })),
        "smaller than what is there: {refused:?}"
    );
    f.registry.adopt_identity(&claim.fence, 1, &identity(far, "\"v1\""), at(3)).await.unwrap();
    f.registry.seal(&claim.fence, at(4)).await.unwrap();
}

#[tokio::test]
async fn workers_that_record_at_the_same_time_get_their_own_answers() {
    let f = open().await;
    let mut workers = Vec::new();
    for n in 0..20 {
        workers.push(f.begun(&format!("file-{n}")).await);
    }
    let stale = f.begun("stale").await;
    let gone = f.begun("gone").await;
    f.registry.release(&gone.fence, at(2)).await.unwrap();

    let mut calls = Vec::new();
    let mut record = |claim: &download_registry::Claim, generation: u64, ranges: Vec<Range<u64>>| {
        let (registry, fence) = (f.registry.clone(), claim.fence);
        calls.push(tokio::spawn(
            async move { registry.record_durable(&fence, generation, &ranges, at(3)).await },
        ));
    };
    for claim in &workers {
        record(claim, 1, vec![0..10, 20..30]);
        record(claim, 1, vec![10..15]);
        record(claim, 1, vec![90..101]);
        record(claim, 1, vec![12..25, 5..5]);
    }
    record(&stale, 7, vec![0..10]);
    record(&gone, 1, vec![0..10]);
    let mut answers = Vec::new();
    for call in calls {
        answers.push(call.await.unwrap());
    }

    for (claim, answers) in workers.iter().zip(answers.chunks(4)) {
        assert!(matches!(answers[0], Ok(20 | 25)), "{answers:?}");
        assert!(matches!(answers[1], Ok(5 | 25)), "{answers:?}");
        assert!(matches!(answers[2], Err(WorkerError::OutOfBounds { end: 101, .. })), "{answers:?}");
        assert!(matches!(answers[3], Err(WorkerError::OutOfBounds { start: 5, .. })), "all or none");
        assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), [0..15, 20..30]);
        let row = f.row(claim).await;
        assert_eq!((row.durable, row.updated_at), (25, at(3)));
    }
    assert!(matches!(answers[80], Err(WorkerError::StaleGeneration { asked: 7, current: 1 })));
    assert!(matches!(answers[81], Err(WorkerError::Fenced { .. })));
    assert!(f.registry.ranges(stale.download.id).await.unwrap().is_empty());
    assert_eq!(f.registry.check().await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn what_was_recorded_before_can_be_recorded_again() {
    let f = open().await;
    let claim = f.begun("film").await;
    for _ in 0..2 {
        let durable = f.registry.record_durable(&claim.fence, 1, &[0..10, 5..8, 50..60], at(2)).await;
        assert_eq!(durable.unwrap(), 20);
        let nothing = f.registry.record_durable(&claim.fence, 1, &[], at(2)).await;
        assert_eq!(nothing.unwrap(), 20);
    }
    assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), [0..10, 50..60]);
}
