//! Who wants which bytes, and how urgently.
//!
//! Demand is a property of those who live: a reader, a request, the download itself. Whoever is dropped wants nothing
//! any more, and whoever moves has moved; no order is left behind to be found and cancelled.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use retry_kit::Urgency;

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
    /// Missing bytes before this are worth ending a less urgent lease; later ones wait for a free slot.
    pub(crate) pressing: u64,
    /// Its place in the line of its class: the smaller, the earlier it came.
    pub(crate) ticket: u64,
    /// Nobody waits for it yet: it is what a reader will come to.
    pub(crate) ahead: bool,
    /// It has waited long enough to take the place of what merely reads ahead.
    pub(crate) overdue: bool,
    /// Since when it stands in the line.
    since: Instant,
}

/// Everything that is wanted of one download.
#[derive(Debug)]
pub(crate) struct Demand {
    /// The last claimant or ticket there was.
    next: u64,
    wanted: Wanted,
    background: Patience,
    requests: BTreeMap<Claimant, Wish>,
    readers: BTreeMap<Claimant, Cursor>,
}

#[derive(Debug)]
struct Wish {
    range: Range<u64>,
    priority: Priority,
    since: Instant,
    patience: Patience,
}

/// What a claim has earned by waiting.
#[derive(Debug)]
struct Patience {
    /// When it last got a lease, or came.
    since: Instant,
    /// The class its last lease was placed with, and until when it keeps that: what it waited for so long is not to be
    /// taken away in the same instant.
    turn: Option<(Priority, Instant)>,
}

impl Patience {
    fn new(since: Instant) -> Self {
        Self { since, turn: None }
    }

    fn overdue(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= AGEING
    }

    /// The class of a claim that counts as `own` by itself: one more urgent for each [`AGEING`] that it waits.
    fn merit(&self, own: Priority, now: Instant) -> Priority {
        let waited = now.saturating_duration_since(self.since).as_secs() / AGEING.as_secs();
        let aged = (0..waited.min(2)).fold(own, |priority, _| priority.aged());
        match self.turn {
            Some((turn, until)) if now < until => aged.min(turn),
            _ => aged,
        }
    }

    /// It got a lease, and begins to wait anew. A turn is not made longer by using it.
    fn served(&mut self, own: Priority, now: Instant) {
        if self.turn.is_none_or(|(_, until)| now >= until) {
            let merit = self.merit(own, now);
            self.turn = now.checked_add(TURN).map(|until| (merit, until));
        }
        self.since = now;
    }
}

/// A reader: where it stands, and how far it looks ahead.
#[derive(Debug)]
struct Cursor {
    at: u64,
    end: u64,
    /// Where it began to read on without a seek.
    from: u64,
    read_ahead: u64,
    /// What it stands still for.
    critical: Option<Critical>,
}

/// What a reader gets for standing still. It keeps it until it has read it all: two readers on one connection take
/// turns by such pieces, not by every byte that sets one of them free.
#[derive(Debug)]
struct Critical {
    range: Range<u64>,
    ticket: u64,
}

impl Cursor {
    /// The window grows with what was read in one go: somebody who reads on will go on reading.
    fn window(&self) -> u64 {
        let ramp = FIRST_WINDOW.saturating_add(self.at - self.from);
        ramp.min(self.read_ahead)
    }

    /// What is left of the bytes that it stood still for.
    fn critical(&self) -> Option<Range<u64>> {
        let range = &self.critical.as_ref()?.range;
        Some(self.at.max(range.start)..range.end)
    }
}

impl Demand {
    pub(crate) fn new(wanted: Wanted, now: Instant) -> Self {
        let (requests, readers) = (BTreeMap::new(), BTreeMap::new());
        Self { next: 0, wanted, background: Patience::new(now), requests, readers }
    }

