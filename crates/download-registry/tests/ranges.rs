//! The ranges in the table are the bytes that were recorded, no more and no fewer, merged.

#![allow(
    clippy::unwrap_used,
    clippy::single_range_in_vec_init,
    reason = "tests; one range is a list of ranges too"
)]

mod common;

use std::ops::Range;

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
                prop_assert_eq!(point.ranges, merged(&bits));
            }
            f.registry.close().await;
            Ok(())
        })?;
    }
}

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
        f.registry.record_durable(&claim.fence, 1, &ranges, at(2)).await.unwrap();
        assert_eq!(f.registry.ranges(claim.download.id).await.unwrap(), expected, "after {ranges:?}");
    }
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
