//! Placing leases: what the schedule decides, done.

use std::ops::Range;

use super::Engine;
use super::crew::Member;
use crate::lease::{Bounds, Lease};
use crate::request::Wanted;
use crate::schedule::{Claimant, Pick, Scene, pick};

/// What a new lease asks for.
#[derive(Clone, Copy)]
struct Errand {
    from: u64,
    until: Option<u64>,
    claimant: Claimant,
    /// The whole, without a range.
    whole: bool,
}

impl Engine {
    /// Puts every free slot to work, and says to everybody at work how urgent it is.
    pub(super) fn place(&mut self) {
        self.place_leases();
        self.crew.hurry(&self.board.notes().demand, !self.takes_pieces());
    }

    fn place_leases(&mut self) {
        if self.resting.is_some() {
            return;
        }
        if self.restart_due.is_some() {
            let on_demand = matches!(self.shared.request.wanted, Wanted::OnDemand);
            if self.crew.is_empty() && (!on_demand || self.wants_something()) {
                self.send(Errand::whole());
            }
            return;
        }
        match self.state.total().filter(|_| self.state.generation > 0) {
            None => self.place_first(),
            Some(total) if self.takes_pieces() => self.place_picks(total),
            Some(total) => self.place_next(total),
        }
    }

    /// Whether pieces from anywhere in the file can be joined: a strong validator says that they belong together, and
    /// the peer serves ranges.
    fn takes_pieces(&self) -> bool {
        self.state.identity.is_proof() && !self.ignores_ranges && !self.unvouched && !self.in_order
    }

    /// The first lease of a representation nobody knows the size of.
    fn place_first(&mut self) {
        if !self.crew.is_empty() {
            return self.trim();
        }
        let held = self.state.written.available_from(0);
        if self.wants_all() || ((held > 0 || self.in_order) && self.wants_something()) {
            return self.send(Errand { whole: held == 0, ..Errand::background(held, None) });
        }
        if held > 0 || self.in_order {
            return;
        }
        let claims = self.board.notes().demand.claims(u64::MAX, self.shared.clock.now());
        match claims.into_iter().next().filter(|_| !self.past_the_end) {
            Some(claim) => {
                let until = Some(claim.reach).filter(|end| *end < u64::MAX);
                self.send(Errand { from: claim.range.start, until, claimant: claim.claimant, whole: false });
            }
            // Somebody waits for nothing but the end of it.
            None if self.past_the_end || matches!(self.shared.request.wanted, Wanted::Ranges(_)) => {
                self.send(Errand::background(0, Some(1)));
            }
            None => {}
        }
    }

    fn wants_all(&self) -> bool {
        matches!(self.shared.request.wanted, Wanted::Whole)
    }

    /// Whether anybody wants a byte that is missing, however far the file goes.
    fn wants_something(&self) -> bool {
        let claims = self.board.notes().demand.claims(u64::MAX, self.shared.clock.now());
        claims.into_iter().any(|claim| !self.state.written.covers(&claim.range))
    }

    /// One lease at a time, in the order of the bytes: each proves itself by what is held before it.
    fn place_next(&mut self, total: u64) {
        let claims = self.board.notes().demand.claims(total, self.shared.clock.now());
        let wanted = claims.iter().flat_map(|claim| self.state.written.gaps(claim.range.clone()));
        // Nothing before a wanted byte is unwanted here, whoever asked for it: it is on the way there.
        let Some(until) = wanted.map(|gap| gap.end).max() else { return self.trim() };
        if !self.crew.is_empty() || self.parked_until().is_some() {
            return;
        }
        let gap = self.state.written.gaps(0..until).next();
        if let Some(gap) = gap {
            self.send(Errand::background(gap.start, Some(gap.end).filter(|end| *end < total)));
        }
    }

