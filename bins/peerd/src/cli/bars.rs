//! Progress on a terminal, and plain lines off it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The terminal that bars are drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// In characters.
    pub(crate) width: usize,
    /// In lines.
    pub(crate) height: usize,
    /// Whether colours are wanted.
    pub(crate) colour: bool,
}

/// One download's bar, or its plain lines when nobody watches a terminal.
pub(crate) struct Bar {
    drawn: Drawn,
    name: String,
    written: Option<u64>,
    /// Tenths of the file already told, off a terminal.
    told: u64,
    quiet: bool,
}

/// How a download is shown.
enum Drawn {
    /// By lines, off a terminal.
    Lines,
    /// By a bar of its own.
    Bar(ProgressBar, Look),
    /// By one of several bars, once something moves and there is room for it.
    Waiting { among: Among, moves: bool },
    /// By one of several bars.
    Among(ProgressBar, Among),
}

/// Bars of several downloads under each other: as many as fit the terminal, and a line that counts the rest.
pub(crate) struct Bars {
    among: Option<Among>,
    quiet: bool,
}

#[derive(Clone)]
struct Among {
    bars: MultiProgress,
    look: Look,
    crowd: Arc<Mutex<Crowd>>,
}

/// Who is shown, and who is not.
#[derive(Default)]
struct Crowd {
    shown: usize,
    hidden: usize,
    /// The line that counts the hidden, while there are any.
    rest: Option<ProgressBar>,
}

impl Bars {
    /// None yet; plain lines instead when nobody watches a terminal.
    pub(crate) fn new(look: Option<Look>, quiet: bool) -> Self {
        let among = look.map(|look| Among {
            bars: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            look,
            crowd: Arc::default(),
        });
        Self { among, quiet }
    }

    /// Adds a download of a file called `name`. Its bar comes with its first bytes.
    pub(crate) fn add(&self, name: &str) -> Bar {
        let drawn = match &self.among {
            Some(among) => Drawn::Waiting { among: among.clone(), moves: false },
            None => Drawn::Lines,
        };
        Bar { drawn, name: name.to_owned(), written: None, told: 0, quiet: self.quiet }
    }

    /// Prints with the bars out of the way.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.among {
            Some(among) => among.bars.suspend(print),
            None => print(),
        }
    }
}

impl Among {
    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A bar, if there is room for one more.
    fn enter(&self, name: &str, was_hidden: bool) -> Option<ProgressBar> {
        let mut crowd = self.crowd();
        if crowd.shown >= room(self.look.height) {
            if !was_hidden {
                crowd.hidden += 1;
                self.count(&mut crowd);
            }
            return None;
        }
        crowd.shown += 1;
        if was_hidden {
            crowd.hidden -= 1;
        }
        // Undrawn until it has its place: one that stands alone would draw itself where the cursor is.
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        dress(&bar, name, self.look);
        let bar = match &crowd.rest {
            Some(rest) => self.bars.insert_before(rest, bar),
            None => self.bars.add(bar),
        };
        self.count(&mut crowd);
        Some(bar)
    }

    /// Brings the line that counts the hidden up to date.
    fn count(&self, crowd: &mut Crowd) {
        match (crowd.hidden, crowd.rest.take()) {
            (0, None) => {}
            (0, Some(rest)) => rest.finish_and_clear(),
            (hidden, rest) => {
                let rest = rest.unwrap_or_else(|| {
                    let rest = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
                    self.bars.add(rest.with_style(style("{wide_msg}")))
                });
                rest.set_message(format!("… and {hidden} more"));
                crowd.rest = Some(rest);
            }
        }
    }
}

