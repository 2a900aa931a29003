//! The last events under their numbers, in bounded memory.
//!
//! Readers keep a number and nothing else: however many there are and however slow, they cost no memory here, and
//! nobody ever waits for them.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::wire::Told;

/// The latest events. Their numbers are decimal and grow by one.
pub(super) struct Ring {
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
}

struct Kept {
    /// Each one ready to be sent (text/event-stream), the oldest first.
    events: VecDeque<Box<str>>,
    /// The number of the latest.
    last: u64,
}

/// Events in a row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// As they are sent; empty when there are none.
    pub text: String,
    /// The number of the last one in it, or the one that was asked about.
    pub seen: u64,
}

/// Some of the events that were asked for are not here: the reader starts over with a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind;

impl Ring {
    /// An empty ring whose first event will be `last + 1`.
    pub(super) fn after(last: u64) -> Self {
        let kept = Kept { events: VecDeque::new(), last };
        Self { kept: Mutex::new(kept), last: watch::Sender::new(last) }
    }

    /// Adds an event, drops the oldest if there are too many, and returns its number.
    pub(super) fn push(&self, told: &Told) -> u64 {
        let Told { name, data } = told;
        let mut kept = self.kept();
        kept.last += 1;
        let last = kept.last;
        if kept.events.len() == CAPACITY {
            kept.events.pop_front();
        }
        kept.events.push_back(frame(last, name, data).into());
        // Under the lock, so that the number told is never behind one told before.
        self.last.send_replace(last);
        last
    }

    pub(super) fn last(&self) -> u64 {
        self.kept().last
    }

    pub(super) fn batch(&self, seen: u64) -> Result<Batch, Behind> {
        let kept = self.kept();
        let new = kept.last.checked_sub(seen).and_then(|new| usize::try_from(new).ok()).ok_or(Behind)?;
        let skip = kept.events.len().checked_sub(new).ok_or(Behind)?;
        let mut batch = Batch { text: String::new(), seen };
        for event in kept.events.iter().skip(skip) {
            if !batch.text.is_empty() && batch.text.len() + event.len() > BATCH {
                break;
            }
            batch.text.push_str(event);
            batch.seen += 1;
        }
        Ok(batch)
    }

    pub(super) async fn beyond(&self, seen: u64) {
        // The sender lives as long as we do.
        let _ = self.last.subscribe().wait_for(|last| *last > seen).await;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One event as it is sent. JSON text has no line end in it, so one `data:` line holds it.
pub(crate) fn frame(id: u64, name: &str, data: &serde_json::Value) -> String {
    let mut text = String::new();
    write!(text, "id: {id}\nevent: {name}\ndata: {data}\n\n").expect("writing into a string cannot fail");
    text
}

/// Events that are kept for readers who come back.
const CAPACITY: usize = 1024;
/// Bytes of events handed out at once; always one event at least.
const BATCH: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use serde_json::json;

    use super::*;

    fn filled(first: u64, count: u64) -> Ring {
        let ring = Ring::after(first - 1);
        for n in 0..count {
            assert_eq!(ring.push(&Told { name: "disk.ok", data: json!({ "free": n }) }), first + n);
        }
        ring
    }

    /// The numbers of every event after `seen`.
    fn numbers(ring: &Ring, mut seen: u64) -> Result<Vec<u64>, Behind> {
        let mut numbers = Vec::new();
        loop {
            let batch = ring.batch(seen)?;
            let ids = batch.text.lines().filter_map(|line| line.strip_prefix("id: "));
            numbers.extend(ids.map(|id| id.parse::<u64>().unwrap()));
            if batch.text.is_empty() {
                assert_eq!(batch.seen, seen);
                return Ok(numbers);
            }
            assert_eq!(numbers.last(), Some(&batch.seen));
            seen = batch.seen;
        }
    }

    #[test]
    fn a_reader_gets_what_came_after_the_number_it_has_seen() {
        let ring = filled(11, 5);
        assert_eq!(numbers(&ring, 10), Ok(vec![11, 12, 13, 14, 15]));
        assert_eq!(numbers(&ring, 13), Ok(vec![14, 15]));
        assert_eq!(numbers(&ring, 15), Ok(vec![]));
        let batch = ring.batch(14).unwrap();
        assert_eq!(batch.text, "id: 15\nevent: disk.ok\ndata: {\"free\":4}\n\n");
    }

    #[test]
    fn numbers_that_are_gone_or_not_yet_given_are_behind() {
        let ring = filled(11, 5);
        assert_eq!(numbers(&ring, 9), Err(Behind), "of the process before");
        assert_eq!(numbers(&ring, 16), Err(Behind), "from the future");
        assert_eq!(numbers(&ring, u64::MAX), Err(Behind));
        assert_eq!(numbers(&Ring::after(0), 0), Ok(vec![]));
    }

    #[test]
    fn the_oldest_events_make_room_for_new_ones() {
        let ring = filled(1, 3000);
        assert_eq!(ring.kept().events.len(), 1024);
        assert_eq!(numbers(&ring, 3000 - 1024), Ok((1977..=3000).collect()));
        assert_eq!(numbers(&ring, 3000 - 1025), Err(Behind));
        assert!(ring.batch(1976).unwrap().text.len() <= BATCH, "a reader is handed no more than it can take");
    }

    #[test]
    fn one_who_waits_is_woken_by_the_next_event() {
        let ring = filled(1, 1);
        assert!(ring.beyond(0).now_or_never().is_some());
        assert!(ring.beyond(1).now_or_never().is_none());
        ring.push(&Told { name: "disk.ok", data: json!({}) });
        assert!(ring.beyond(1).now_or_never().is_some());
    }
}
