//! One lane for each peer, so that one that is silent holds up nobody else's stubs.
//!
//! A peer is asked about a few items at a time. One that has just said nothing is not asked again for a while, and
//! an item whose turn does not come soon is not asked about either: it is queued at once, and the peer is asked
//! when its download begins. So a thousand stubs are in the registry within seconds, whatever their peers do.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// What waits to be queued, by peer.
#[derive(Debug)]
pub(super) struct Lanes<K> {
    lanes: BTreeMap<String, Lane<K>>,
}

#[derive(Debug)]
struct Lane<K> {
    waiting: VecDeque<(K, Instant)>,
    asking: usize,
    queueing: usize,
    silent_until: Option<Instant>,
}

/// Something whose turn it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn<K> {
    pub(super) lane: String,
    pub(super) key: K,
    /// Whether the peer is to be asked first.
    pub(super) ask: bool,
}

impl<K> Lanes<K> {
    pub(super) fn new() -> Self {
        Self { lanes: BTreeMap::new() }
    }

    /// Puts something at the end of a lane.
    pub(super) fn push(&mut self, lane: &str, key: K, now: Instant) {
        let lane = self.lanes.entry(lane.to_owned()).or_insert_with(|| Lane {
            waiting: VecDeque::new(),
            asking: 0,
            queueing: 0,
            silent_until: None,
        });
        lane.waiting.push_back((key, now));
    }

    /// Takes the next one that may go.
    pub(super) fn next(&mut self, now: Instant) -> Option<Turn<K>> {
        self.lanes.iter_mut().find_map(|(name, lane)| {
            let ask = lane.asks(lane.waiting.front()?.1, now);
            let (running, most) =
                if ask { (&mut lane.asking, ASKING) } else { (&mut lane.queueing, QUEUEING) };
            if *running == most {
                return None;
            }
            *running += 1;
            let (key, _) = lane.waiting.pop_front()?;
            Some(Turn { lane: name.clone(), key, ask })
        })
    }

    /// Notes that one has gone through, and whether its peer said nothing when it was asked.
    pub(super) fn ended(&mut self, lane: &str, asked: bool, silent: bool, now: Instant) {
        let Some(found) = self.lanes.get_mut(lane) else { return };
        match asked {
            true => found.asking = found.asking.saturating_sub(1),
            false => found.queueing = found.queueing.saturating_sub(1),
        }
        if asked {
            found.silent_until = silent.then(|| now + SILENCE);
        }
        if found.is_over(now) {
            self.lanes.remove(lane);
        }
    }

    /// When to look for the next one, if nothing ends before; `None` when time alone changes nothing.
    pub(super) fn look_again(&self, now: Instant) -> Option<Instant> {
        let runs_out = self.lanes.values().filter_map(|lane| Some(lane.waiting.front()?.1 + PATIENCE));
        // One that has run out of patience waits for nothing but a place, and takes the next that is free.
        runs_out.filter(|at| *at > now).min()
    }
}

impl<K> Lane<K> {
    fn asks(&self, since: Instant, now: Instant) -> bool {
        self.silent_until.is_none_or(|until| until <= now) && now < since + PATIENCE
    }

    fn is_over(&self, now: Instant) -> bool {
        let idle = self.waiting.is_empty() && self.asking == 0 && self.queueing == 0;
        idle && self.silent_until.is_none_or(|until| until <= now)
    }
}

/// Questions to one peer at a time.
const ASKING: usize = 8;
/// Rows of one peer that are written at a time.
const QUEUEING: usize = 32;
/// How long a peer that said nothing is not asked.
const SILENCE: Duration = Duration::from_secs(30);
/// How long something waits for its turn to be asked about.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(lanes: &mut Lanes<u32>, now: Instant) -> Vec<(String, u32, bool)> {
        std::iter::from_fn(|| lanes.next(now)).map(|turn| (turn.lane, turn.key, turn.ask)).collect()
    }

    #[test]
    fn a_peer_is_asked_about_a_few_at_a_time_and_another_one_does_not_wait() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        for key in 0..100 {
            lanes.push("away", key, now);
        }
        lanes.push("bob", 100, now);
        let first = turns(&mut lanes, now);
        assert_eq!(first.len(), ASKING + 1);
        assert_eq!(first.last(), Some(&("bob".to_owned(), 100, true)));
        assert!(lanes.next(now).is_none());
        lanes.ended("away", true, false, now);
        assert_eq!(turns(&mut lanes, now), [("away".to_owned(), 8, true)], "in its order, one for one");
    }

    #[test]
    fn a_peer_that_said_nothing_is_not_asked_for_a_while() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        lanes.push("bob", 0, now);
        assert!(lanes.next(now).is_some_and(|turn| turn.ask));
        lanes.ended("bob", true, true, now);
        for key in 1..=40 {
            lanes.push("bob", key, now);
        }
        let unasked = turns(&mut lanes, now);
        assert_eq!(unasked.len(), QUEUEING);
        assert!(unasked.iter().all(|(_, _, ask)| !ask));
        for _ in 0..QUEUEING {
            lanes.ended("bob", false, false, now);
        }
        assert_eq!(turns(&mut lanes, now).len(), 8);
        let later = now + SILENCE;
        lanes.push("bob", 41, later);
        assert!(lanes.next(later).is_some_and(|turn| turn.ask), "then it is asked again");
    }

    #[test]
    fn what_waits_too_long_for_its_turn_is_queued_without_asking() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        for key in 0..20 {
            lanes.push("bob", key, now);
        }
        assert_eq!(turns(&mut lanes, now).len(), ASKING);
        assert_eq!(lanes.look_again(now), Some(now + PATIENCE));
        let rest = turns(&mut lanes, now + PATIENCE);
        assert_eq!(rest.len(), 20 - ASKING, "although all questions are still open");
        assert!(rest.iter().all(|(_, _, ask)| !ask));
        assert_eq!(lanes.look_again(now + PATIENCE), None);
        for key in 0..100 {
            lanes.push("bob", key, now);
        }
        assert_eq!(turns(&mut lanes, now + PATIENCE).len(), QUEUEING - 12);
        assert_eq!(lanes.look_again(now + PATIENCE), None, "every place is taken");
    }

    #[test]
    fn a_lane_that_is_empty_is_forgotten() {
        let (mut lanes, now) = (Lanes::new(), Instant::now());
        lanes.push("bob", 0, now);
        lanes.next(now);
        lanes.ended("bob", true, false, now);
        assert!(lanes.lanes.is_empty());
        lanes.ended("nobody", true, false, now);
    }
}
