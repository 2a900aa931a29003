//! What stands on the command line.

use std::path::PathBuf;

pub(crate) struct Arguments {
    pub(crate) rows: u64,
    pub(crate) directory: Option<PathBuf>,
    pub(crate) json: bool,
    /// Parts to run; empty means all.
    only: Vec<String>,
}

impl Arguments {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut read = Self { rows: 100_000, directory: None, json: false, only: Vec::new() };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} takes a value"));
            match word.as_str() {
                "--in" => read.directory = Some(value()?.into()),
                "--only" => read.only = value()?.split(',').map(str::to_owned).collect(),
                "--json" => read.json = true,
                rows => read.rows = rows.parse().map_err(|_| format!("{rows} is no number of rows"))?,
            }
        }
        match read.only.iter().find(|part| !PARTS.contains(&part.as_str())) {
            Some(part) => Err(format!("{part} is none of {}", PARTS.join(", "))),
            None => Ok(read),
        }
    }

    pub(crate) fn wants(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

const PARTS: [&str; 7] = ["enqueue", "start", "claims", "progress", "records", "lists", "upkeep"];
