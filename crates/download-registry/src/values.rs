//! The checked values a download is made of.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::UnknownWord;

/// How eagerly a download is served, from -10 (last) to 10 (first); 0 unless someone says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(i8);

/// A number outside -10..=10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a priority lies between -10 and 10, not at {0}")]
pub struct PriorityOutOfRange(pub i64);

/// The complete-length of a representation, and who said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Size in bytes.
    pub bytes: u64,
    /// Where the size comes from.
    pub source: TotalSource,
}

/// Where a complete-length comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TotalSource {
    /// The length announced for a whole body.
    ContentLength,
    /// The length after the slash of a partial answer.
    ContentRange,
    /// The peer's description of the item.
    Manifest,
    /// Whoever asked for the download.
    Request,
    /// The body ended cleanly here, and nothing had announced a length.
    EndOfBody,
}

/// What tells one representation from another: the bytes of two generations are never mixed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Complete-length, once known.
    pub total: Option<Total>,
    /// Validator as the peer sent it; a weak entity tag begins with `W/` and binds no bytes.
    pub validator: Option<String>,
}

/// What the finished file must hash to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Digests {
    /// SHA-256 of the whole file.
    pub sha256: Option<[u8; 32]>,
    /// BLAKE3 of the whole file.
    pub blake3: Option<[u8; 32]>,
}

/// Why something failed: a word for programs, a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// A stable word, such as `disk-full`.
    pub kind: String,
    /// What happened, for a person to read.
    pub message: String,
}

/// Why a download started over from zero, and what that cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    /// A stable word, such as `validator_changed`.
    pub reason: String,
    /// Bytes that were held and given up.
    pub discarded: u64,
}

impl Priority {
    /// Checks a number.
    ///
    /// # Errors
    /// [`PriorityOutOfRange`] outside -10..=10.
    pub fn new(number: i64) -> Result<Self, PriorityOutOfRange> {
        match i8::try_from(number) {
            Ok(priority @ -10..=10) => Ok(Self(priority)),
            _ => Err(PriorityOutOfRange(number)),
        }
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> i8 {
        self.0
    }
}

impl TotalSource {
    /// Every source.
    pub const ALL: [Self; 5] =
        [Self::ContentLength, Self::ContentRange, Self::Manifest, Self::Request, Self::EndOfBody];

    /// Returns the word the table stores.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ContentLength => "content_length",
            Self::ContentRange => "content_range",
            Self::Manifest => "manifest",
            Self::Request => "request",
            Self::EndOfBody => "end_of_body",
        }
    }
}

impl fmt::Display for TotalSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for TotalSource {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|source| source.as_str() == word);
        found.ok_or_else(|| UnknownWord { what: "source of a total", word: word.to_owned() })
    }
}

impl Problem {
    /// Makes a problem from a word and a sentence.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into() }
    }
}

/// Prints the sentence.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_lies_between_minus_ten_and_ten() {
        for (number, legal) in
            [(-11, false), (-10, true), (0, true), (10, true), (11, false), (i64::MIN, false)]
        {
            assert_eq!(Priority::new(number).is_ok(), legal, "{number}");
        }
    }

    #[test]
    fn the_source_of_a_total_is_its_word() {
        for source in TotalSource::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
    }
}
