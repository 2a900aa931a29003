//! What the bytes belong to: complete-length and validator of one representation (RFC 9110 §8.8).

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use range_http::{EntityTag, HttpDate};

/// Names the one representation whose bytes a part file holds.
///
/// Bytes are only ever joined under the same identity. A different validator or complete-length starts a new
/// generation: everything held is discarded, on the record first and then on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Complete-length in bytes, once known; written once per generation.
    pub total: Option<u64>,
    /// Where `total` came from.
    pub total_source: Option<TotalSource>,
    /// The validator the peer sent with the first answer of this generation.
    pub validator: Option<Validator>,
}

impl Identity {
    /// The value for `If-Range`, when the validator is strong enough to guard a splice (RFC 9110 §13.1.5).
    pub fn if_range(&self) -> Option<String> {
        self.validator.as_ref().filter(|validator| validator.is_strong()).map(Validator::to_string)
    }

    /// Whether a matching answer alone proves that its bytes continue ours.
    pub fn is_proof(&self) -> bool {
        self.validator.as_ref().is_some_and(Validator::is_strong)
    }

    /// Whether this is what was `known` before, with at most something learnt in addition.
    pub(crate) fn extends(&self, known: &Identity) -> bool {
        (known.total.is_none() || known.total == self.total)
            && (known.validator.is_none() || known.validator == self.validator)
    }
}

/// Where a complete-length was learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TotalSource {
    /// `Content-Length` of a 200.
    ContentLength,
    /// The complete-length of a `Content-Range`.
    ContentRange,
    /// Said by the caller before any answer.
    Request,
    /// The body ended cleanly at this length and nothing had announced one.
    EndOfBody,
}

impl TotalSource {
    /// The name used in ledgers and interfaces.
    pub const fn as_str(self) -> &'static str {
        match self {
            TotalSource::ContentLength => "content_length",
            TotalSource::ContentRange => "content_range",
            TotalSource::Request => "request",
            TotalSource::EndOfBody => "end_of_body",
        }
    }
}

impl FromStr for TotalSource {
    type Err = UnknownTotalSource;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::ContentLength, Self::ContentRange, Self::Request, Self::EndOfBody]
            .into_iter()
            .find(|source| source.as_str() == text)
            .ok_or(UnknownTotalSource)
    }
}

/// The text names no [`TotalSource`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown source of a complete-length")]
pub struct UnknownTotalSource;

/// A validator as the peer sent it, sorted by what it can prove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Validator {
    /// An entity tag. Strong ones are equal byte for byte; weak ones only hint.
    Tag(EntityTag),
    /// A Last-Modified that was old enough to count as strong when it was received (RFC 9110 §8.8.2.2).
    Date(HttpDate),
}

impl Validator {
    /// Picks the best validator of an answer: a tag if there is one, else a date that had settled.
    ///
    /// A client must not fall back to the date while it has a tag, however weak (RFC 9110 §13.1.5). A tag that a ledger
    /// could not give back as it was (not ASCII, or longer than 1 KiB) is no validator: the next process would not
    /// recognise it.
    pub fn of_answer(
        etag: Option<&EntityTag>,
        last_modified: Option<HttpDate>,
        date: Option<HttpDate>,
    ) -> Option<Self> {
        if let Some(tag) = etag {
            return Some(tag)
                .filter(|tag| tag.as_bytes().is_ascii() && tag.as_bytes().len() <= MAX_TAG)
                .map(|tag| Validator::Tag(tag.clone()));
        }
        let (modified, date) = (last_modified?, date?);
        let settled = date.unix_seconds().saturating_sub(modified.unix_seconds()) >= SETTLED.as_secs() as i64;
        settled.then_some(Validator::Date(modified))
    }

    /// Whether equality of this validator proves equality of bytes.
    pub fn is_strong(&self) -> bool {
        match self {
            Validator::Tag(tag) => !tag.is_weak(),
            Validator::Date(_) => true,
        }
    }
}

impl fmt::Display for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validator::Tag(tag) => tag.fmt(f),
            Validator::Date(date) => date.fmt(f),
        }
    }
}

impl FromStr for Validator {
    type Err = InvalidValidator;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.ends_with('"') {
            EntityTag::parse(text.as_bytes()).map(Validator::Tag).ok_or(InvalidValidator)
        } else {
            HttpDate::parse(text.as_bytes()).map(Validator::Date).ok_or(InvalidValidator)
        }
    }
}

/// The text is neither an entity tag nor an HTTP-date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither an entity tag nor an HTTP-date")]
pub struct InvalidValidator;

/// The wall clock as an HTTP-date, for answers that carry none.
pub(crate) fn http_date(time: SystemTime) -> Option<HttpDate> {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    HttpDate::from_unix(i64::try_from(seconds).ok()?)
}

/// Longest entity tag taken as a validator, in bytes with its quotes.
const MAX_TAG: usize = 1024;
/// How much older than the answer a Last-Modified must be. One second would satisfy RFC 9110 §8.8.2.2; a minute also
/// covers servers whose two clocks disagree.
const SETTLED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(text: &str) -> EntityTag {
        EntityTag::parse(text.as_bytes()).unwrap()
    }

    fn date(seconds: i64) -> HttpDate {
        HttpDate::from_unix(seconds).unwrap()
    }

    #[test]
    fn the_best_validator_is_the_tag_then_a_settled_date_and_else_none() {
        let of = |etag: Option<&str>, modified: Option<i64>| {
            Validator::of_answer(etag.map(tag).as_ref(), modified.map(date), Some(date(1_000_000)))
        };
        assert_eq!(of(Some("\"a\""), Some(0)), Some(Validator::Tag(tag("\"a\""))));
        let weak = of(Some("W/\"a\""), Some(0)).unwrap();
        assert!(!weak.is_strong(), "no date in place of a weak tag (RFC 9110 §13.1.5)");
        assert_eq!(of(None, Some(999_940)), Some(Validator::Date(date(999_940))), "a minute old");
        assert_eq!(of(None, Some(999_941)), None, "a second younger: it may change unseen within its second");
        assert_eq!(of(None, Some(1_000_100)), None, "from the future");
        assert_eq!(of(None, None), None);
        assert_eq!(Validator::of_answer(None, Some(date(0)), None), None, "nothing to measure the age by");
    }

    #[test]
    fn a_tag_no_ledger_could_give_back_is_no_validator() {
        let long = format!("\"{}\"", "x".repeat(MAX_TAG));
        for odd in ["\"é\"", &long] {
            assert_eq!(Validator::of_answer(Some(&tag(odd)), Some(date(0)), Some(date(1_000_000))), None);
        }
    }

    #[test]
    fn every_validator_reads_back_from_what_it_prints() {
        for validator in [
            Validator::Tag(tag("\"a-b\"")),
            Validator::Tag(tag("W/\"\"")),
            Validator::Date(date(784_111_777)),
        ] {
            assert_eq!(validator.to_string().parse(), Ok(validator));
        }
        assert_eq!("a".parse::<Validator>(), Err(InvalidValidator));
    }
}
