//! The line in front of the permits: no lock, no future, only who is next.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::task::Waker;

/// Always: somebody waits only while every permit is in use, and `in_use` counts what is held and what is granted.
///
/// Wakers that fall out are returned, never woken or dropped here: the queue stands behind a lock.
pub(crate) struct Queue {
    limit: usize,
    in_use: usize,
    closed: bool,
    waiting: BTreeMap<Turn, Waker>,
    /// Given to somebody who has not looked since.
    granted: BTreeSet<Turn>,
    next_ticket: u64,
}

/// A place in line: the smallest one is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Turn {
    priority: Reverse<i32>,
    ticket: u64,
}

impl Queue {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            in_use: 0,
            closed: false,
            waiting: BTreeMap::new(),
            granted: BTreeSet::new(),
            next_ticket: 0,
        }
    }

    /// Takes a permit if one is free.
    pub(crate) fn take(&mut self) -> bool {
        let free = !self.closed && self.in_use < self.limit;
        self.in_use += usize::from(free);
        free
    }

    /// Takes the permit that was granted to `turn` in the meantime.
    pub(crate) fn collect(&mut self, turn: Turn) -> bool {
        self.granted.remove(&turn)
    }

    /// Joins the end of a class.
    pub(crate) fn line_up(&mut self, priority: i32, waker: Waker) -> Turn {
        self.next_ticket += 1;
        let turn = Turn { priority: Reverse(priority), ticket: self.next_ticket };
        self.waiting.insert(turn, waker);
        turn
    }

    /// Stays at `turn`; returns the waker that no longer counts.
    #[must_use]
    pub(crate) fn keep_waiting(&mut self, turn: Turn, waker: Waker) -> Option<Waker> {
        self.waiting.insert(turn, waker)
    }

    /// Moves to another class, keeping the time of arrival; returns the place from now on.
    pub(crate) fn change_class(&mut self, turn: Turn, priority: i32) -> Turn {
        let Some(waker) = self.waiting.remove(&turn) else { return turn };
        let moved = Turn { priority: Reverse(priority), ..turn };
        self.waiting.insert(moved, waker);
        moved
    }

    /// Gives up `turn`, and the permit that may already have come with it. Returns the waker that no longer counts, and
    /// whom to wake.
    #[must_use]
    pub(crate) fn leave(&mut self, turn: Turn) -> (Option<Waker>, Vec<Waker>) {
        let own = self.waiting.remove(&turn);
        (own, if self.collect(turn) { self.give_back() } else { Vec::new() })
    }

    /// Takes one permit back and passes it on in the same breath, so that nobody can come in between. Returns whom to
    /// wake.
    #[must_use]
    pub(crate) fn give_back(&mut self) -> Vec<Waker> {
        self.in_use -= 1;
        self.hand_out()
    }

    /// Changes the number of permits. Returns whom to wake.
    #[must_use]
    pub(crate) fn resize(&mut self, limit: usize) -> Vec<Waker> {
        self.limit = limit;
        self.hand_out()
    }

    /// Ends the giving out. Returns whom to wake.
    #[must_use]
    pub(crate) fn close(&mut self) -> Vec<Waker> {
        self.closed = true;
        std::mem::take(&mut self.waiting).into_values().collect()
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn in_use(&self) -> usize {
        self.in_use
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Grants what is free to those who are next. After the end nobody waits.
    fn hand_out(&mut self) -> Vec<Waker> {
        let mut woken = Vec::new();
        while self.in_use < self.limit {
            let Some((turn, waker)) = self.waiting.pop_first() else { break };
            self.in_use += 1;
            self.granted.insert(turn);
            woken.push(waker);
        }
        woken
    }
}
