//! What must be true whenever everything is at rest, seen from outside.

use std::ops::Range;

use resume_fetch::{Content, Layout, RangeSet, Wanted};

use crate::books::is_prefix;
use crate::run::Run;
use crate::source::Version;
use crate::visitors::{Asker, Visitor};
use crate::world::lock;

impl Run {
    /// Everything that can be looked at cheaply.
    pub(crate) fn check(&mut self) {
        if self.download.is_none() || self.books.is_busy() || self.books.is_damaged() {
            return;
        }
        let progress =
            self.download.as_ref().map(|download| *download.progress().borrow()).unwrap_or_default();
        let (Some(record), Some(content)) = (self.books.record(), self.content.clone()) else { return };
        if progress.generation == 0 {
            // Nothing has been looked at yet.
            return;
        }
        let held = content.held();
        self.world.expect(progress.generation == record.generation, || {
            format!("generation {} is shown, and {} is on record", progress.generation, record.generation)
        });
        let beyond = record.durable.difference(&held);
        self.world.expect(beyond.is_empty(), || format!("{beyond:?} is on record and not held"));
        let end = held.iter().last().map_or(0, |run| run.end);
        let total = content.total();
        self.world.expect(total.is_none_or(|total| end <= total), || format!("{held:?} of {total:?}"));
        let scattered = record.layout == Layout::Map;
        self.world.expect(scattered || is_prefix(&held), || format!("{held:?} under a record of a prefix"));
        if let Some(version) = self.books.version() {
            self.check_held(&held, version);
            if !scattered {
                self.check_length(version);
            }
        }
        self.check_demand(&content);
    }

    /// Bytes that are held are right: the ends of each run, where mistakes are made, and some place in between.
    fn check_held(&mut self, held: &RangeSet, version: Version) {
        for run in held.iter() {
            let middle = self.rng.u64(run.clone());
            for at in [run.start, middle, run.end.saturating_sub(LOOK)] {
                let window = at.max(run.start)..(at + LOOK).min(run.end);
                self.check_bytes(&window, version, "held");
            }
        }
    }

    /// While there are no holes, the length of the file says how many bytes there are.
    fn check_length(&self, version: Version) {
        let length = std::fs::metadata(&self.books.part).map_or(0, |meta| meta.len());
        self.check_bytes(&(length.saturating_sub(LOOK)..length), version, "in the file of a prefix");
    }

    fn check_bytes(&self, range: &Range<u64>, version: Version, what: &str) {
        self.world.expect(range.end <= version.size && self.books.holds(version, range.clone()), || {
            format!("{range:?} is {what} and is not what {version:?} has there")
        });
    }

    /// Everything on record is in the file, byte for byte.
    pub(crate) fn check_record(&self) {
        if self.books.is_damaged() || self.books.is_busy() {
            return;
        }
        let (Some(record), Some(version)) = (self.books.record(), self.books.version()) else { return };
        record.durable.iter().for_each(|run| self.check_bytes(&run, version, "on record"));
    }

    /// Where nobody wants anything, nothing is asked for.
    fn check_demand(&self, content: &Content) {
        let plain = lock(&self.peer.state).plain && content.total().is_some();
        let nobody = self.visitors.is_empty() && self.askers.is_empty();
        if plain && nobody && self.setup.wanted == Wanted::OnDemand {
            self.world.expect(self.peer.bringing() == 0, || "requests that nobody wants".to_owned());
        }
    }

    /// Nothing will ever happen again: then there must be nothing to wait for.
    pub(crate) fn check_the_end_of_time(&self) {
        let waiting = self.visitors.iter().any(Visitor::is_busy) || self.askers.iter().any(Asker::is_busy);
        let unfinished = self.download.is_some() && self.setup.wanted != Wanted::OnDemand;
        self.world.expect(!waiting, || "somebody waits for ever".to_owned());
        self.world.expect(!unfinished, || "the download waits for ever".to_owned());
    }
}

/// How much of a run is looked at in one place.
const LOOK: u64 = 512;
