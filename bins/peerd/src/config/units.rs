//! What sizes and durations have in common: a number with a unit, and what can be wrong with it.
//!
//! The parsers serve the configuration and the command line alike.

use thiserror::Error;

/// Why a text is not a size or a duration. Each message stands alone after "invalid value".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum UnitError {
    /// The text, or a part of it, does not begin with a digit.
    #[error("expected a number followed by a unit")]
    NoNumber,
    /// A duration without a unit.
    #[error("a duration needs a unit: write {number}s, {number}m or {number}ms")]
    NoUnit {
        /// The number as written.
        number: String,
    },
    /// A size in a unit we do not know.
    #[error("unknown unit `{unit}`; sizes are binary: B, KiB, MiB, GiB, TiB or PiB")]
    UnknownSizeUnit {
        /// The unit as written.
        unit: String,
    },
    /// A size in a unit that may be decimal or binary.
    #[error("`{unit}` is ambiguous; sizes are binary: write {binary}")]
    AmbiguousSizeUnit {
        /// The unit as written.
        unit: String,
        /// The binary unit of the same order.
        binary: &'static str,
    },
    /// A size with `/s`: rates are per second by themselves.
    #[error("write the rate without `/s`; it is per second already")]
    PerSecond,
    /// A duration in a unit we do not know.
    #[error("unknown unit `{unit}`; durations take ms, s, m, h or d")]
    UnknownDurationUnit {
        /// The unit as written.
        unit: String,
    },
    /// The units of a duration repeat or grow.
    #[error("write each unit once and the largest first, as in 1h30m")]
    Order,
    /// Something follows a complete size.
    #[error("unexpected `{rest}` after the size")]
    Trailing {
        /// What follows.
        rest: String,
    },
    /// More than 8 EiB − 1.
    #[error("a size cannot exceed 8 EiB")]
    SizeTooLarge,
    /// More than 100 years.
    #[error("a duration cannot exceed 100 years")]
    DurationTooLong,
}

/// One number with its unit, as in `1.5GiB`, and the text behind it.
pub(crate) struct Term<'a> {
    whole: &'a str,
    fraction: &'a str,
    text: &'a str,
    pub(crate) unit: &'a str,
    pub(crate) rest: &'a str,
}

impl<'a> Term<'a> {
    pub(crate) fn split(text: &'a str) -> Result<Self, UnitError> {
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, mut rest) = text.split_at(digits(text));
        if whole.is_empty() {
            return Err(UnitError::NoNumber);
        }
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            (fraction, rest) = after.split_at(digits(after));
            if fraction.is_empty() {
                return Err(UnitError::NoNumber);
            }
        }
        let number = &text[..text.len() - rest.len()];
        let rest = rest.trim_start();
        let unit = rest.find(|c: char| c.is_ascii_digit() || c.is_whitespace()).unwrap_or(rest.len());
        Ok(Self { whole, fraction, text: number, unit: &rest[..unit], rest: &rest[unit..] })
    }

    /// The number as written.
    pub(crate) fn number(&self) -> &'a str {
        self.text
    }

    /// The number times `scale`, rounded down; `None` when it does not fit.
    pub(crate) fn times(&self, scale: u128) -> Option<u128> {
        let whole = self.whole.parse::<u128>().ok()?.checked_mul(scale)?;
        if self.fraction.is_empty() {
            return Some(whole);
        }
        // Digits beyond the eighteenth are less than a byte or a nanosecond of any allowed value.
        let fraction = &self.fraction[..self.fraction.len().min(18)];
        let part = fraction.parse::<u128>().ok()?.checked_mul(scale)? / 10_u128.pow(fraction.len() as u32);
        whole.checked_add(part)
    }
}
