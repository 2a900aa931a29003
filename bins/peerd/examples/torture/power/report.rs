//! What came of it, as a table.

use std::fmt;
use std::time::Duration;

use crate::figures::mib;

/// One cut, and what it left.
pub(crate) struct Cut {
    /// Transfers that were under way.
    pub(crate) running: usize,
    /// Bytes the daemon had told to be durable before.
    pub(crate) promised: u64,
    /// Bytes on record after, every one of them compared with its source.
    pub(crate) recorded: u64,
    /// Bytes sent to the daemon in this life, heads of answers included.
    pub(crate) sent: u64,
    /// Sent, and to be sent again.
    pub(crate) lost: u64,
}

pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) filesystem: &'static str,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) files: usize,
    pub(crate) total: u64,
    /// Files that are not what they should be.
    pub(crate) wrong: Vec<String>,
    pub(crate) rows: usize,
    /// Rows that did not end as completed.
    pub(crate) incomplete: usize,
    pub(crate) left_behind: Vec<String>,
    pub(crate) passed: u64,
    pub(crate) took: Duration,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.wrong.is_empty()
            && self.rows == self.files
            && self.incomplete == 0
            && self.left_behind.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cut  running  told durable  on record after  sent in this life  to be sent again")?;
        for (n, cut) in self.cuts.iter().enumerate() {
            let Cut { running, promised, recorded, sent, lost } = cut;
            let [promised, recorded, sent, lost] = [promised, recorded, sent, lost].map(|bytes| mib(*bytes));
            writeln!(f, "{:>3}{running:>9}{promised:>14}{recorded:>17}{sent:>19}{lost:>18}", n + 1)?;
        }
        let mut line = |name: &str, text: String| writeln!(f, "{name:<20}{text}");
        let compared: u64 = self.cuts.iter().map(|cut| cut.recorded).sum();
        line("filesystem", self.filesystem.to_owned())?;
        line("compared after cuts", format!("{}, all as in the source", mib(compared)))?;
        line("files", format!("{}, {} together", self.files, mib(self.total)))?;
        line("  different", format!("{} {}", self.wrong.len(), self.wrong.join(" ")))?;
        line(
            "rows",
            format!("{}: {} completed, {} not", self.rows, self.rows - self.incomplete, self.incomplete),
        )?;
        line("left behind", format!("{} parts", self.left_behind.len()))?;
        let again = self.passed.saturating_sub(self.total);
        line("sent", format!("{}, {} of it again", mib(self.passed), mib(again)))?;
        line("time", format!("{:.1} s", self.took.as_secs_f64()))?;
        line("seed", self.seed.to_string())?;
        write!(f, "{}", if self.is_clean() { "clean" } else { "NOT CLEAN" })
    }
}
