//! The picker: what an idle slot does next.
//!
//! It looks at everything anew each time. Bytes are missing when they are not written, not being fetched and not
//! waiting for another try; the most urgent claim with missing bytes gets the next lease. When nothing is missing, the
//! largest lease is split, so that the last piece is never the slow one.
//!
//! Who makes room when every slot is taken: a lease that serves a less urgent class; among readers that stand still the
//! one that came last; and what merely reads ahead, for whoever has waited long. Nobody else, so two never drive each
//! other out in turn.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Claim, Claimant};
use crate::priority::Priority;
use crate::range_set::RangeSet;

/// Names a lease for as long as its worker lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LeaseId(pub(crate) u64);

/// A lease as the picker sees it.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) id: LeaseId,
    /// From the first byte that is not written yet to one past the last it may bring.
    pub(crate) span: Range<u64>,
    /// The next byte it gets from the network: everything before is on its way to the disk.
    pub(crate) at: u64,
    /// How urgent its next byte is; `None` when nobody wants it any more.
    pub(crate) priority: Option<Priority>,
    /// Bytes per second lately; 0 while unknown.
    pub(crate) rate: f64,
    /// The same within the last moments.
    pub(crate) pace: f64,
    /// Its answer was accepted.
    pub(crate) answered: bool,
}

/// Everything a pick depends on.
#[derive(Debug)]
pub(crate) struct Scene<'a> {
    pub(crate) written: &'a RangeSet,
    pub(crate) running: &'a [Running],
    /// Ranges that failed and wait for their next try.
    pub(crate) parked: &'a RangeSet,
    /// The most urgent first.
    pub(crate) claims: &'a [Claim],
    /// Leases there may be at once.
    pub(crate) slots: usize,
    /// More than so many have to go at once; those between may bring what they are at.
    pub(crate) most: usize,
    /// Bytes per second of the whole download lately.
    pub(crate) rate: f64,
    /// Seconds from a request to its answer lately; 0 while unknown.
    pub(crate) lag: f64,
    /// Seconds since the download began.
    pub(crate) age: f64,
    /// More than one lease has been at work on this representation.
    pub(crate) parallel: bool,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Nobody fetches these: place a lease on them.
    Place { range: Range<u64>, claimant: Claimant, priority: Priority },
    /// Let `victim` end at `range.start`, and place a lease on what it gives up.
    Split { victim: LeaseId, range: Range<u64>, claimant: Claimant, priority: Priority },
    /// End `victim` at the byte it has come to, to make room for something more urgent; then pick again.
    Preempt { victim: LeaseId },
}

/// Decides what to do next; `None` when everything that can be done is being done.
///
/// Carry it out, then ask again. Every placed lease is at least as urgent as the claim it was placed for, and only what
/// is less urgent makes room, so asking comes to an end.
pub(crate) fn pick(scene: &Scene<'_>) -> Option<Pick> {
    // A lease that has got its last byte makes room by itself.
    let leaving = scene.running.iter().filter(|running| running.at >= running.span.end).count();
    if scene.running.len() < scene.slots {
        return most_urgent(scene).map(|need| need.pick).or_else(|| split(scene));
    }
    let weakest = weakest(scene)?;
    let surplus = scene.running.len() - leaving > scene.most.max(1);
    let outdone = leaving == 0 && {
        let claims = scene.claims.iter().filter(|claim| weakest.yields_to(claim, claim.priority));
        let mut needs = claims.filter_map(|claim| unserved(scene, claim));
        needs.any(|need| need.pressing && weakest.yields_to(need.claim, need.priority))
    };
    (surplus || outdone).then_some(Pick::Preempt { victim: weakest.id })
}

/// Bytes that nobody is about to bring.
struct Need<'a> {
    claim: &'a Claim,
    priority: Priority,
    /// Whether it is reason enough to end another lease.
    pressing: bool,
    pick: Pick,
}

/// What a free slot is for: the first claim with a need, though a claim whose first bytes are on their way stands behind
/// those that have got nothing, and a window that only lacks its last bytes behind all.
fn most_urgent<'a>(scene: &Scene<'a>) -> Option<Need<'a>> {
    let mut best: Option<Need<'_>> = None;
    for claim in scene.claims {
        if best.as_ref().is_some_and(|best| best.pressing && best.priority <= claim.priority) {
            break;
        }
        let rank = |need: &Need<'_>| (!need.pressing, need.priority);
        if let Some(need) = unserved(scene, claim)
            && best.as_ref().is_none_or(|best| rank(&need) < rank(best))
        {
            best = Some(need);
        }
    }
    best
}

