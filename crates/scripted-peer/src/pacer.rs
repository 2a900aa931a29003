//! How fast bytes leave: the pace of one answer, and one line that all answers share.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until};

/// `bytes` at a time, at least `every` apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) bytes: u64,
    pub(crate) every: Duration,
}

impl Pace {
    /// One tick before each piece; the first is due at once, and a late one delays those behind it.
    pub(crate) fn ticks(self) -> Interval {
        let mut ticks = interval(self.every.max(Duration::from_nanos(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

/// A line that carries so many bytes a second for all answers together.
#[derive(Debug)]
pub(crate) struct Pacer {
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    bytes_per_second: u64,
    free_at: Instant,
}

impl Pacer {
    pub(crate) fn unlimited() -> Self {
        Self { line: Mutex::new(Line { bytes_per_second: 0, free_at: Instant::now() }) }
    }

    /// Sets the rate from now on; 0 is no limit.
    pub(crate) fn set(&self, bytes_per_second: u64) {
        self.with(|line| *line = Line { bytes_per_second, free_at: Instant::now() });
    }

    /// The most to hand over at a time: a hundredth of a second's worth.
    pub(crate) fn piece(&self) -> u64 {
        self.with(|line| match line.bytes_per_second {
            0 => u64::MAX,
            rate => (rate / 100).max(1),
        })
    }

    /// Waits for the line to be free and takes it for as long as `bytes` need.
    pub(crate) async fn carry(&self, bytes: u64) {
        let turn = self.with(|line| line.take(bytes));
        if let Some(turn) = turn {
            sleep_until(turn).await;
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Line) -> T) -> T {
        look(&mut self.line.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Line {
    fn take(&mut self, bytes: u64) -> Option<Instant> {
        if self.bytes_per_second == 0 {
            return None;
        }
        let turn = self.free_at.max(Instant::now());
        self.free_at = turn + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn answers_share_the_line() {
        let pacer = Pacer::unlimited();
        pacer.set(1000);
        let begin = Instant::now();
        tokio::join!(pacer.carry(500), pacer.carry(500), pacer.carry(1));
        assert_eq!(begin.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nobody_waits() {
        let pacer = Pacer::unlimited();
        let begin = Instant::now();
        pacer.carry(1 << 40).await;
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }
}
