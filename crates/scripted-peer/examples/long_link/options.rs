//! The command line.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) peerd: PathBuf,
    /// Where source and target lie while it runs.
    pub(crate) directory: PathBuf,
    /// No mode is `link` and `loopback`.
    pub(crate) modes: Vec<String>,
    /// Bytes; `None` is what the mode makes sense with.
    pub(crate) size: Option<u64>,
    pub(crate) line: Line,
    pub(crate) rounds: usize,
}

/// The line between server and client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// One way.
    pub(crate) delay: Duration,
    /// Bytes a second of one connection.
    pub(crate) cap: u64,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            peerd: PathBuf::new(),
            directory: std::env::temp_dir(),
            modes: Vec::new(),
            size: None,
            line: Line { delay: Duration::from_millis(20), cap: 25_000_000 },
            rounds: 3,
        };
        while let Some(argument) = arguments.next() {
            if ["link", "loopback", "memory"].contains(&&*argument) {
                options.modes.push(argument);
                continue;
            }
            let value = arguments.next().ok_or(USAGE)?;
            match &*argument {
                "--peerd" => {
                    options.peerd = std::path::absolute(value).map_err(|error| error.to_string())?;
                }
                "--directory" => options.directory = value.into(),
                "--size" => options.size = Some(number(&value)?),
                "--delay" => {
                    options.line.delay = Duration::from_millis(number(value.trim_end_matches("ms"))?);
                }
                "--cap" => options.line.cap = number(&value)?,
                "--rounds" => options.rounds = number::<usize>(&value)?.max(1),
                _ => return Err(format!("{argument}: {USAGE}")),
            }
        }
        if options.modes.is_empty() {
            options.modes = vec!["link".to_owned(), "loopback".to_owned()];
        }
        if options.peerd.as_os_str().is_empty() { Err(USAGE.to_owned()) } else { Ok(options) }
    }
}

/// A number, perhaps with a unit: `2GiB`, `25MB`.
fn number<N: FromStr + TryFrom<u64>>(text: &str) -> Result<N, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("MB", 1_000_000)];
    let (digits, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let value = digits.parse().ok().and_then(|digits: u64| N::try_from(digits.checked_mul(unit)?).ok());
    value.ok_or_else(|| format!("{text} is no number such as 5, 64MiB or 25MB"))
}

pub(crate) const USAGE: &str = "usage: --peerd PATH [link] [loopback] [memory] [--size 2GiB] [--delay 20ms] \
    [--cap 25MB] [--rounds 3] [--directory DIR]";