    fn place_picks(&mut self, total: u64) {
        self.trim();
        // Each round places, cuts or ends something; a worker that runs ahead meanwhile costs a round.
        for _ in 0..MAX_ROUNDS {
            let Some(pick) = self.pick(total) else { return };
            match pick {
                Pick::Place { range, claimant, .. } => self.send_for(range, total, claimant),
                Pick::Split { victim, range, claimant, .. } => {
                    let cut = self.crew.get(victim).and_then(|member| member.bounds.cut(range.start));
                    if cut.is_some() {
                        self.send_for(range, total, claimant);
                    }
                }
                Pick::Preempt { victim } => {
                    if self.crew.get(victim).is_none_or(|member| member.leaving) {
                        // It is on its way out already; its place is free in a moment.
                        return;
                    }
                    self.crew.end(victim);
                }
            }
        }
    }

    fn pick(&self, total: u64) -> Option<Pick> {
        let now = self.shared.clock.now();
        let notes = self.board.notes();
        let scene = Scene {
            written: &self.state.written,
            running: &self.crew.running(&notes.demand, now),
            parked: &self.parked_ranges(),
            claims: &notes.demand.claims(total, now),
            slots: if total < ONE_REQUEST { 1 } else { self.governor.target() },
            most: if total < ONE_REQUEST { 1 } else { self.governor.most() },
            rate: self.rate.rate(),
            lag: self.lag,
            age: now.saturating_duration_since(self.began).as_secs_f64(),
            parallel: self.parallel,
        };
        pick(&scene)
    }

    /// Ends what nobody wants any more.
    fn trim(&mut self) {
        let mut unwanted = Vec::new();
        {
            let notes = self.board.notes();
            for (id, member) in self.crew.members().filter(|(_, member)| !member.leaving) {
                let left = member.bounds.left();
                let until = notes.demand.wanted_until(left.clone());
                // Who was cut short and has come that far may still wait for a rate limit to allow what was on its way.
                let over = left.is_empty() && member.promised.is_some_and(|promised| promised > left.end);
                if over || (until <= left.start && !left.is_empty()) {
                    unwanted.push(id);
                } else if until < left.end {
                    member.bounds.cut(until);
                }
            }
        }
        unwanted.into_iter().for_each(|id| self.crew.end(id));
    }

    fn send_for(&mut self, range: Range<u64>, total: u64, claimant: Claimant) {
        // Only what the download wants for itself goes to the open end: others get what they asked for.
        let open = range.end == total && claimant == Claimant::BACKGROUND;
        let until = (!open).then_some(range.end);
        self.send(Errand { from: range.start, until, claimant, whole: false });
    }

    fn send(&mut self, errand: Errand) {
        let Errand { from, until, claimant, whole } = errand;
        let now = self.shared.clock.now();
        let id = self.crew.next_id();
        let end = until.or_else(|| self.state.total().filter(|_| !whole));
        let bounds = Bounds::new(from, end, &self.shared.stop);
        let lease = Lease {
            id,
            bounds: bounds.clone(),
            identity: self.state.identity.clone(),
            from,
            until,
            held_from: self.state.held_from(from),
            whole,
            // Nothing is held that the answer could be joined to, and no tag to hold it against.
            fresh: self.state.written.is_empty() && !self.state.identity.is_proof() && !whole,
            compare: self.unvouched,
            reconnect: self.reconnect,
            ignores_ranges: self.ignores_ranges,
            repr_digest: self.repr_digest,
        };
        let mut member = Member::new(id, bounds, from, now);
        member.apart = from > 0 && self.state.held_from(from) == from;
        (member.attempts, member.refusals) = self.unpark(from..end.unwrap_or(u64::MAX));
        self.board.notes().demand.served(claimant, now);
        self.crew.add(&self.shared, lease, member);
        self.parallel |= self.crew.len() > 1;
        self.show();
    }
}

impl Errand {
    fn background(from: u64, until: Option<u64>) -> Self {
        Self { from, until, claimant: Claimant::BACKGROUND, whole: false }
    }

    fn whole() -> Self {
        Self { whole: true, ..Self::background(0, None) }
    }
}

/// A file of fewer bytes is always one request at a time.
const ONE_REQUEST: u64 = 1 << 20;
/// More changes than this at once are left for the next look.
const MAX_ROUNDS: usize = 64;
