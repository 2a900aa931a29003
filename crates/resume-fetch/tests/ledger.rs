//! What the engine asks of a ledger, in which order, and what it does when one fails; and what every ledger does when it
//! is asked.

#![cfg(feature = "reqwest")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests too")]
#![allow(clippy::single_range_in_vec_init, reason = "a list of one byte range is what is meant")]

mod common;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{FILE, KIB, Lab, MIB, OTHER, SEED, drive, file, other_file};
use resume_fetch::{
    BoxFuture, FetchErrorKind, Identity, Ledger, LedgerError, MemoryLedger, Record, Restart, RestartReason,
    SidecarLedger, Validator,
};
use scripted_peer::{Answer, Representation, seeded_bytes};

const HALF: u64 = MIB / 2;

/// Writes down every call, looks at the part file at that moment, and fails the call it is told to.
#[derive(Clone)]
struct Witness {
    inner: Arc<MemoryLedger>,
    part: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    fails: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
struct Seen {
    call: &'static str,
    generation: u64,
    ranges: Vec<Range<u64>>,
    identity: Option<Identity>,
    restart: Option<Restart>,
    part: Vec<u8>,
}

impl Witness {
    fn new(lab: &Lab) -> Self {
        Self::remembering(lab, MemoryLedger::new())
    }

    fn remembering(lab: &Lab, inner: MemoryLedger) -> Self {
        Self { inner: Arc::new(inner), part: lab.part(), seen: Arc::default(), fails: None }
    }

    fn failing(self, call: &'static str) -> Self {
        Self { fails: Some(call), ..self }
    }

    fn calls(&self) -> Vec<&'static str> {
        self.seen().iter().map(|seen| seen.call).collect()
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    fn see<'a>(
        &self,
        seen: Seen,
        work: impl FnOnce() -> BoxFuture<'a, Result<(), LedgerError>>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let fails = self.fails == Some(seen.call);
        let part = std::fs::read(&self.part).unwrap_or_default();
        self.seen.lock().unwrap().push(Seen { part, ..seen });
        if fails {
            let error = LedgerError::new("no", std::io::Error::other("told to fail"));
            return Box::pin(std::future::ready(Err(error)));
        }
        work()
    }
}

fn seen(call: &'static str, generation: u64) -> Seen {
    Seen { call, generation, ranges: Vec::new(), identity: None, restart: None, part: Vec::new() }
}

impl Ledger for Witness {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        self.inner.load()
    }

    fn begin<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
        restart: Option<Restart>,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let seen = Seen { identity: Some(identity.clone()), restart, ..seen("begin", generation) };
        self.see(seen, || self.inner.begin(generation, identity, restart))
    }

    fn adopt<'a>(
        &'a self,
        generation: u64,
        identity: &'a Identity,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let seen = Seen { identity: Some(identity.clone()), ..seen("adopt", generation) };
        self.see(seen, || self.inner.adopt(generation, identity))
    }

    fn scatter<'a>(&'a self, generation: u64) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.see(seen("scatter", generation), || self.inner.scatter(generation))
    }

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let seen = Seen { ranges: durable.to_vec(), ..seen("record", generation) };
        self.see(seen, || self.inner.record(generation, durable))
    }

    fn subtract<'a>(
        &'a self,
        generation: u64,
        lost: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let seen = Seen { ranges: lost.to_vec(), ..seen("subtract", generation) };
        self.see(seen, || self.inner.subtract(generation, lost))
    }

    fn seal(&self, generation: u64, total: u64) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.see(seen("seal", generation), || self.inner.seal(generation, total))
    }

    fn finish(&self) -> BoxFuture<'_, Result<(), LedgerError>> {
        self.see(seen("finish", 0), || self.inner.finish())
    }
}

async fn fetch(lab: &Lab, witness: &Witness) -> common::Fetched {
    let request = lab.request().checkpoint(256 * KIB, Duration::from_secs(3600));
    drive(lab.fetcher().start(request, witness.clone())).await
}

