//! How fast a body goes out: the bytes of the last seconds. Pure: time is handed in.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Bytes sent, and how many of them lately. Its size does not grow with time.
#[derive(Debug)]
pub(super) struct SentRate {
    sent: u64,
    last: Instant,
    /// How much had been sent at times half a second apart. The first is as old as the window, or the beginning.
    marks: VecDeque<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    at: Instant,
    sent: u64,
}

impl SentRate {
    pub(super) fn new(now: Instant) -> Self {
        Self { sent: 0, last: now, marks: [Mark { at: now, sent: 0 }].into() }
    }

    /// Counts `bytes` sent at `now`.
    pub(super) fn add(&mut self, now: Instant, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
        self.last = now;
        if self.marks.back().is_none_or(|mark| now.saturating_duration_since(mark.at) >= STEP) {
            self.marks.push_back(Mark { at: now, sent: self.sent });
        }
        while self.marks.get(1).is_some_and(|second| now.saturating_duration_since(second.at) >= WINDOW) {
            self.marks.pop_front();
        }
    }

    /// All of it.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Bytes per second over the last [`WINDOW`]; `None` until there is a second to tell it from.
    pub(super) fn rate(&self, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.last) >= WINDOW {
            return Some(0);
        }
        let old = |mark: &&Mark| now.saturating_duration_since(mark.at) >= WINDOW;
        let since = self.marks.iter().rev().find(old).or(self.marks.front())?;
        let elapsed = now.saturating_duration_since(since.at);
        (elapsed >= SETTLING)
            .then(|| (self.sent.saturating_sub(since.sent) as f64 / elapsed.as_secs_f64()).round() as u64)
    }
}

/// How far back it looks.
const WINDOW: Duration = Duration::from_secs(5);
/// Time between two marks.
const STEP: Duration = Duration::from_millis(500);
/// What is shorter says nothing: a full socket buffer looks like a fast friend.
const SETTLING: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `bytes` every 100 ms for so many seconds, and returns the time it is then.
    fn run(rate: &mut SentRate, mut now: Instant, seconds: u32, bytes: u64) -> Instant {
        for _ in 0..seconds * 10 {
            now += Duration::from_millis(100);
            rate.add(now, bytes);
        }
        now
    }

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_not_of_the_first() {
        let begin = Instant::now();
        let mut rate = SentRate::new(begin);
        assert_eq!(rate.rate(begin), None);
        let now = run(&mut rate, begin, 1, 100);
        assert_eq!((rate.rate(now), rate.sent()), (Some(1000), 1000));
        let now = run(&mut rate, now, 60, 1000);
        assert_eq!(rate.rate(now), Some(10_000));
        let now = run(&mut rate, now, 60, 10);
        assert_eq!((rate.rate(now), rate.sent()), (Some(100), 1000 + 600_000 + 6000));
    }

    #[test]
    fn who_stops_reading_is_slow_at_once_and_stands_still_soon() {
        let mut rate = SentRate::new(Instant::now());
        let now = run(&mut rate, Instant::now(), 10, 1000);
        let after = |seconds| rate.rate(now + Duration::from_secs(seconds)).unwrap();
        assert!(after(0) > after(1) && after(1) > after(3), "{} {} {}", after(0), after(1), after(3));
        assert_eq!((after(5), after(500)), (0, 0));
    }

    #[test]
    fn it_needs_no_more_room_the_longer_it_goes() {
        let mut rate = SentRate::new(Instant::now());
        run(&mut rate, Instant::now(), 600, 1);
        assert!(rate.marks.len() <= 12, "{}", rate.marks.len());
    }
}
