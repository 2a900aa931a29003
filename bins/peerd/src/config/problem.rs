//! What is wrong with a configuration, said so that it can be put right: where, what, and what to write instead.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::key_path::KeyPath;

/// Everything that is wrong with a configuration. `Display` is the whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors {
    problems: Vec<Problem>,
}

impl ConfigErrors {
    pub(crate) fn new(mut problems: Vec<Problem>) -> Self {
        problems.sort();
        problems.dedup();
        Self { problems }
    }

    /// The problems: those of the file first, from top to bottom. Never empty.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl Error for ConfigErrors {}

/// One thing that is wrong, or (as a warning) doubtful.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong. Names the key; never a secret.
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub help: Option<String>,
}

impl Problem {
    /// The problem as programs read it: `message`, `help`, and where it is (`file`, `line`, `column`, or `origin`).
    pub fn to_json(&self) -> Value {
        let mut object =
            json!({ "message": self.message, "help": self.help, "origin": self.place.to_string() });
        if let Place::File { path, line, column, .. } = &self.place {
            object["file"] = path.display().to_string().into();
            object["line"] = (*line).into();
            object["column"] = (*column).into();
        }
        object
    }
}

/// `FILE:LINE:COLUMN: MESSAGE`, the line with a caret below, and the help; or the variable or flag and the message.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Default => f.write_str(&self.message)?,
            place => write!(f, "{place}: {}", self.message)?,
        }
        let mut margin = 1;
        if let Place::File { line, excerpt: Some(excerpt), .. } = &self.place {
            let number = line.to_string();
            margin = number.len();
            let blank = " ".repeat(margin);
            write!(f, "\n {blank} |\n {number} | {}", excerpt.text)?;
            write!(f, "\n {blank} | {}{}", excerpt.padding(), "^".repeat(excerpt.width))?;
        }
        match &self.help {
            Some(help) => write!(f, "\n {} = help: {help}", " ".repeat(margin)),
            None => Ok(()),
        }
    }
}

/// Where a value, or a mistake, comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Place {
    /// The configuration file.
    File {
        /// Its path, as it was given or found.
        path: PathBuf,
        /// Counted from 1; 0 when the file as a whole is meant.
        line: usize,
        /// In characters, counted from 1; 0 when the file as a whole is meant.
        column: usize,
        /// The line itself, secrets masked.
        excerpt: Option<Excerpt>,
    },
    /// An environment variable.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
    /// Nobody set it.
    Default,
}

/// `FILE:LINE:COLUMN`, the name of the variable, the flag, or `default`.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: 0, .. } => write!(f, "{}", path.display()),
            Self::File { path, line, column, .. } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A line of the file and the part of it that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Excerpt {
    /// The line without its end.
    pub text: String,
    /// Characters before the part.
    pub start: usize,
    /// Characters of the part, at least 1.
    pub width: usize,
}

impl Excerpt {
    /// What stands before the caret. Tabs stay tabs, so that the caret lines up whatever their width.
    fn padding(&self) -> String {
        self.text.chars().take(self.start).map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
    }
}

/// A problem whose place is still to be looked up.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) spot: Spot,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

/// What a finding is about.
#[derive(Debug)]
pub(crate) enum Spot {
    /// The name of a key in the file.
    Name(KeyPath),
    /// The values of settings; the first one that somebody set is shown.
    Values(Vec<KeyPath>),
    /// A variable that sets nothing.
    Variable(String),
    /// A flag whose value sets nothing.
    Flag(&'static str),
    /// Nothing that could be pointed at.
    Nowhere,
}

impl Finding {
    pub(crate) fn new(spot: Spot, message: impl Into<String>) -> Self {
        Self { spot, message: message.into(), help: None }
    }

    /// A finding about the value at `path`, which the message begins with.
    pub(crate) fn at(path: &KeyPath, message: impl fmt::Display) -> Self {
        Self::new(Spot::Values(vec![path.clone()]), format!("{path}: {message}"))
    }

    /// A finding about the value at `path` in the light of the one at `other`.
    pub(crate) fn between(path: &KeyPath, other: &KeyPath, message: impl fmt::Display) -> Self {
        Self::new(Spot::Values(vec![path.clone(), other.clone()]), format!("{path}: {message}"))
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
