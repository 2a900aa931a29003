//! Who wants which bytes, and how urgently.
//!
//! Demand is a property of those who live: a reader, a request, the download itself. Whoever is dropped wants nothing
//! any more, and whoever moves has moved; no order is left behind to be found and cancelled.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use crate::priority::Priority;
use crate::range_set::RangeSet;
use crate::request::Wanted;

/// Names one claimant for as long as it wants the same thing. A reader that seeks becomes another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Claimant(u64);

impl Claimant {
    /// The download itself, which wants the rest of the file.
    pub(crate) const BACKGROUND: Self = Self(u64::MAX);
}

/// One range somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) priority: Priority,
    /// Whose it is, and its place in the line of its class.
    pub(crate) claimant: Claimant,
    pub(crate) range: Range<u64>,
    /// How far a lease that begins in `range` may go on: one request for all that follows is better than many.
    pub(crate) reach: u64,
    /// Since when it waits.
    since: Instant,
}

/// Everything that is wanted of one download.
#[derive(Debug)]
pub(crate) struct Demand {
    next: u64,
    wanted: Wanted,
    /// When the rest of the file last got a lease.
    background_since: Instant,
    requests: BTreeMap<Claimant, Wish>,
    readers: BTreeMap<Claimant, Cursor>,
}

#[derive(Debug)]
struct Wish {
    range: Range<u64>,
    priority: Priority,
    since: Instant,
}

/// A reader: where it stands, and how far it looks ahead.
#[derive(Debug)]
struct Cursor {
    at: u64,
    end: u64,
    /// Where it began to read on without a seek.
    from: u64,
    read_ahead: u64,
    /// It stands still until the byte at `at` is there.
    blocked: bool,
}

impl Cursor {
    /// The window grows with what was read in one go: somebody who reads on will go on reading.
    fn window(&self) -> u64 {
        let ramp = FIRST_WINDOW.saturating_add(self.at - self.from);
        ramp.min(self.read_ahead)
    }
}

impl Demand {
    pub(crate) fn new(wanted: Wanted, now: Instant) -> Self {
        let (requests, readers) = (BTreeMap::new(), BTreeMap::new());
        Self { next: 0, wanted, background_since: now, requests, readers }
    }

    fn claimant(&mut self) -> Claimant {
        self.next += 1;
        Claimant(self.next)
    }

    /// Wants `range`, as urgently as `priority`.
    pub(crate) fn request(&mut self, range: Range<u64>, priority: Priority, now: Instant) -> Claimant {
        let claimant = self.claimant();
        self.requests.insert(claimant, Wish { range, priority, since: now });
        claimant
    }

    /// Wants it more or less urgently from now on. It keeps its place: it has waited as long as it has.
    pub(crate) fn reprioritise(&mut self, claimant: Claimant, priority: Priority) {
        if let Some(wish) = self.requests.get_mut(&claimant) {
            wish.priority = priority;
        }
    }

    /// A reader that begins at the start of `range`.
    pub(crate) fn read(&mut self, range: Range<u64>) -> Claimant {
        let claimant = self.claimant();
        let (at, end) = (range.start, range.end);
        let read_ahead = READ_AHEAD;
        self.readers.insert(claimant, Cursor { at, end, from: at, read_ahead, blocked: false });
        claimant
    }

    /// Looks at most `bytes` ahead from now on.
    pub(crate) fn read_ahead(&mut self, claimant: Claimant, bytes: u64) {
        if let Some(cursor) = self.readers.get_mut(&claimant) {
            cursor.read_ahead = bytes;
        }
    }

    /// The reader has read up to `at`. Returns whether that makes anything more urgent.
    pub(crate) fn read_on(&mut self, claimant: Claimant, at: u64) {
        if let Some(cursor) = self.readers.get_mut(&claimant) {
            cursor.at = at.max(cursor.at);
            cursor.blocked = false;
        }
    }

    /// The reader stands still: the byte it needs next is missing.
    pub(crate) fn block(&mut self, claimant: Claimant) {
        if let Some(cursor) = self.readers.get_mut(&claimant) {
            cursor.blocked = true;
        }
    }

    /// The reader goes on at `at`. It is a new claimant: what was fetched for its old place is not urgent any more.
    pub(crate) fn seek(&mut self, claimant: Claimant, at: u64) -> Claimant {
        let Some(cursor) = self.readers.remove(&claimant) else { return claimant };
        let claimant = self.claimant();
        self.readers.insert(claimant, Cursor { at, from: at, blocked: false, ..cursor });
        claimant
    }

    /// Wants nothing any more.
    pub(crate) fn withdraw(&mut self, claimant: Claimant) {
        self.requests.remove(&claimant);
        self.readers.remove(&claimant);
    }

    /// A lease was placed for `claimant`.
    pub(crate) fn served(&mut self, claimant: Claimant, now: Instant) {
        if claimant == Claimant::BACKGROUND {
            self.background_since = now;
        }
    }