impl Bar {
    /// A bar for a file called `name`.
    pub(crate) fn new(name: &str, look: Option<Look>, quiet: bool) -> Self {
        let drawn = look.map_or(Drawn::Lines, |look| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            dress(&bar, name, look);
            bar.enable_steady_tick(Duration::from_millis(200));
            Drawn::Bar(bar, look)
        });
        Self { drawn, name: name.to_owned(), written: None, told: 0, quiet }
    }

    /// Moves the bar.
    pub(crate) fn update(&mut self, written: u64, total: Option<u64>, rate: f64, eta: Option<Duration>) {
        let before = self.written.replace(written);
        if let Drawn::Waiting { among, moves } = &mut self.drawn {
            let starts = *moves || rate > 0.0 || before.is_some_and(|before| before != written);
            if !starts {
                return;
            }
            let was_hidden = std::mem::replace(moves, true);
            match among.enter(&self.name, was_hidden) {
                Some(bar) => self.drawn = Drawn::Among(bar, among.clone()),
                None => return,
            }
        }
        match &self.drawn {
            Drawn::Bar(bar, look) | Drawn::Among(bar, Among { look, .. }) => {
                if let Some(total) = total.filter(|total| bar.length() != Some(*total)) {
                    bar.set_length(total);
                    bar.set_style(style(&template(*look, true)));
                }
                bar.set_position(written);
                let eta = eta.map_or_else(String::new, |eta| format!(", {} left", duration(eta)));
                bar.set_message(if rate > 0.0 {
                    format!("{}/s{eta}", size(rate as u64))
                } else {
                    String::new()
                });
            }
            Drawn::Lines | Drawn::Waiting { .. } => {
                let Some(total) = total.filter(|total| *total > 0 && !self.quiet) else { return };
                let tenth = written.saturating_mul(10) / total;
                if tenth > self.told {
                    self.told = tenth;
                    super::remark(format_args!(
                        "{}: {} of {} ({} %)",
                        self.name,
                        size(written),
                        size(total),
                        tenth * 10
                    ));
                }
            }
        }
    }

    /// Tells something that happened, above the bar.
    pub(crate) fn tell(&mut self, line: &str) {
        match &self.drawn {
            Drawn::Bar(bar, _) => bar.println(format!("  {line}")),
            Drawn::Waiting { among, .. } | Drawn::Among(_, among) => {
                let _ = among.bars.println(format!("{}: {line}", self.name));
            }
            Drawn::Lines if self.quiet => {}
            Drawn::Lines => super::remark(format_args!("{}: {line}", self.name)),
        }
    }

    /// Bytes can go back after a restart; the plain lines start over with them.
    pub(crate) fn restarted(&mut self) {
        self.told = 0;
    }

    /// Makes room for others while nothing moves.
    pub(crate) fn rest(&mut self) {
        let among = match &self.drawn {
            Drawn::Among(_, among) | Drawn::Waiting { among, .. } => among.clone(),
            Drawn::Lines | Drawn::Bar(..) => return,
        };
        match std::mem::replace(&mut self.drawn, Drawn::Waiting { among: among.clone(), moves: false }) {
            Drawn::Among(bar, _) => {
                bar.finish_and_clear();
                among.bars.remove(&bar);
                among.crowd().shown -= 1;
            }
            Drawn::Waiting { moves: true, .. } => {
                let mut crowd = among.crowd();
                crowd.hidden -= 1;
                among.count(&mut crowd);
            }
            _ => {}
        }
    }

    /// Ends it. A bar of its own is left as it stands; one of several makes room.
    pub(crate) fn finish(mut self) {
        match &self.drawn {
            Drawn::Bar(bar, _) => bar.abandon(),
            _ => self.rest(),
        }
    }
}

fn dress(bar: &ProgressBar, name: &str, look: Look) {
    bar.set_style(style(&template(look, false)));
    bar.set_prefix(fitted(name, name_width(look)));
}

/// How many bars fit, with a line for the rest and one for the cursor.
fn room(height: usize) -> usize {
    height.saturating_sub(2).max(1)
}

/// Room for a name, in characters.
fn name_width(look: Look) -> usize {
    (look.width / 3).clamp(8, 40)
}

