//! What a hook is still to be told: in order, in bounded memory.

use std::collections::VecDeque;

use super::delivery::Delivery;

/// A queue, and whether its first entry is being delivered.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Delivery>,
    busy: bool,
    /// Events of an earlier process are still to come.
    pub(super) replaying: bool,
}

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is in line.
    In,
    /// It is, and the oldest one is lost for it.
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
            self.waiting.pop_front();
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