/// The first bytes of `claim` that nobody is about to bring.
fn unserved<'a>(scene: &Scene<'_>, claim: &'a Claim) -> Option<Need<'a>> {
    let claimant = claim.claimant;
    let head = head(scene, claim)?;
    for gap in scene.written.gaps(claim.range.clone()) {
        let mut at = gap.start;
        while at < gap.end {
            let priority = if at == head { claim.priority } else { behind_the_head(claim.priority) };
            let need = |pick| Some(Need { claim, priority, pressing: at < claim.pressing, pick });
            if let Some(running) = scene.running.iter().find(|running| running.span.contains(&at)) {
                let theirs = Standing::of(scene, running).priority;
                // Whoever stands still, or soon would, does not wait for a lease that is as urgent somewhere else;
                // the other classes are patient.
                let outranks =
                    |theirs| priority < theirs || (priority == theirs && priority <= Priority::High);
                if at > close_to(scene, running) && theirs.is_none_or(outranks) {
                    let range = at..running.span.end.min(claim.reach);
                    return need(Pick::Split { victim: running.id, range, claimant, priority });
                }
                at = running.span.end;
            } else if let Some(parked) = scene.parked.iter().find(|parked| parked.contains(&at)) {
                at = parked.end;
            } else {
                let range = at..free_until(scene, at, claim.reach);
                return need(Pick::Place { range, claimant, priority });
            }
        }
    }
    None
}

/// The first missing byte of `claim`: the one that whoever stands still stands still for.
fn head(scene: &Scene<'_>, claim: &Claim) -> Option<u64> {
    scene.written.gaps(claim.range.clone()).next().map(|gap| gap.start)
}

/// Bytes behind the first missing one are not critical while that one is on its way: nobody is to have a second lease
/// as long as somebody else stands still without any.
fn behind_the_head(priority: Priority) -> Priority {
    priority.max(Priority::High)
}

/// The last byte that `running` brings sooner than a new request would.
fn close_to(scene: &Scene<'_>, running: &Running) -> u64 {
    // Until a lease has a rate of its own, its share of the whole.
    let share = scene.rate / scene.running.len().max(1) as f64;
    let rate = if running.rate > 0.0 { running.rate } else { share };
    running.at.saturating_add(NEAR.max((rate * NEAR_TIME) as u64))
}

/// Up to where the bytes from `at` on are missing, unleased and not parked, within `reach`.
fn free_until(scene: &Scene<'_>, at: u64, reach: u64) -> u64 {
    let written = scene.written.gaps(at..reach).next().map_or(at, |gap| gap.end);
    let leased =
        scene.running.iter().filter(|running| !running.span.is_empty()).map(|running| running.span.start);
    let parked = scene.parked.iter().map(|parked| parked.start);
    leased.chain(parked).filter(|start| *start > at).fold(written, u64::min)
}

/// What a lease is worth at this moment, by the most urgent claim whose bytes it is about to bring.
struct Standing {
    id: LeaseId,
    /// `None` when it brings nothing that anybody waits for.
    priority: Option<Priority>,
    ahead: bool,
    ticket: u64,
    /// It has brought nothing, and loses nothing.
    unanswered: bool,
    left: u64,
}

impl Standing {
    fn of(scene: &Scene<'_>, running: &Running) -> Self {
        let about_to = running.at..running.span.end.min(close_to(scene, running).saturating_add(1));
        let served = scene.claims.iter().filter(|claim| {
            claim.range.start < about_to.end && about_to.start < claim.range.end && !about_to.is_empty()
        });
        let best = served
            .map(|claim| {
                let first = head(scene, claim).is_some_and(|head| running.span.contains(&head));
                (if first { claim.priority } else { behind_the_head(claim.priority) }, claim)
            })
            .min_by_key(|(priority, _)| *priority);
        Self {
            id: running.id,
            priority: best.map(|(priority, _)| priority),
            ahead: best.is_some_and(|(_, claim)| claim.ahead),
            ticket: best.map_or(0, |(_, claim)| claim.ticket),
            unanswered: !running.answered,
            left: left(running, running.span.end),
        }
    }

    /// Orders leases by who has to go first: the greatest.
    fn weakness(&self) -> (u8, bool, u64, bool, u64) {
        let class = self.priority.map_or(u8::MAX, |priority| priority as u8);
        let ticket = if self.priority == Some(Priority::Critical) { self.ticket } else { 0 };
        (class, self.ahead, ticket, self.unanswered, self.left)
    }

    /// Whether this lease is to end for `claim`, whose missing bytes are as urgent as `priority`.
    fn yields_to(&self, claim: &Claim, priority: Priority) -> bool {
        let Some(ours) = self.priority else { return true };
        match priority.cmp(&ours) {
            Ordering::Less => true,
            Ordering::Greater => false,
            // Who stood still first goes first: a reader that has got its piece stands behind the others again.
            Ordering::Equal if ours == Priority::Critical => claim.ticket < self.ticket,
            Ordering::Equal => self.ahead && claim.overdue && !claim.ahead,
        }
    }
}

