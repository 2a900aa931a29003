//! What is known of every process, under the names every exporter uses for it; read from `/proc` at each scrape.
//!
//! What cannot be read is left out: a gap says more than a zero.

use std::fmt;
use std::fs;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::TypedMetric;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;

/// Looks at this process whenever it is asked.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let encoder = &mut encoder;
        let (bytes, seconds) = (Some(&Unit::Bytes), Some(&Unit::Seconds));
        if let Some(memory) = resident_bytes() {
            tell(encoder, "process_resident_memory", "Memory in use", bytes, &ConstGauge::new(memory))?;
        }
        if let Some(fds) = open_fds() {
            tell(encoder, "process_open_fds", "Open file descriptors", None, &ConstGauge::new(fds))?;
        }
        let stat = fs::read_to_string("/proc/self/stat").ok();
        let Some(stat) = stat.as_deref().and_then(Stat::parse) else { return Ok(()) };
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        let cpu = ConstCounter::new(stat.cpu_ticks as f64 / ticks);
        tell(encoder, "process_cpu", "Time on the processors", seconds, &cpu)?;
        if let Some(boot) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
            let start = ConstGauge::new(boot as f64 + stat.start_ticks as f64 / ticks);
            tell(encoder, "process_start_time", "When it started, since 1970", seconds, &start)?;
        }
        Ok(())
    }
}

fn tell<M: EncodeMetric + TypedMetric>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<&Unit>,
    metric: &M,
) -> Result<(), fmt::Error> {
    metric.encode(encoder.encode_descriptor(name, help, unit, M::TYPE)?)
}

/// The numbers of `/proc/self/stat` that are told, in clock ticks.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    /// Spent by us and for us.
    cpu_ticks: u64,
    /// Since the machine started.
    start_ticks: u64,
}

impl Stat {
    /// Fields 14, 15 and 22. The second one is the program's name in parentheses, and may hold anything, spaces and
    /// parentheses included.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: number(14)?.checked_add(number(15)?)?, start_ticks: number(22)? })
    }
}

/// The second field of `statm`, in pages.
fn resident_bytes() -> Option<f64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages as f64 * rustix::param::page_size() as f64)
}

fn open_fds() -> Option<f64> {
    // One of them is the directory that is being read.
    Some(fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as f64)
}

/// The line `btime` of `/proc/stat`: seconds since 1970.
fn boot_time(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_may_be_called_anything() {
        let fields = "S 4 5 6 7 8 9 10 11 12 13 700 30 16 17 18 19 20 21 424242 23 24";
        let expected = Some(Stat { cpu_ticks: 730, start_ticks: 424_242 });
        for name in ["peerd", "a b) S 1 (c", "((", ""] {
            assert_eq!(Stat::parse(&format!("4711 ({name}) {fields}")), expected, "{name:?}");
        }
        assert_eq!(Stat::parse("4711 (peerd) S 1 2"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn the_time_of_the_start_is_found_among_others() {
        assert_eq!(boot_time("cpu 1 2 3\nintr 5\nbtime 1700000000\nprocesses 7\n"), Some(1_700_000_000));
        assert_eq!(boot_time("cpu 1 2 3\n"), None);
    }
}