    fn ticket(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn claimant(&mut self) -> Claimant {
        Claimant(self.ticket())
    }

    /// Wants `range`, as urgently as `priority`.
    pub(crate) fn request(&mut self, range: Range<u64>, priority: Priority, now: Instant) -> Claimant {
        let claimant = self.claimant();
        self.requests.insert(claimant, Wish { range, priority, since: now, patience: Patience::new(now) });
        claimant
    }

    /// Wants it more or less urgently from now on. It keeps its place: it has waited as long as it has.
    pub(crate) fn reprioritise(&mut self, claimant: Claimant, priority: Priority) {
        if let Some(wish) = self.requests.get_mut(&claimant) {
            wish.priority = priority;
            wish.patience.turn = None;
        }
    }

    /// A reader that begins at the start of `range`.
    pub(crate) fn read(&mut self, range: Range<u64>) -> Claimant {
        let claimant = self.claimant();
        let (at, end) = (range.start, range.end);
        let read_ahead = READ_AHEAD;
        self.readers.insert(claimant, Cursor { at, end, from: at, read_ahead, critical: None });
        claimant
    }

    /// Looks at most `bytes` ahead from now on.
    pub(crate) fn read_ahead(&mut self, claimant: Claimant, bytes: u64) {
        if let Some(cursor) = self.readers.get_mut(&claimant) {
            cursor.read_ahead = bytes;
        }
    }

    /// The reader has read up to `at`.
    pub(crate) fn read_on(&mut self, claimant: Claimant, at: u64) {
        if let Some(cursor) = self.readers.get_mut(&claimant) {
            cursor.at = at.max(cursor.at);
            cursor.critical.take_if(|critical| critical.range.end <= cursor.at);
        }
    }

    /// The reader stands still: the byte it needs next is missing.
    pub(crate) fn block(&mut self, claimant: Claimant) {
        let ticket = self.ticket();
        if let Some(cursor) = self.readers.get_mut(&claimant)
            && cursor.critical.is_none()
        {
            let bytes = (cursor.at - cursor.from).clamp(CRITICAL, CRITICAL_MOST);
            let range = cursor.at..cursor.at.saturating_add(bytes);
            cursor.critical = Some(Critical { range, ticket });
        }
    }

    /// The reader goes on at `at`. It is a new claimant: what was fetched for its old place is not urgent any more.
    pub(crate) fn seek(&mut self, claimant: Claimant, at: u64) -> Claimant {
        let Some(cursor) = self.readers.remove(&claimant) else { return claimant };
        let claimant = self.claimant();
        self.readers.insert(claimant, Cursor { at, from: at, critical: None, ..cursor });
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
            self.background.served(Priority::Low, now);
        } else if let Some(wish) = self.requests.get_mut(&claimant) {
            wish.patience.served(wish.priority, now);
        }
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

    /// Every claim, the most urgent first: by class after ageing, then by order of arrival. In each class what a reader
    /// will come to stands behind what was asked for, and the rest of the file behind everything that has not waited
    /// less.
    pub(crate) fn claims(&self, total: u64, now: Instant) -> Vec<Claim> {
        let mut claims = Vec::new();
        for (&claimant, cursor) in &self.readers {
            let reach = cursor.end.min(total);
            let blank = Claim {
                priority: Priority::Critical,
                claimant,
                range: 0..0,
                reach,
                pressing: u64::MAX,
                ticket: claimant.0,
                ahead: false,
                overdue: false,
                since: now,
            };
            if let Some((Critical { ticket, .. }, range)) = cursor.critical.as_ref().zip(cursor.critical()) {
                claims.push(Claim { range: clip(&range, reach), ticket: *ticket, ..blank.clone() });
            }
            let window = cursor.window();
            let range = clip(&(cursor.at..cursor.at.saturating_add(window)), reach);
            // A window that was full a moment ago always lacks its last bytes: it is refilled by halves.
            let pressing = cursor.at.saturating_add(window.div_ceil(2));
            claims.push(Claim { priority: Priority::High, range, pressing, ahead: true, ..blank });
        }
        for (&claimant, Wish { range, priority, since, patience }) in &self.requests {
            let range = clip(range, total);
            let priority = patience.merit(*priority, now);
            // Among those who stand still tickets alone count: readers have no other time of arrival.
            let since = if priority == Priority::Critical { now } else { *since };
            let (ticket, overdue) = (claimant.0, patience.overdue(now));
            let (reach, pressing, ahead) = (range.end, u64::MAX, false);
            claims.push(Claim { priority, claimant, range, reach, pressing, ticket, ahead, overdue, since });
        }
        let own = match &self.wanted {
            Wanted::Whole => vec![0..total],
            Wanted::Ranges(ranges) => ranges.iter().map(|range| clip(&range, total)).collect(),
            Wanted::OnDemand => Vec::new(),
        };
        let overdue = self.background.overdue(now);
        claims.extend(own.into_iter().map(|range| Claim {
            priority: self.background.merit(Priority::Low, now),
            claimant: Claimant::BACKGROUND,
            reach: range.end,
            range,
            pressing: u64::MAX,
            ticket: Claimant::BACKGROUND.0,
            ahead: false,
            overdue,
            since: if overdue { self.background.since } else { now },
        }));
        claims.retain(|claim| !claim.range.is_empty());
        claims.sort_by_key(|claim| (claim.priority, claim.since, claim.ticket));
        claims
    }

    /// What readers stand still for or are about to reach, and what was asked for by itself: everything wanted but the
    /// download's own wish.
    pub(crate) fn awaited(&self, total: u64) -> RangeSet {
        let readers = self.readers.values().flat_map(|cursor| {
            let ahead = cursor.at..cursor.at.saturating_add(cursor.window());
            let end = cursor.end.min(total);
            cursor.critical().into_iter().chain([ahead]).map(move |range| clip(&range, end))
        });
        readers.chain(self.requests.values().map(|wish| clip(&wish.range, total))).collect()
    }

    /// How urgent the byte at `offset` is by itself, without the merit of having waited; `None` when nobody wants it.
    pub(crate) fn priority_of(&self, offset: u64) -> Option<Priority> {
        let in_window = |from: u64, length: u64| (from..from.saturating_add(length)).contains(&offset);
        let readers = self.readers.values().filter(|cursor| offset < cursor.end).filter_map(|cursor| {
            if cursor.critical().is_some_and(|critical| critical.contains(&offset)) {
                return Some(Priority::Critical);
            }
            in_window(cursor.at, cursor.window()).then_some(Priority::High)
        });
        let requests = self.requests.values().filter(|wish| wish.range.contains(&offset));
        let own = match &self.wanted {
            Wanted::Whole => true,
            Wanted::Ranges(ranges) => ranges.available_from(offset) > offset,
            Wanted::OnDemand => false,
        };
        readers.chain(requests.map(|wish| wish.priority)).chain(own.then_some(Priority::Low)).min()
    }

    /// How soon somebody needs a byte of `range`, by the most urgent of them.
    pub(crate) fn urgency_of(&self, range: &Range<u64>) -> Urgency {
        let touches = |wanted: Range<u64>| wanted.start < range.end && range.start < wanted.end;
        let readers = self.readers.values().filter_map(|cursor| {
            if cursor.critical().is_some_and(touches) {
                return Some(Urgency::Now);
            }
            let window = cursor.at..cursor.at.saturating_add(cursor.window()).min(cursor.end);
            touches(window).then_some(Urgency::Soon)
        });
        let requests = self.requests.values().filter(|wish| touches(wish.range.clone()));
        let requests = requests.map(|wish| match wish.priority {
            Priority::Critical => Urgency::Now,
            Priority::High => Urgency::Soon,
            Priority::Normal | Priority::Low => Urgency::InTurn,
        });
        readers.chain(requests).min().unwrap_or_default()
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

fn clip(range: &Range<u64>, end: u64) -> Range<u64> {
    range.start.min(end)..range.end.min(end)
}

/// How long a claim waits before it counts as one class more urgent.
const AGEING: Duration = Duration::from_secs(15);
/// How long it keeps the class it has reached, once it has a lease.
const TURN: Duration = Duration::from_secs(5);
/// How many bytes under a blocked reader are critical at least, and at most once it has read that many in one go.
const CRITICAL: u64 = 256 << 10;
const CRITICAL_MOST: u64 = 1 << 20;
/// How far a reader looks ahead that has just begun, or just moved.
const FIRST_WINDOW: u64 = 4 << 20;
/// How far a reader looks ahead at most, unless told otherwise.
const READ_AHEAD: u64 = 32 << 20;

#[cfg(test)]
mod tests;