/// The lease that makes room first: the least urgent, of several one that has not been answered yet, and of those the one
/// with the most left to do.
fn weakest(scene: &Scene<'_>) -> Option<Standing> {
    let running = scene.running.iter().filter(|running| running.at < running.span.end);
    running.map(|running| Standing::of(scene, running)).max_by_key(Standing::weakness)
}

/// Bytes up to `end` that `running` has yet to get.
fn left(running: &Running, end: u64) -> u64 {
    end.min(running.span.end).saturating_sub(running.at)
}

/// Halves the largest lease, when it is worth another request; at the tail the slowest.
fn split(scene: &Scene<'_>) -> Option<Pick> {
    let wanted: RangeSet = scene.claims.iter().map(|claim| claim.range.clone()).collect();
    // Beyond what is wanted by now a lease is not in a hurry.
    let leases = || {
        let answered = scene.running.iter().filter(|running| running.answered && running.priority.is_some());
        answered.map(|running| (running, left(running, wanted.available_from(running.at))))
    };
    let from = if scene.parallel { 2 * LEAST } else { SPLIT_FROM };
    let largest = leases().max_by_key(|(_, left)| *left).filter(|(_, left)| *left >= from);
    // At the end of a download over several connections time counts, not bytes: nothing is to hang at 99 %.
    let patience = TAIL_TIME.max(scene.lag * WORTH_ASKING);
    let drags = |(running, left): &(&Running, u64)| {
        *left >= SPLIT_TAIL && running.rate > 0.0 && *left as f64 > running.rate.min(running.pace) * patience
    };
    let small = wanted.iter().last().is_none_or(|run| run.end < ONE_REQUEST);
    let tail = || {
        let time = |(running, left): &(&Running, u64)| *left as f64 / running.rate.min(running.pace);
        leases().filter(drags).max_by(|one, other| time(one).total_cmp(&time(other)))
    };
    let (running, left) = largest.or_else(|| if scene.parallel && !small { tail() } else { None })?;
    // Half-way, unless somebody waits for bytes further on: else that one drove the new lease out again.
    let waited_for =
        scene.claims.iter().filter(|claim| claim.claimant != Claimant::BACKGROUND).find_map(|claim| {
            let head = head(scene, claim)?;
            (running.span.contains(&head) && head > close_to(scene, running)).then_some((head, claim))
        });
    if let Some((head, claim)) = waited_for {
        let (claimant, priority) = (claim.claimant, claim.priority);
        return Some(Pick::Split { victim: running.id, range: head..running.span.end, claimant, priority });
    }
    let end = running.span.end;
    let range = end.min(running.at.saturating_add(left)) - share(scene, running.id, left)..end;
    let priority = running.priority.unwrap_or(Priority::Low);
    Some(Pick::Split { victim: running.id, range, claimant: Claimant::BACKGROUND, priority })
}

/// How many of its last bytes `victim`, which has `left` to go, gives up to an idle slot: what takes the others a share of
/// the time so far. So who has just come gets little until it has shown what it can do, a long download does not need
/// many requests, and towards the end the pieces get smaller again. A piece is asked for exactly, and its connection is
/// good for the next one; only a lease that gives up bytes has asked for more than it brings, and loses its connection.
fn share(scene: &Scene<'_>, victim: LeaseId, left: u64) -> u64 {
    let others = scene.running.iter().filter(|other| other.id != victim && other.rate > 0.0);
    let (count, sum) = others.fold((0u32, 0.0), |(count, sum), other| (count + 1, sum + other.rate));
    let time = (scene.age * SHARE_OF_AGE).max(scene.lag * WORTH_ASKING);
    let piece = (sum / f64::from(count.max(1)) * time) as u64;
    let fair = left / (2 * scene.slots.max(1) as u64);
    piece.min(fair).max(LEAST).min(left / 2)
}

/// What an idle slot takes lasts for this share of the time since the download began.
const SHARE_OF_AGE: f64 = 0.25;
/// An idle slot takes at least this, and leaves as much.
const LEAST: u64 = 1 << 20;
/// A piece is to take this many times as long as it takes to be answered.
const WORTH_ASKING: f64 = 4.0;
/// With at least this many bytes left one connection is not alone any more.
const SPLIT_FROM: u64 = 4 << 20;
/// At the tail of a parallel download, a lease that would go on for longer than [`TAIL_TIME`] is split down to this.
const SPLIT_TAIL: u64 = 256 << 10;
const TAIL_TIME: f64 = 0.2;
/// A file smaller than this is fetched by one request.
const ONE_REQUEST: u64 = 1 << 20;
/// A lease that is this close to a byte brings it sooner than a new request would.
const NEAR: u64 = 1 << 20;
/// The same, as seconds at the current rate.
const NEAR_TIME: f64 = 0.25;

#[cfg(test)]
mod tests;
