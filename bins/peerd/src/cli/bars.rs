//! Progress on a terminal, and plain lines off it.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// One download's bar, or its plain lines when nobody watches a terminal.
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
    name: String,
    /// Tenths of the file already told, off a terminal.
    told: u64,
    quiet: bool,
}

/// Bars of several downloads under each other.
pub(crate) struct Bars {
    shown: Option<MultiProgress>,
    quiet: bool,
}

impl Bars {
    /// None yet; plain lines instead when nobody watches a terminal.
    pub(crate) fn new(lively: bool, quiet: bool) -> Self {
        let target = || ProgressDrawTarget::stderr_with_hz(10);
        Self { shown: lively.then(|| MultiProgress::with_draw_target(target())), quiet }
    }

    /// Adds a bar for a file called `name`.
    pub(crate) fn add(&self, name: &str) -> Bar {
        let mut bar = Bar::new(name, self.shown.is_some(), self.quiet);
        if let Some(bars) = &self.shown {
            bar.bar = bar.bar.map(|bar| bars.add(bar));
        }
        bar
    }

    /// Prints with the bars out of the way.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.shown {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

impl Bar {
    /// A bar for a file called `name`.
    pub(crate) fn new(name: &str, lively: bool, quiet: bool) -> Self {
        let bar = lively.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(unknown_total());
            bar.set_prefix(short(name));
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, name: name.to_owned(), told: 0, quiet }
    }

    /// Moves the bar.
    pub(crate) fn update(&mut self, written: u64, total: Option<u64>, rate: f64, eta: Option<Duration>) {
        match &self.bar {
            Some(bar) => {
                if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_length(total);
                    bar.set_style(known_total());
                }
                bar.set_position(written);
                let eta = eta.map_or_else(String::new, |eta| format!(", {} left", duration(eta)));
                bar.set_message(if rate > 0.0 {
                    format!("{}/s{eta}", size(rate as u64))
                } else {
                    String::new()
                });
            }
            None => {
                let Some(total) = total.filter(|total| *total > 0 && !self.quiet) else { return };
                let tenth = written.saturating_mul(10) / total;
                if tenth > self.told {
                    self.told = tenth;
                    eprintln!("{}: {} of {} ({} %)", self.name, size(written), size(total), tenth * 10);
                }
            }
        }
    }

    /// Tells something that happened, above the bar.
    pub(crate) fn tell(&mut self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(format!("  {line}")),
            None if self.quiet => {}
            None => eprintln!("{}: {line}", self.name),
        }
    }

    /// Bytes can go back after a restart; the plain lines start over with them.
    pub(crate) fn restarted(&mut self) {
        self.told = 0;
    }

    /// Leaves the bar as it stands and ends it.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.abandon();
        }
    }
}

fn known_total() -> ProgressStyle {
    style("{prefix:.bold} {bar:30.cyan/dim} {binary_bytes:>10} of {binary_total_bytes} {percent:>3} %  {msg}")
}

fn unknown_total() -> ProgressStyle {
    style("{prefix:.bold} {spinner} {binary_bytes:>10}  {msg}")
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the template is constant and tested");
    style.progress_chars("━╸─")
}

fn short(name: &str) -> String {
    match name.char_indices().nth(32) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// `1.5 GiB`
pub(crate) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// `1h 02m`, `3m 20s`, `7s`
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86_400, seconds / 3600, seconds / 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {:02}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {:02}m", minutes % 60),
        (days, hours, _) => format!("{days}d {:02}h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_valid() {
        known_total();
        unknown_total();
    }

    #[test]
    fn times_and_names_stay_short() {
        let text = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([text(7), text(200), text(3720), text(90_000)], ["7s", "3m 20s", "1h 02m", "1d 01h"]);
        assert_eq!(short(&"é".repeat(40)).chars().count(), 33);
    }
}