/// What a line shows: the narrower the terminal, the less of it. No line is broken.
fn template(look: Look, known_total: bool) -> String {
    let name = name_width(look);
    let prefix = if look.colour { format!("{{prefix:{name}!.bold}}") } else { format!("{{prefix:{name}!}}") };
    let paint = if look.colour { ".cyan/dim" } else { "" };
    match (known_total, look.width) {
        (false, _) => format!("{prefix} {{spinner}} {{binary_bytes:>10}}  {{wide_msg}}"),
        (true, 0..60) => format!("{prefix} {{percent:>3}} %  {{wide_msg}}"),
        (true, 60..110) => {
            format!("{prefix} {{bar:12{paint}}} {{binary_bytes:>10}} {{percent:>3}} %  {{wide_msg}}")
        }
        (true, _) => format!(
            "{prefix} {{bar:30{paint}}} {{binary_bytes:>10}} of {{binary_total_bytes:>10}} {{percent:>3}} %  {{wide_msg}}"
        ),
    }
}

fn style(template: &str) -> ProgressStyle {
    // Every template is tested; a line of bytes is what is left if one were wrong all the same.
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.progress_chars("━╸─")
}

/// A name of at most `width` characters. What goes goes from the middle: names of one series differ at their ends.
fn fitted(name: &str, width: usize) -> String {
    let length = name.chars().count();
    if length <= width {
        return name.to_owned();
    }
    let tail = width / 2;
    let head = width.saturating_sub(tail + 1);
    name.chars().take(head).chain(['…']).chain(name.chars().skip(length - tail)).collect()
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
    fn every_template_is_valid_and_fits_its_terminal() {
        for (width, colour) in [(20, false), (59, true), (80, true), (80, false), (100, true), (250, false)] {
            for known in [true, false] {
                let template = template(Look { width, height: 24, colour }, known);
                assert!(ProgressStyle::with_template(&template).is_ok(), "{template}");
                assert_eq!(template.contains("cyan") || template.contains("bold"), colour, "{template}");
            }
        }
    }

    #[test]
    fn a_crowd_is_shown_as_far_as_there_is_room_and_the_rest_is_counted() {
        let look = Look { width: 80, height: 5, colour: false };
        let bars = Bars::new(Some(look), false);
        let among = bars.among.as_ref().unwrap();
        among.bars.set_draw_target(ProgressDrawTarget::hidden());
        let counts = || {
            let crowd = among.crowd();
            (crowd.shown, crowd.hidden)
        };
        let mut ten: Vec<_> = (0..10).map(|n| bars.add(&format!("file {n}"))).collect();
        ten.iter_mut().for_each(|bar| bar.update(0, Some(100), 0.0, None));
        assert_eq!(counts(), (0, 0), "what does not move needs no room");
        ten.iter_mut().for_each(|bar| bar.update(10, Some(100), 5.0, None));
        assert_eq!(counts(), (3, 7), "five lines hold three bars, the count and the cursor");
        ten.iter_mut().for_each(|bar| bar.update(20, Some(100), 5.0, None));
        assert_eq!(counts(), (3, 7), "counted once");
        ten.remove(0).finish();
        assert_eq!(counts(), (2, 7));
        ten[5].update(30, Some(100), 5.0, None);
        assert_eq!(counts(), (3, 6), "the next that moves takes the room");
        ten[8].rest();
        ten.drain(..).for_each(Bar::finish);
        assert_eq!(counts(), (0, 0));
    }

    #[test]
    fn times_and_names_stay_short_and_names_keep_their_ends() {
        let text = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!([text(7), text(200), text(3720), text(90_000)], ["7s", "3m 20s", "1h 02m", "1d 01h"]);
        assert_eq!(fitted("Show.S01E05.1080p.mkv", 13), "Show.S…0p.mkv");
        assert_eq!(fitted("film.mkv", 8), "film.mkv");
        assert_eq!(fitted(&"é".repeat(40), 20).chars().count(), 20);
    }
}
