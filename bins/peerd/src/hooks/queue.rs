//! What a hook is still to be told: in order, in bounded memory.

use std::collections::VecDeque;

use super::delivery::Delivery;
use super::replay::is_ending;

/// A queue, and whether its first entry is being delivered.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Delivery>,
    busy: bool,
    /// Events of an earlier process are still to come, or some that were lost.
    pub(super) replaying: bool,
    /// It had no room for how something ended: that stands in the log, and is told from there once there is room.
    lost_ending: bool,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in line.
    In,
    /// It is, and another one is lost for it: the oldest that is no ending, or else the oldest.
    Over,
}

impl Queue {
    /// Adds an entry. Progress takes the place of earlier progress of the same download: only the latest is news.
    pub(super) fn push(&mut self, delivery: Delivery) -> Pushed {
        if delivery.event == "download.progress" {
            self.waiting.retain(|earlier| !earlier.is_overtaken_by(&delivery));
        }
        let full = self.is_full();
        if full {
            let least = self.waiting.iter().position(|earlier| !is_ending(&earlier.event));
            self.lost_ending |= least.is_none();
            self.waiting.remove(least.unwrap_or_default());
        }
        self.waiting.push_back(delivery);
        if full { Pushed::Over } else { Pushed::In }
    }

    /// Takes the next entry to deliver it; [`Queue::end`] follows.
    pub(super) fn begin(&mut self) -> Option<Delivery> {
        let next = self.waiting.pop_front();
        self.busy = next.is_some();
        next
    }

    pub(super) fn end(&mut self) {
        self.busy = false;
    }

    /// Whether everything that was told is delivered.
    pub(super) fn is_idle(&self) -> bool {
        self.has_nothing() && !self.lost_ending
    }

    /// Whether it had no room for an ending, and has it now; asked once. [`Queue::replaying`] holds from then on.
    pub(super) fn take_lost_ending(&mut self) -> bool {
        let now = self.lost_ending && self.has_nothing();
        if now {
            (self.lost_ending, self.replaying) = (false, true);
        }
        now
    }

    fn has_nothing(&self) -> bool {
        self.waiting.is_empty() && !self.busy && !self.replaying
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= CAPACITY
    }
}

const CAPACITY: usize = 4096;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery(event: &str, download: usize, n: usize) -> Delivery {
        Delivery::new(event, None, String::new(), &json!({ "download_id": download, "n": n }))
    }

    #[test]
    fn entries_come_out_in_order_and_progress_only_as_its_latest() {
        let mut queue = Queue::default();
        for (event, download, n) in [
            ("download.started", 1, 1),
            ("download.progress", 1, 2),
            ("download.progress", 2, 3),
            ("download.progress", 1, 4),
            ("download.completed", 1, 5),
        ] {
            queue.push(delivery(event, download, n));
        }
        let mut out = Vec::new();
        while let Some(next) = queue.begin() {
            assert!(!queue.is_idle(), "one is on its way");
            out.push(next);
            queue.end();
        }
        let expected = [
            ("download.started", 1, 1),
            ("download.progress", 2, 3),
            ("download.progress", 1, 4),
            ("download.completed", 1, 5),
        ];
        assert_eq!(out, expected.map(|(event, download, n)| delivery(event, download, n)));
        assert!(queue.is_idle());
    }

    #[test]
    fn a_full_queue_loses_an_ending_last_and_remembers_that_it_did() {
        let mut queue = Queue::default();
        queue.push(delivery("download.completed", 0, 0));
        for n in 1..CAPACITY {
            queue.push(delivery("download.queued", n, n));
        }
        for n in 0..CAPACITY - 1 {
            assert_eq!(queue.push(delivery("import.done", n, n)), Pushed::Over);
        }
        assert_eq!(queue.waiting.front(), Some(&delivery("download.completed", 0, 0)));
        let drain = |queue: &mut Queue| while queue.begin().is_some() {};
        let mut kept = Queue { waiting: queue.waiting.clone(), ..Queue::default() };
        drain(&mut kept);
        assert!(kept.is_idle() && !kept.take_lost_ending(), "all of them were told");
        queue.push(delivery("import.done", 0, CAPACITY));
        assert!(!queue.take_lost_ending(), "there is no room yet");
        drain(&mut queue);
        assert!(!queue.is_idle(), "what was lost is not told");
        assert!(queue.take_lost_ending() && !queue.take_lost_ending(), "once");
        assert!(!queue.is_idle(), "it is being told");
    }

    #[test]
    fn a_full_queue_loses_its_oldest_entry() {
        let mut queue = Queue::default();
        for n in 0..CAPACITY {
            assert_eq!(queue.push(delivery("download.queued", n, n)), Pushed::In);
        }
        assert!(queue.is_full());
        assert_eq!(queue.push(delivery("download.queued", 0, CAPACITY)), Pushed::Over);
        assert_eq!(queue.begin(), Some(delivery("download.queued", 1, 1)));
    }
}
