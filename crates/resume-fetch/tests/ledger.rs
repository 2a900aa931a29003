//! What the engine asks of a ledger, in which order, and what it does when one fails.

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
    Validator,
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

    fn record<'a>(
        &'a self,
        generation: u64,
        durable: &'a [Range<u64>],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let seen = Seen { ranges: durable.to_vec(), ..seen("record", generation) };
        self.see(seen, || self.inner.record(generation, durable))
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
    let record = Record { generation: 1, identity, durable, sealed: false };
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
    let durable = held.into_iter().collect();
    let record = Record { generation: 1, identity, durable, sealed: false };
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
