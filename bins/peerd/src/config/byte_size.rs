//! Sizes as people write them: `64MiB`, `1.5GiB`, `0`.
//!
//! They are binary and say so, because `64MB` means two different numbers to two different readers.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::units::{Term, UnitError};

/// A number of bytes, or of bytes per second where the setting is a rate.
///
/// Written `64MiB`, `1.5GiB`, `512B` or as a plain number of bytes; where a setting is a limit, `0` means none.
/// At most 8 EiB − 1, which is what a database column and a TOML integer can hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// `n` KiB.
    pub const fn kib(n: u64) -> Self {
        Self(n << 10)
    }

    /// `n` MiB.
    pub const fn mib(n: u64) -> Self {
        Self(n << 20)
    }

    /// `n` GiB.
    pub const fn gib(n: u64) -> Self {
        Self(n << 30)
    }

    /// The plain number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The bound this size sets when it is a limit: `None` for zero, which means no limit.
    pub const fn limit(self) -> Option<u64> {
        if self.0 == 0 { None } else { Some(self.0) }
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let term = Term::split(text.trim())?;
        if !term.rest.is_empty() {
            return Err(UnitError::Trailing { rest: term.rest.to_owned() });
        }
        let scale = match term.unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            "pib" => 1 << 50,
            _ => return Err(unknown_size_unit(term.unit)),
        };
        let bytes = term.times(scale).filter(|bytes| *bytes <= MAX_BYTES).ok_or(UnitError::SizeTooLarge)?;
        Ok(Self(bytes as u64))
    }
}

/// The largest unit that divides the size exactly, so that what is printed parses to the same number.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SizeVisitor;
        impl Visitor<'_> for SizeVisitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size such as \"64MiB\"")
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }

            fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<ByteSize, E> {
                u64::try_from(bytes).map(ByteSize).map_err(|_| E::custom("a size cannot be negative"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(SizeVisitor)
    }
}

fn unknown_size_unit(unit: &str) -> UnitError {
    let binary = match unit.to_ascii_lowercase().as_str() {
        "k" | "kb" => "KiB",
        "m" | "mb" => "MiB",
        "g" | "gb" => "GiB",
        "t" | "tb" => "TiB",
        "p" | "pb" => "PiB",
        other if other.ends_with("/s") => return UnitError::PerSecond,
        _ => return UnitError::UnknownSizeUnit { unit: unit.to_owned() },
    };
    UnitError::AmbiguousSizeUnit { unit: unit.to_owned(), binary }
}

const MAX_BYTES: u128 = i64::MAX as u128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_binary_and_a_plain_number_counts_bytes() {
        for (text, bytes) in [
            ("0", 0),
            ("1500", 1500),
            ("512B", 512),
            ("1KiB", 1024),
            ("64MiB", 64 << 20),
            ("64 MiB", 64 << 20),
            ("64mib", 64 << 20),
            ("1.5GiB", 3 << 29),
            ("0.1KiB", 102),
            ("100GiB", 100 << 30),
            ("9223372036854775807", i64::MAX as u64),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
    }

    #[test]
    fn a_size_in_a_decimal_or_unknown_unit_is_refused_with_the_unit_to_write() {
        for (text, message) in [
            ("64MB", "`MB` is ambiguous; sizes are binary: write MiB"),
            ("64k", "`k` is ambiguous; sizes are binary: write KiB"),
            ("12 parsecs", "unknown unit `parsecs`; sizes are binary: B, KiB, MiB, GiB, TiB or PiB"),
            ("3MiB/s", "write the rate without `/s`; it is per second already"),
            ("-1", "expected a number followed by a unit"),
            ("", "expected a number followed by a unit"),
            ("1.MiB", "expected a number followed by a unit"),
            ("1MiB 2", "unexpected ` 2` after the size"),
            ("8192PiB", "a size cannot exceed 8 EiB"),
            ("99999999999999999999999999999999999999999", "a size cannot exceed 8 EiB"),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap_err().to_string(), message, "{text}");
        }
    }

    #[test]
    fn a_size_prints_in_the_largest_unit_that_is_exact() {
        for text in ["0", "1", "1500", "1KiB", "1025KiB", "64MiB", "100GiB", "1536MiB", "4TiB", "2PiB"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_limit_of_zero_is_no_limit() {
        assert_eq!(ByteSize(0).limit(), None);
        assert_eq!(ByteSize::mib(1).limit(), Some(1 << 20));
    }
}
