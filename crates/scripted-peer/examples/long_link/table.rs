//! The runs as a table in Markdown.

use std::fmt::{self, Write as _};

use crate::client::Run;

/// A line for each value of `--connections`. Times are compared within their round, so that a machine that is busier in
/// one round than in another does not count.
pub(crate) fn of(connections: &[u8], runs: &[Run]) -> String {
    let mut table = String::new();
    write(&mut table, connections, runs).expect("writing to a String cannot fail");
    table
}

fn write(table: &mut String, connections: &[u8], runs: &[Run]) -> fmt::Result {
    writeln!(
        table,
        "| `--connections` | seconds, median (all) | times as fast as 1 | open at once | requests | peak MiB |"
    )?;
    writeln!(table, "|---|---|---|---|---|---|")?;
    let of = |allowed| runs.iter().filter(move |run: &&Run| run.allowed == allowed);
    for allowed in connections {
        let seconds: Vec<_> = of(*allowed).map(|run| run.took.as_secs_f64()).collect();
        let all: Vec<_> = seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
        let faster: Vec<_> =
            of(1).zip(&seconds).map(|(one, seconds)| one.took.as_secs_f64() / seconds).collect();
        let faster = if faster.is_empty() { "".to_owned() } else { format!("{:.2}", median(faster)) };
        let (median, all) = (median(seconds), all.join(", "));
        let most = |of_run: fn(&Run) -> u64| of(*allowed).map(of_run).max().unwrap_or(0);
        let (open, requests) = (most(|run| run.connections as u64), most(|run| run.requests));
        let peak = most(|run| run.peak_rss) >> 20;
        writeln!(table, "| {allowed} | {median:.2} ({all}) | {faster} | {open} | {requests} | {peak} |")?;
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_compared_within_their_round_and_the_rest_is_the_most_there_was() {
        let run = |allowed, seconds, requests| Run {
            allowed,
            took: Duration::from_secs(seconds),
            connections: allowed.into(),
            requests,
            peak_rss: 20 << 20,
        };
        let runs = [run(1, 8, 1), run(4, 2, 5), run(1, 40, 1), run(4, 10, 4), run(1, 8, 1), run(4, 3, 4)];
        let table = of(&[1, 4], &runs);
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| 1 | 8.00 (8.00, 40.00, 8.00) | 1.00 | 1 | 1 | 20 |",
                "| 4 | 3.00 (2.00, 10.00, 3.00) | 4.00 | 4 | 5 | 20 |",
            ]
        );
    }
}
