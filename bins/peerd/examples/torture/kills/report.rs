//! What came of it, as a table.

use std::fmt;
use std::time::Duration;

use crate::figures::{bytes, mib};

/// One kill, and what it cost.
pub(crate) struct Kill {
    /// During the start.
    pub(crate) early: bool,
    /// The sharing daemon went as well.
    pub(crate) both: bool,
    /// Transfers that were cut off.
    pub(crate) running: u64,
    /// Bytes sent to the daemon in this life, heads of answers included.
    pub(crate) sent: u64,
    /// Bytes its record grew by.
    pub(crate) kept: u64,
    /// Sent, and to be sent again.
    pub(crate) lost: u64,
}

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) kills: Vec<Kill>,
    pub(crate) sizes: Vec<u64>,
    /// Files that are not what they should be.
    pub(crate) wrong: Vec<String>,
    pub(crate) rows: usize,
    /// Rows that did not end as completed.
    pub(crate) incomplete: usize,
    pub(crate) left_behind: Vec<String>,
    /// Files under final names that nobody asked for.
    pub(crate) strangers: usize,
    pub(crate) passed: u64,
    pub(crate) checkpoint: u64,
    pub(crate) on_the_way: u64,
    pub(crate) took: Duration,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.wrong.is_empty()
            && self.rows == self.sizes.len()
            && self.incomplete == 0
            && self.left_behind.is_empty()
            && self.strangers == 0
            && self.kills.iter().all(|kill| kill.lost <= self.allowed(kill))
    }

    /// What a kill may cost at most.
    fn allowed(&self, kill: &Kill) -> u64 {
        kill.running * (self.checkpoint + self.on_the_way) + HEADS
    }

    fn costs(&self) -> Vec<u64> {
        let mut costs: Vec<_> = self.kills.iter().map(|kill| kill.lost).collect();
        costs.sort_unstable();
        costs
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |of: &dyn Fn(&Kill) -> bool| self.kills.iter().filter(|kill| of(kill)).count();
        let total: u64 = self.sizes.iter().sum();
        let costs = self.costs();
        let at =
            |part: usize| costs.get((costs.len() * part / 100).min(costs.len().saturating_sub(1))).copied();
        let mut line = |name: &str, text: String| writeln!(f, "{name:<20}{text}");
        line("kills", self.kills.len().to_string())?;
        line("  while starting", count(&|kill| kill.early).to_string())?;
        line("  in a transfer", count(&|kill| kill.sent > 0).to_string())?;
        line("  of both daemons", count(&|kill| kill.both).to_string())?;
        line(
            "files",
            format!(
                "{}, {} together, {} to {}",
                self.sizes.len(),
                mib(total),
                bytes(self.sizes.iter().min()),
                bytes(self.sizes.iter().max())
            ),
        )?;
        line("  byte-identical", format!("{}", self.sizes.len() - self.wrong.len()))?;
        line("  different", format!("{} {}", self.wrong.len(), self.wrong.join(" ")))?;
        line(
            "rows",
            format!("{}: {} completed, {} not", self.rows, self.rows - self.incomplete, self.incomplete),
        )?;
        line("left behind", format!("{} parts, {} strange files", self.left_behind.len(), self.strangers))?;
        line(
            "sent",
            format!("{}, {} of it again", mib(self.passed), mib(self.passed.saturating_sub(total))),
        )?;
        line("kept by the killed", mib(self.kills.iter().map(|kill| kill.kept).sum()))?;
        let cut: u64 = self.kills.iter().map(|kill| kill.running).sum();
        let lost: u64 = costs.iter().sum();
        let mean = |of: u64| mib(lost / of.max(1));
        line(
            "cost of a kill",
            format!(
                "{} on average, {} median, {} at most",
                mean(costs.len() as u64),
                bytes(at(50).as_ref()),
                bytes(costs.last())
            ),
        )?;
        line("  of a transfer", format!("{} on average, of {cut} that were cut off", mean(cut)))?;
        line(
            "  allowed",
            format!("{} at a checkpoint, {} on their way", mib(self.checkpoint), mib(self.on_the_way)),
        )?;
        line("  too dear", count(&|kill| kill.lost > self.allowed(kill)).to_string())?;
        line("time", format!("{:.1} s", self.took.as_secs_f64()))?;
        line("seed", self.seed.to_string())?;
        write!(f, "{}", if self.is_clean() { "clean" } else { "NOT CLEAN" })
    }
}

/// Heads of answers and what peers say about items, in one life.
const HEADS: u64 = 256 << 10;