    /// Whether `claimant` still wants what it wanted.
    pub(crate) fn lives(&self, claimant: Claimant) -> bool {
        claimant == Claimant::BACKGROUND
            || self.requests.contains_key(&claimant)
            || self.readers.contains_key(&claimant)
    }

    /// What has to be written before the download has done what was asked of it: its own wish and every request.
    /// Readers do not keep it going: they want what they come to, and may never come to it.
    pub(crate) fn is_met(&self, total: u64, written: &RangeSet) -> bool {
        let own = match &self.wanted {
            Wanted::Whole => written.covers(&(0..total)),
            Wanted::Ranges(ranges) => ranges.iter().all(|range| written.covers(&clip(&range, total))),
            Wanted::OnDemand => false,
        };
        own && self.requests.values().all(|wish| written.covers(&clip(&wish.range, total)))
    }

    /// Every claim, the most urgent first: by class after ageing, then by how long it waits, then by order of arrival.
    pub(crate) fn claims(&self, total: u64, now: Instant) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (&claimant, cursor) in &self.readers {
            let end = cursor.end.min(total);
            let mut claim = |priority, range: Range<u64>| {
                // As if it had come just now: an aged claim of the same class goes first.
                claims.push(Claim { priority, claimant, range: clip(&range, end), reach: end, since: now });
            };
            if cursor.blocked {
                claim(Priority::Critical, cursor.at..cursor.at.saturating_add(CRITICAL));
            }
            claim(Priority::High, cursor.at..cursor.at.saturating_add(cursor.window()));
        }
        for (&claimant, Wish { range, priority, since }) in &self.requests {
            let (range, since) = (clip(range, total), *since);
            let (priority, reach) = (aged(*priority, since, now), range.end);
            claims.push(Claim { priority, claimant, range, reach, since });
        }
        let since = self.background_since;
        let own = match &self.wanted {
            Wanted::Whole => vec![0..total],
            Wanted::Ranges(ranges) => ranges.iter().map(|range| clip(&range, total)).collect(),
            Wanted::OnDemand => Vec::new(),
        };
        claims.extend(own.into_iter().map(|range| Claim {
            priority: aged(Priority::Low, since, now),
            claimant: Claimant::BACKGROUND,
            reach: range.end,
            range,
            since,
        }));
        claims.retain(|claim| !claim.range.is_empty());
        claims.sort_by_key(|claim| (claim.priority, claim.since, claim.claimant));
        claims
    }

    /// How urgent the byte at `offset` is by itself, without the merit of having waited; `None` when nobody wants it.
    pub(crate) fn priority_of(&self, offset: u64) -> Option<Priority> {
        let in_window = |from: u64, length: u64| (from..from.saturating_add(length)).contains(&offset);
        let readers = self.readers.values().filter(|cursor| offset < cursor.end).filter_map(|cursor| {
            if cursor.blocked && in_window(cursor.at, CRITICAL) {
                return Some(Priority::Critical);
            }
            in_window(cursor.at, cursor.window()).then_some(Priority::High)
        });
        let requests = self.requests.values().filter(|wish| wish.range.contains(&offset));
        let own = match &self.wanted {
            Wanted::Whole => true,
            Wanted::Ranges(ranges) => ranges.covers(&(offset..offset.saturating_add(1))),
            Wanted::OnDemand => false,
        };
        readers.chain(requests.map(|wish| wish.priority)).chain(own.then_some(Priority::Low)).min()
    }

    /// One past the last byte of `range` that somebody wants, now or when they get there; its start when nobody does.
    pub(crate) fn wanted_until(&self, range: Range<u64>) -> u64 {
        let readers = self.readers.values().map(|cursor| cursor.at..cursor.end);
        let requests = self.requests.values().map(|wish| wish.range.clone());
        let own: Vec<_> = match &self.wanted {
            Wanted::Whole => return range.end,
            Wanted::Ranges(ranges) => ranges.iter().collect(),
            Wanted::OnDemand => Vec::new(),
        };
        let overlaps = readers.chain(requests).chain(own).filter_map(|wanted| {
            let overlap = wanted.start.max(range.start)..wanted.end.min(range.end);
            (!overlap.is_empty()).then_some(overlap.end)
        });
        overlaps.max().unwrap_or(range.start)
    }
}

/// A claim rises one class for each [`AGEING`] that it waits.
fn aged(priority: Priority, since: Instant, now: Instant) -> Priority {
    let waited = now.saturating_duration_since(since).as_secs() / AGEING.as_secs();
    (0..waited.min(2)).fold(priority, |priority, _| priority.aged())
}

fn clip(range: &Range<u64>, end: u64) -> Range<u64> {
    range.start.min(end)..range.end.min(end)
}

/// How long a claim waits before it counts as one class more urgent.
const AGEING: Duration = Duration::from_secs(15);
/// How many bytes under a blocked reader are critical.
const CRITICAL: u64 = 256 << 10;
/// How far a reader looks ahead that has just begun, or just moved.
const FIRST_WINDOW: u64 = 4 << 20;
/// How far a reader looks ahead at most, unless told otherwise.
const READ_AHEAD: u64 = 32 << 20;
