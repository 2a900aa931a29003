//! The picker: what an idle slot does next.
//!
//! It looks at everything anew each time. Bytes are missing when they are not written, not being fetched and not
//! waiting for another try; the most urgent claim with missing bytes gets the next lease. When nothing is missing, the
//! largest lease is split, so that the last piece is never the slow one.

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
    /// Bytes per second of the whole download lately.
    pub(crate) rate: f64,
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
pub(crate) fn pick(scene: &Scene<'_>) -> Option<Pick> {
    let free = scene.running.len() < scene.slots;
    if let Some(pick) = scene.claims.iter().find_map(|claim| unserved(scene, claim)) {
        let urgency = match &pick {
            Pick::Place { priority, .. } | Pick::Split { priority, .. } => *priority,
            Pick::Preempt { .. } => return Some(pick),
        };
        // Claims are in order: what this one cannot drive out, none of the others can.
        return if free { Some(pick) } else { victim(scene, urgency) };
    }
    if free { split(scene) } else { None }
}

/// The first bytes of `claim` that nobody is about to bring.
fn unserved(scene: &Scene<'_>, claim: &Claim) -> Option<Pick> {
    let (claimant, priority) = (claim.claimant, claim.priority);
    let near = NEAR.max((scene.rate * NEAR_TIME) as u64);
    for gap in scene.written.gaps(claim.range.clone()) {
        let mut at = gap.start;
        while at < gap.end {
            if let Some(running) = scene.running.iter().find(|running| running.span.contains(&at)) {
                let far = at > running.at.saturating_add(near);
                if far && running.priority.is_none_or(|theirs| priority < theirs) {
                    let range = at..running.span.end.min(claim.reach.max(at + 1));
                    return Some(Pick::Split { victim: running.id, range, claimant, priority });
                }
                at = running.span.end;
            } else if let Some(parked) = scene.parked.iter().find(|parked| parked.contains(&at)) {
                at = parked.end;
            } else {
                let range = at..free_until(scene, at, claim.reach);
                return Some(Pick::Place { range, claimant, priority });
            }
        }
    }
    None
}

/// Up to where the bytes from `at` on are missing, unleased and not parked, within `reach`.
fn free_until(scene: &Scene<'_>, at: u64, reach: u64) -> u64 {
    let written = scene.written.gaps(at..reach).next().map_or(at, |gap| gap.end);
    let leased = scene.running.iter().map(|running| running.span.start);
    let parked = scene.parked.iter().map(|parked| parked.start);
    leased.chain(parked).filter(|start| *start > at).fold(written, u64::min)
}

/// The least urgent lease, when it is less urgent than `priority`. Of several the one with the most left to do.
fn victim(scene: &Scene<'_>, priority: Priority) -> Option<Pick> {
    let worst = scene.running.iter().max_by_key(|running| (class(running), running.span.end - running.at))?;
    (class(worst) > Some(priority).map_or(u8::MAX, |priority| priority as u8))
        .then_some(Pick::Preempt { victim: worst.id })
}

fn class(running: &Running) -> u8 {
    running.priority.map_or(u8::MAX, |priority| priority as u8)
}

/// Halves the largest lease, when it is worth another request.
fn split(scene: &Scene<'_>) -> Option<Pick> {
    let largest = scene
        .running
        .iter()
        .filter(|running| running.answered && running.priority.is_some())
        .max_by_key(|running| running.span.end.saturating_sub(running.at))?;
    let left = largest.span.end.saturating_sub(largest.at);
    // At the end of a download over several connections time counts, not bytes: nothing is to hang at 99 %.
    let drags =
        scene.parallel && left >= SPLIT_TAIL && left as f64 > largest.rate * TAIL_TIME && largest.rate > 0.0;
    if left < SPLIT_FROM && !drags {
        return None;
    }
    let range = largest.at + left / 2..largest.span.end;
    let priority = largest.priority.unwrap_or(Priority::Low);
    Some(Pick::Split { victim: largest.id, range, claimant: Claimant::BACKGROUND, priority })
}

/// A lease with at least this many bytes left is worth splitting.
const SPLIT_FROM: u64 = 4 << 20;
/// At the tail of a parallel download, a lease that would go on for longer than [`TAIL_TIME`] is split down to this.
const SPLIT_TAIL: u64 = 256 << 10;
const TAIL_TIME: f64 = 4.0;
/// A lease that is this close to a byte brings it sooner than a new request would.
const NEAR: u64 = 1 << 20;
/// The same, as seconds at the current rate.
const NEAR_TIME: f64 = 0.25;
