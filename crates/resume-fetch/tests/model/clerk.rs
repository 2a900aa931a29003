//! The ledger as the engine gets it: each call is held against the crash rule, and then believed.

use std::ops::Range;
use std::sync::Arc;

use resume_fetch::{
    BoxFuture, Identity, Layout, Ledger, LedgerError, MemoryLedger, RangeSet, Record, Restart,
};

use crate::books::{Answer, Books, is_prefix};
use crate::world::lock;

/// The ledger as the engine gets it; the books stay when it is dropped.
pub(crate) struct Clerk(pub(crate) Arc<Books>);

impl Ledger for Clerk {
    fn load(&self) -> BoxFuture<'_, Result<Option<Record>, LedgerError>> {
        self.0.world.stir();
        self.0.memory.load()
    }

    fn begin<'a>(&'a self, generation: u64, identity: &'a Identity, restart: Option<Restart>) -> Answer<'a> {
        let what = format!("begin {generation} {identity:?} {restart:?}");
        self.0.call(
            what,
            move |books| books.check_begin(generation, restart),
            move |memory| memory.begin(generation, identity, restart),
        )
    }

    fn adopt<'a>(&'a self, generation: u64, identity: &'a Identity) -> Answer<'a> {
        let what = format!("adopt {generation} {identity:?}");
        let check = move |books: &Books| {
            let record = books.current(generation, "adopt");
            let total = record.and_then(|record| record.identity.total);
            books.world.expect(total.is_none() || total == identity.total, || {
                format!("a total of {total:?} becomes {:?} within a generation", identity.total)
            });
        };
        self.0.call(what, check, move |memory| memory.adopt(generation, identity))
    }

    fn scatter<'a>(&'a self, generation: u64) -> Answer<'a> {
        let check = move |books: &Books| books.check_scatter(generation);
        self.0.call(format!("scatter {generation}"), check, move |memory| memory.scatter(generation))
    }

    fn record<'a>(&'a self, generation: u64, durable: &'a [Range<u64>]) -> Answer<'a> {
        let check = move |books: &Books| books.check_record(generation, durable);
        let what = format!("record {generation} {durable:?}");
        self.0.call(what, check, move |memory| memory.record(generation, durable))
    }

    fn subtract<'a>(&'a self, generation: u64, lost: &'a [Range<u64>]) -> Answer<'a> {
        let check = move |books: &Books| {
            books.world.blame(|| format!("{lost:?} are taken off the record, and nothing was unreadable"));
        };
        let what = format!("subtract {generation} {lost:?}");
        self.0.call(what, check, move |memory| memory.subtract(generation, lost))
    }

    fn seal(&self, generation: u64, total: u64) -> Answer<'_> {
        let check = move |books: &Books| books.check_seal(generation, total);
        self.0.call(format!("seal {generation} {total}"), check, move |memory| memory.seal(generation, total))
    }

    fn finish(&self) -> Answer<'_> {
        self.0.call("finish".to_owned(), Books::check_finish, MemoryLedger::finish)
    }
}

impl Books {
    fn check_begin(&self, generation: u64, restart: Option<Restart>) {
        let before = self.record();
        let mut desk = lock(&self.desk);
        let expected = before.as_ref().map_or(1, |record| record.generation + 1);
        self.world.expect(generation == expected, || format!("generation {generation} after {before:?}"));
        let gives_up = before.is_some_and(|record| !record.durable.is_empty());
        let silent = gives_up && restart.is_none() && !desk.damaged;
        self.world.expect(!silent, || "recorded bytes are given up without a word".to_owned());
        desk.damaged = false;
        desk.scattered = None;
    }

    fn check_scatter(&self, generation: u64) {
        self.current(generation, "scatter");
        let mut desk = lock(&self.desk);
        self.world.expect(desk.scattered != Some(generation), || "scattered twice".to_owned());
        desk.scattered = Some(generation);
    }

    fn check_record(&self, generation: u64, durable: &[Range<u64>]) {
        let (Some(record), Some(version)) = (self.current(generation, "record"), self.version()) else {
            return;
        };
        let total = record.identity.total.unwrap_or(version.size);
        let mut seen = RangeSet::new();
        for range in durable {
            let sound =
                !range.is_empty() && range.end <= total && seen.gaps(range.clone()).eq([range.clone()]);
            self.world.expect(sound, || format!("{durable:?} of {total} is no list of ranges"));
            seen.insert(range.clone());
            self.world.expect(self.holds(version, range.clone()), || {
                format!("the record leads the data: {range:?} is not on the disk as in {version:?}")
            });
        }
        let mut all = record.durable;
        all.extend(seen.iter());
        let scattered = record.layout == Layout::Map;
        self.world.expect(scattered || is_prefix(&all), || format!("{all:?} on record as a prefix"));
    }

    fn check_seal(&self, generation: u64, total: u64) {
        let (Some(record), Some(version)) = (self.current(generation, "seal"), self.version()) else {
            return;
        };
        let whole = total == version.size && record.durable.covers(&(0..total));
        self.world.expect(whole, || format!("sealed at {total} with {record:?} of {version:?}"));
        self.world.expect(self.is_whole(version), || format!("what is sealed is not {version:?}"));
        lock(&self.desk).sealed = Some(version);
    }

    fn check_finish(&self) {
        let whole = self.sealed().is_some_and(|version| !self.part.exists() && self.is_whole(version));
        self.world.expect(whole, || "finished without a whole file under the final name".to_owned());
    }
}