#[tokio::test]
async fn nothing_is_recorded_before_it_is_on_the_disk() {
    let lab = Lab::new(file()).await;
    let witness = Witness::new(&lab);
    fetch(&lab, &witness).await.done();
    let calls = witness.calls();
    assert_eq!(calls.first(), Some(&"begin"), "{calls:?}");
    assert_eq!(calls[calls.len() - 2..], ["seal", "finish"], "{calls:?}");
    let mut end = 0;
    for seen in witness.seen().iter().filter(|seen| seen.call == "record") {
        for range in &seen.ranges {
            assert_eq!(range.start, end, "nothing twice, nothing left out");
            let on_disk = &seen.part[range.start as usize..range.end as usize];
            assert!(on_disk == seeded_bytes(SEED, range.clone()), "{range:?} was not there yet");
            end = range.end;
        }
    }
    assert_eq!(end, MIB);
    assert!(
        calls.iter().filter(|call| **call == "record").count() >= 4,
        "a checkpoint each 256 KiB at the latest"
    );
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_restart_is_on_record_before_anything_is_destroyed() {
    let lab = Lab::new(file()).await;
    let witness = Witness::new(&lab);
    lab.peer.script(FILE, [Answer::truncate_at(HALF).and(Answer::then_serve(other_file()))]);
    fetch(&lab, &witness).await.done();
    let begins: Vec<_> = witness.seen().into_iter().filter(|seen| seen.call == "begin").collect();
    let [first, second] = &begins[..] else { panic!("{:?}", witness.calls()) };
    assert_eq!((first.generation, first.restart), (1, None));
    let restart = Restart { reason: RestartReason::ValidatorChanged, discarded: HALF };
    assert_eq!((second.generation, second.restart), (2, Some(restart)));
    assert!(second.part == seeded_bytes(SEED, 0..HALF), "still all there");
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn a_part_without_a_record_is_recorded_as_given_up() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), b"whatever").unwrap();
    let witness = Witness::new(&lab);
    fetch(&lab, &witness).await.done();
    let first = &witness.seen()[0];
    assert_eq!(first.restart, Some(Restart { reason: RestartReason::Orphan, discarded: 8 }));
    assert_eq!(first.part, b"whatever");
}

#[tokio::test]
async fn what_an_answer_says_of_itself_goes_on_record_only_after_its_overlap_was_equal() {
    let lab = Lab::new(Representation::seeded(SEED, MIB)).await;
    let cut = Answer::chunked().and(Answer::truncate_at(HALF));
    lab.peer.script(FILE, [cut.and(Answer::then_serve(other_file()))]);
    let witness = Witness::new(&lab);
    // 206 of another file, with a strong tag and a total nobody knew before: both would vouch for bytes that are not
    // theirs if they were taken over first.
    fetch(&lab, &witness).await.done();
    assert!(!witness.calls().contains(&"adopt"), "{:?}", witness.calls());
    lab.published(OTHER, MIB);
}

