//! What was measured, as people and programs read it.

use std::{fmt, time::Duration};

pub(crate) struct Table {
    rows: u64,
    lines: Vec<Line>,
    size: Option<u64>,
}

struct Line {
    what: String,
    /// Calls per second, where that is the figure.
    rate: Option<f64>,
    /// Milliseconds: the middle one, the hundredth from the worst, and the worst.
    times: Option<[f64; 3]>,
}

impl Table {
    pub(crate) fn new(rows: u64) -> Self {
        Self { rows, lines: Vec::new(), size: None }
    }

    pub(crate) fn times(&mut self, what: &str, times: Vec<Duration>) {
        self.lines.push(Line { what: what.to_owned(), rate: None, times: quantiles(times) });
    }

    pub(crate) fn rate(&mut self, what: &str, calls: u64, in_all: Duration, times: Vec<Duration>) {
        let rate = Some(calls as f64 / in_all.as_secs_f64());
        self.lines.push(Line { what: what.to_owned(), rate, times: quantiles(times) });
    }

    pub(crate) fn size(&mut self, bytes: u64, rows: u64) {
        self.size = Some(bytes / rows);
    }

    /// The same as one line of JSON; times are milliseconds.
    pub(crate) fn json(&self) -> String {
        let line = |line: &Line| {
            let rate = line.rate.map(|rate| format!(r#","per_second":{rate:.0}"#)).unwrap_or_default();
            let times = line.times.map(|[p50, p99, worst]| {
                format!(r#","p50_ms":{p50:.3},"p99_ms":{p99:.3},"worst_ms":{worst:.3}"#)
            });
            // No name here has anything in it that JSON would write in another way.
            format!(r#"{{"what":"{}"{rate}{}}}"#, line.what, times.unwrap_or_default())
        };
        let lines: Vec<String> = self.lines.iter().map(line).collect();
        let size = self.size.map(|size| format!(r#","bytes_per_row":{size}"#)).unwrap_or_default();
        format!(r#"{{"rows":{}{size},"figures":[{}]}}"#, self.rows, lines.join(","))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| {} rows | per second | p50 | p99 | worst |\n|---|---|---|---|---|", self.rows)?;
        for Line { what, rate, times } in &self.lines {
            let rate = rate.map(|rate| format!("{rate:.0}")).unwrap_or_default();
            let times = times.map(|times| times.map(|ms| format!("{ms:.2} ms")).join(" | "));
            writeln!(f, "| {what} | {rate} | {} |", times.unwrap_or_else(|| " | | ".to_owned()))?;
        }
        self.size.map_or(Ok(()), |size| writeln!(f, "| size | {size} bytes a row | | | |"))
    }
}

fn quantiles(mut times: Vec<Duration>) -> Option<[f64; 3]> {
    times.sort_unstable();
    let last = times.len().checked_sub(1)?;
    let at = |percent: usize| times[(times.len() * percent / 100).min(last)].as_secs_f64() * 1e3;
    Some([at(50), at(99), at(100)])
}
