//! The If-Range request field (RFC 9110 §13.1.5).

use crate::scan::trim_ows;
use crate::{EntityTag, HttpDate};

/// The validator under which a client wants a range rather than the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfRange {
    /// Matches the current entity tag by strong comparison only.
    Tag(EntityTag),
    /// Matches a Last-Modified that is exactly equal and a strong validator.
    Date(HttpDate),
}

impl IfRange {
    /// Reads one field value; `None` if it is neither a tag nor a date, in which case the condition is false.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        // A quote among the first three characters tells a tag from a date.
        if trim_ows(value).iter().take(3).any(|byte| *byte == b'"') {
            EntityTag::parse(value).map(Self::Tag)
        } else {
            HttpDate::parse(value).map(Self::Date)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_dates_are_told_apart() {
        assert_eq!(IfRange::parse(b"W/\"a\""), EntityTag::weak("a").map(IfRange::Tag));
        assert_eq!(IfRange::parse(b" \"\" "), EntityTag::strong("").map(IfRange::Tag));
        assert_eq!(
            IfRange::parse(b"Thu, 01 Jan 1970 00:00:00 GMT"),
            HttpDate::from_unix(0).map(IfRange::Date)
        );
        for value in
            ["", "nope", "\"nope", "w/\"nope\"", "Thu, 33 Jan 1970 00:00:00 GMT", "\"a\", \"b\"", "*"]
        {
            assert_eq!(IfRange::parse(value.as_bytes()), None, "{value}");
        }
    }
}
