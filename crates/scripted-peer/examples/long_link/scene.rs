//! What is measured against what.

use std::fmt::Write as _;

use crate::options::{Line, Options};

/// One table.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) size: u64,
    /// `None` is plain loopback.
    pub(crate) line: Option<Line>,
    /// The values of `--connections`, in the order in which each round goes through them.
    pub(crate) connections: &'static [u8],
    pub(crate) rounds: usize,
}

impl Scene {
    /// The scenes of every mode that was asked for.
    pub(crate) fn all(options: &Options) -> Vec<Self> {
        let scene = |line, connections| {
            let size = options.size.unwrap_or(2 << 30);
            Self { size, line, connections, rounds: options.rounds }
        };
        // What memory costs is to be seen at once: one run tells, of a file far larger than it may be.
        let large = |line| Self { size: options.size.unwrap_or(10 << 30), rounds: 1, ..scene(line, &[8]) };
        let scenes = |mode: &String| match &**mode {
            "link" => vec![scene(Some(options.line), &[1, 4, 8, 16])],
            "loopback" => vec![scene(None, &[1, 4])],
            // On loopback one connection may be enough; over the line all eight are worth having.
            _ => vec![large(None), large(Some(options.line))],
        };
        options.modes.iter().flat_map(scenes).collect()
    }

    pub(crate) fn title(&self) -> String {
        let mut title = format!("{} MiB over ", self.size >> 20);
        let written = match self.line {
            None => write!(title, "loopback"),
            Some(Line { delay, cap }) => {
                let megabytes = cap as f64 / 1e6;
                write!(title, "a line of {:?} round trip, {megabytes} MB/s for each connection", delay * 2)
            }
        };
        written.expect("writing to a String cannot fail");
        title
    }
}
