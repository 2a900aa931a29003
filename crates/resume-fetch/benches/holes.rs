//! What holes cost: `cargo bench -p resume-fetch --bench holes`.
//!
//! A download that is read from many places has thousands of separate runs. Every write goes into such a set, every
//! lease and every reader asks it what is missing, and every checkpoint puts it on record.

#![allow(clippy::unwrap_used, reason = "a bench is no place for errors")]

use std::hint::black_box;
use std::ops::Range;

use divan::Bencher;
use resume_fetch::{Identity, Ledger, RangeSet, SidecarLedger};
use tokio::runtime::{Builder, Runtime};

fn main() {
    divan::main();
}

const RUNS: [u64; 3] = [1, 100, 10_000];
const PIECE: u64 = 1 << 20;

/// As many pieces with as many holes of their size between them.
fn runs(count: u64) -> impl Iterator<Item = Range<u64>> {
    (0..count).map(|n| 2 * n * PIECE..(2 * n + 1) * PIECE)
}

/// A piece that is written behind the one before it, as each is but the first of a lease.
#[divan::bench(args = RUNS)]
fn a_piece_grows_a_run(bencher: Bencher<'_, '_>, count: u64) {
    let middle = (count / 2) * 2 * PIECE + PIECE;
    bencher.with_inputs(|| runs(count).collect::<RangeSet>()).bench_local_refs(|held| {
        held.insert(black_box(middle..middle + PIECE / 2));
    });
}

/// How far somebody can read without waiting.
#[divan::bench(args = RUNS)]
fn available_from(bencher: Bencher<'_, '_>, count: u64) {
    let held: RangeSet = runs(count).collect();
    let middle = (count / 2) * 2 * PIECE + 5;
    bencher.bench_local(|| held.available_from(black_box(middle)));
}

/// The next hole behind a place in the middle.
#[divan::bench(args = RUNS)]
fn next_gap(bencher: Bencher<'_, '_>, count: u64) {
    let held: RangeSet = runs(count).collect();
    let middle = (count / 2) * 2 * PIECE;
    bencher.bench_local(|| held.gaps(black_box(middle)..u64::MAX).next());
}

/// What a checkpoint covers: the bytes written and not yet on record, here one piece of many.
#[divan::bench(args = RUNS)]
fn undurable(bencher: Bencher<'_, '_>, count: u64) {
    let durable: RangeSet = runs(count).collect();
    let mut written = durable.clone();
    written.insert(PIECE..2 * PIECE);
    bencher.bench_local(|| black_box(&written).difference(black_box(&durable)));
}

/// One more range on the record of `peerd get`: made into text, written, synced. Mostly the disk's time.
#[divan::bench(args = [1, 100, 1000], sample_count = 20, sample_size = 5)]
fn record_beside_the_part(bencher: Bencher<'_, '_>, count: u64) {
    let runtime: Runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ledger = SidecarLedger::new(dir.path().join("ledger"), "http://peer/file");
    let all: Vec<_> = runs(count).collect();
    runtime.block_on(async {
        ledger.begin(1, &Identity::default(), None).await.unwrap();
        ledger.record(1, &all).await.unwrap();
    });
    // It shall change something each time: what is on record already is not written again.
    let mut at = 0;
    bencher.bench_local(|| {
        at += 1;
        let more = PIECE..PIECE + at;
        runtime.block_on(ledger.record(1, &[more])).unwrap();
    });
}
