//! So many tries in so much time, as people write it: `20/min`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A number of tries per second, minute or hour; `0` before the slash means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Tries {
    /// How many.
    pub max: u32,
    /// In how much time.
    pub per: Duration,
}

impl Tries {
    /// `max` tries a minute.
    pub const fn per_minute(max: u32) -> Self {
        Self { max, per: Duration::from_secs(60) }
    }
}

/// The text is not like `20/min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a number of tries and a time, such as 20/min, 5/s or 100/h")]
pub struct TriesError;

impl FromStr for Tries {
    type Err = TriesError;

    fn from_str(text: &str) -> Result<Self, TriesError> {
        let (max, unit) = text.split_once('/').ok_or(TriesError)?;
        let unit = unit.trim();
        let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or(TriesError)?;
        let max = max.trim().parse().map_err(|_| TriesError)?;
        Ok(Self { max, per: Duration::from_secs(seconds) })
    }
}

impl fmt::Display for Tries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.into_iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        write!(f, "{}/{}", self.max, unit.map_or("min", |(name, _)| name))
    }
}

impl TryFrom<String> for Tries {
    type Error = TriesError;

    fn try_from(text: String) -> Result<Self, TriesError> {
        text.parse()
    }
}

impl From<Tries> for String {
    fn from(tries: Tries) -> Self {
        tries.to_string()
    }
}

const UNITS: [(&str, u64); 3] = [("s", 1), ("min", 60), ("h", 3600)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_read_back_as_they_print() {
        for text in ["20/min", "5/s", "100/h", "0/min"] {
            assert_eq!(text.parse::<Tries>().unwrap().to_string(), text);
        }
        for bad in ["20", "/min", "20/", "x/min", "-1/s", "20/minute"] {
            assert_eq!(bad.parse::<Tries>(), Err(TriesError), "{bad}");
        }
    }
}