#[tokio::test]
async fn a_total_learnt_on_the_way_is_added_to_the_same_generation() {
    let lab = Lab::new(file()).await;
    lab.peer.script(FILE, [Answer::chunked().and(Answer::truncate_at(HALF))]);
    let witness = Witness::new(&lab);
    fetch(&lab, &witness).await.done();
    let adopted: Vec<_> = witness.seen().into_iter().filter(|seen| seen.call == "adopt").collect();
    let [adopted] = &adopted[..] else { panic!("{:?}", witness.calls()) };
    let identity = adopted.identity.as_ref().unwrap();
    assert_eq!((adopted.generation, identity.total), (1, Some(MIB)));
    assert!(matches!(&identity.validator, Some(Validator::Tag(tag)) if !tag.is_weak()));
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_file_that_changed_while_nothing_was_held_begins_a_generation_of_its_own() {
    let lab = Lab::new(other_file()).await;
    let old = Identity { total: Some(5), total_source: None, validator: "\"a\"".parse().ok() };
    let record = Record { generation: 4, identity: old, ..Record::default() };
    let witness = Witness::remembering(&lab, MemoryLedger::with_record(record));
    fetch(&lab, &witness).await.done();
    let first = &witness.seen()[0];
    assert_eq!((first.call, first.generation, first.restart), ("begin", 5, None), "nothing was given up");
    assert_eq!(first.identity.as_ref().and_then(|identity| identity.total), Some(MIB));
}

#[tokio::test]
async fn recorded_bytes_that_the_disk_has_lost_are_fetched_again() {
    let lab = Lab::new(file()).await;
    std::fs::write(lab.part(), seeded_bytes(SEED, 0..1000)).unwrap();
    let identity = Identity { total: Some(MIB), total_source: None, validator: "\"a\"".parse().ok() };
    let durable = [0..HALF].into_iter().collect();
    let record = Record { generation: 1, identity, durable, ..Record::default() };
    let witness = Witness::remembering(&lab, MemoryLedger::with_record(record));
    fetch(&lab, &witness).await.done();
    assert_eq!(lab.asked(), [Some(1000)]);
    assert_eq!(witness.calls()[..2], ["begin", "record"], "the record first says what is left");
    assert_eq!(witness.seen()[1].ranges, [0..1000]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn holes_on_record_are_asked_for_exactly_and_nothing_else_is() {
    let lab = Lab::new(file()).await;
    let mut part = vec![0xEE; MIB as usize];
    let held = [0..1000, 5000..HALF];
    for range in &held {
        part[range.start as usize..range.end as usize].copy_from_slice(&seeded_bytes(SEED, range.clone()));
    }
    std::fs::write(lab.part(), part).unwrap();
    let identity = Identity { total: Some(MIB), total_source: None, validator: "\"a\"".parse().ok() };
    let (layout, durable) = ("map".parse().unwrap(), held.into_iter().collect());
    let record = Record { generation: 1, identity, layout, durable, ..Record::default() };
    let witness = Witness::remembering(&lab, MemoryLedger::with_record(record));
    fetch(&lab, &witness).await.done();
    let asked: Vec<_> = lab.peer.requests(FILE).iter().map(|request| request.asked().unwrap()).collect();
    assert_eq!(asked, [(1000, Some(5000)), (HALF, None)]);
    lab.published(SEED, MIB);
}

#[tokio::test]
async fn a_ledger_that_fails_ends_the_call_and_costs_no_bytes() {
    for (call, target) in [("begin", false), ("record", false), ("seal", false), ("finish", true)] {
        let lab = Lab::new(file()).await;
        let witness = Witness::new(&lab).failing(call);
        let error = fetch(&lab, &witness).await.failed();
        assert!(matches!(error.kind, FetchErrorKind::Ledger(_)), "{call}: {error}");
        assert_eq!(lab.target().exists(), target, "{call}");
        let recovered = Witness { fails: None, ..witness };
        fetch(&lab, &recovered).await.done();
        lab.published(SEED, MIB);
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_begin_anew_leaves_the_old_bytes_alone() {
    let lab = Lab::new(file()).await;
    let witness = Witness::new(&lab);
    lab.peer
        .script(FILE, [Answer::truncate_at(HALF).and(Answer::then_serve(other_file())), Answer::status(404)]);
    fetch(&lab, &witness).await.failed();
    let error = fetch(&lab, &witness.clone().failing("begin")).await.failed();
    assert!(matches!(error.kind, FetchErrorKind::Ledger(_)), "{error}");
    assert!(std::fs::read(lab.part()).unwrap() == seeded_bytes(SEED, 0..HALF));
}

/// The ledgers of this crate, each of them at generation 1, and what the next process would read.
struct Ledgers {
    dir: tempfile::TempDir,
    memory: MemoryLedger,
    sidecar: SidecarLedger,
}

impl Ledgers {
    async fn begun() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sidecar = SidecarLedger::new(dir.path().join("x.part.ledger"), "http://peer/x");
        let ledgers = Self { dir, memory: MemoryLedger::new(), sidecar };
        for ledger in ledgers.each() {
            ledger.begin(1, &a_file(), None).await.unwrap();
        }
        ledgers
    }

    fn each(&self) -> [&dyn Ledger; 2] {
        [&self.memory, &self.sidecar]
    }

    /// What they remember, once it is sure that they remember the same.
    async fn record(&self) -> Record {
        let next = SidecarLedger::new(self.dir.path().join("x.part.ledger"), "http://peer/x");
        let record = next.load().await.unwrap().unwrap();
        assert_eq!(self.memory.load().await.unwrap().unwrap(), record);
        record
    }

    async fn durable(&self) -> Vec<Range<u64>> {
        self.record().await.durable.iter().collect()
    }
}

fn a_file() -> Identity {
    Identity { total: Some(MIB), total_source: None, validator: "\"a\"".parse().ok() }
}

/// A few disjoint ranges of a file of 64 bytes, in any order; neighbours may touch.
fn some_ranges(rng: &mut fastrand::Rng) -> Vec<Range<u64>> {
    let mut cuts: Vec<u64> = (0..6).map(|_| rng.u64(0..=64)).collect();
    cuts.sort_unstable();
    let mut ranges: Vec<_> = cuts.windows(2).map(|cut| cut[0]..cut[1]).filter(|_| rng.bool()).collect();
    ranges.retain(|range| !range.is_empty());
    rng.shuffle(&mut ranges);
    ranges
}

/// C47, P23
#[tokio::test]
async fn what_is_on_record_agrees_with_a_bit_per_byte() {
    for seed in 0..24 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (ledgers, mut bits) = (Ledgers::begun().await, [false; 64]);
        for _ in 0..12 {
            let (ranges, add) = (some_ranges(&mut rng), rng.u8(0..4) > 0);
            for range in &ranges {
                bits[range.start as usize..range.end as usize].fill(add);
            }
            for ledger in ledgers.each() {
                let call = if add { ledger.record(1, &ranges) } else { ledger.subtract(1, &ranges) };
                call.await.unwrap();
            }
            let durable = ledgers.durable().await;
            for (at, bit) in (0..).zip(&bits) {
                assert_eq!(durable.iter().any(|run| run.contains(&at)), *bit, "seed {seed}, byte {at}");
            }
            let apart = durable.windows(2).all(|pair| pair[0].end < pair[1].start);
            assert!(apart, "seed {seed}: two of {durable:?} overlap or touch");
        }
    }
}

/// P24
#[tokio::test]
async fn taking_64_kib_out_of_a_whole_file_leaves_the_rest_of_the_record() {
    let ledgers = Ledgers::begun().await;
    let lost = HALF..HALF + 64 * KIB;
    for ledger in ledgers.each() {
        ledger.scatter(1).await.unwrap();
        ledger.record(1, &[HALF..MIB, 0..HALF]).await.unwrap();
        ledger.seal(1, MIB).await.unwrap();
        ledger.subtract(1, &[MIB..2 * MIB]).await.unwrap();
    }
    let whole = ledgers.record().await;
    assert!(whole.sealed && whole.durable.covers(&(0..MIB)), "what was never there cannot be taken away");
    for ledger in ledgers.each() {
        ledger.subtract(1, std::slice::from_ref(&lost)).await.unwrap();
    }
    let left = ledgers.record().await;
    assert_eq!(left.durable.iter().collect::<Vec<_>>(), [0..lost.start, lost.end..MIB]);
    assert!(!left.sealed, "it is not whole any more");
    assert_eq!(Record { durable: whole.durable.clone(), sealed: true, ..left }, whole);
}

#[tokio::test]
async fn a_part_is_a_prefix_until_it_is_scattered_and_then_a_map_until_the_next_generation() {
    let ledgers = Ledgers::begun().await;
    let layout = async || ledgers.record().await.layout.as_str();
    assert_eq!(layout().await, "prefix");
    for ledger in ledgers.each() {
        ledger.scatter(1).await.unwrap();
        ledger.scatter(1).await.unwrap();
        ledger.record(1, &[0..10, 20..30]).await.unwrap();
        ledger.subtract(1, &[20..30]).await.unwrap();
        ledger.adopt(1, &a_file()).await.unwrap();
    }
    assert_eq!((layout().await, ledgers.durable().await), ("map", vec![0..10]));
    for ledger in ledgers.each() {
        ledger.begin(2, &a_file(), None).await.unwrap();
    }
    assert_eq!(layout().await, "prefix");
}

#[tokio::test]
async fn a_call_about_a_generation_that_is_over_is_refused_and_changes_nothing() {
    let ledgers = Ledgers::begun().await;
    for ledger in ledgers.each() {
        ledger.record(1, &[0..10]).await.unwrap();
        ledger.begin(2, &a_file(), None).await.unwrap();
        ledger.record(2, &[5..20]).await.unwrap();
    }
    let before = ledgers.record().await;
    for ledger in ledgers.each() {
        ledger.adopt(1, &Identity::default()).await.unwrap_err();
        ledger.scatter(1).await.unwrap_err();
        ledger.record(1, &[20..30]).await.unwrap_err();
        ledger.subtract(1, &[5..10]).await.unwrap_err();
        ledger.seal(1, 5).await.unwrap_err();
    }
    assert_eq!(ledgers.record().await, before);
}
