//! The honest answer: what a correct server would send (RFC 9110 §13, §14). A pure decision.

use std::ops::Range;

use crate::deviation::RangeConduct;
use crate::log::RecordedRequest;
use crate::representation::Representation;

/// What a request deserves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Honest {
    Whole,
    Part(Range<u64>),
    NotModified,
    NotFound,
    MethodNotAllowed,
    PreconditionFailed,
    NotSatisfiable,
}

impl Honest {
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Whole => 200,
            Self::Part(_) => 206,
            Self::NotModified => 304,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::PreconditionFailed => 412,
            Self::NotSatisfiable => 416,
        }
    }
}

/// Decides the honest answer, bent only by what the script says about ranges.
pub(crate) fn decide(
    request: &RecordedRequest,
    representation: Option<&Representation>,
    conduct: &RangeConduct,
) -> Honest {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Honest::MethodNotAllowed;
    }
    let Some(representation) = representation else { return Honest::NotFound };
    if let Some(range) = &conduct.other {
        return Honest::Part(range.clone());
    }
    if request.header("if-match").is_some_and(|tags| !lists(tags, representation, Strength::Strong)) {
        return Honest::PreconditionFailed;
    }
    if request.header("if-none-match").is_some_and(|tags| lists(tags, representation, Strength::Weak)) {
        return Honest::NotModified;
    }
    match select(request, representation, conduct) {
        Honest::Part(range) => match conduct.at_most {
            Some(bytes) => Honest::Part(range.start..range.end.min(range.start.saturating_add(bytes))),
            None => Honest::Part(range),
        },
        other => other,
    }
}

fn select(request: &RecordedRequest, representation: &Representation, conduct: &RangeConduct) -> Honest {
    let length = representation.complete_length();
    // Range is defined for GET only (RFC 9110 §14.2). Nothing of an empty representation can be selected.
    if request.method != "GET" || conduct.ignore_range || !representation.honours_ranges || length == 0 {
        return Honest::Whole;
    }
    let stale = |validator: &str| !conduct.ignore_if_range && !guards(validator, representation);
    if request.header("if-range").is_some_and(stale) {
        return Honest::Whole;
    }
    match request.range().and_then(RangeSpec::parse) {
        None => Honest::Whole,
        Some(spec) => spec.resolve(length).map_or(Honest::NotSatisfiable, Honest::Part),
    }
}

/// If-Range holds for a strong tag that is equal, or the exact date (RFC 9110 §13.1.5).
fn guards(validator: &str, representation: &Representation) -> bool {
    let current = if validator.contains('"') { &representation.etag } else { &representation.last_modified };
    !validator.starts_with("W/") && current.as_deref() == Some(validator)
}

#[derive(Clone, Copy)]
enum Strength {
    Strong,
    Weak,
}

/// Whether a list of entity tags, or `*`, names the representation.
fn lists(tags: &str, representation: &Representation, strength: Strength) -> bool {
    if tags.trim() == "*" {
        return true;
    }
    let Some(current) = representation.etag.as_deref() else { return false };
    // A comma within a tag would split it; no test of ours has one.
    tags.split(',').map(str::trim).any(|tag| match strength {
        Strength::Strong => tag == current && !tag.starts_with("W/"),
        Strength::Weak => tag.trim_start_matches("W/") == current.trim_start_matches("W/"),
    })
}

/// One range-spec of the unit bytes, as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeSpec {
    From(u64),
    FromTo(u64, u64),
    Suffix(u64),
}

impl RangeSpec {
    /// Reads a Range header with a single range. Other units, several ranges and nonsense are `None`: ignored.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
        match (first.trim(), last.trim()) {
            ("", suffix) => Some(Self::Suffix(suffix.parse().ok()?)),
            (first, "") => Some(Self::From(first.parse().ok()?)),
            (first, last) => Some(Self::FromTo(first.parse().ok()?, last.parse().ok()?)),
        }
    }

    /// The half-open range it selects of `length` bytes; `None` if it selects none.
    fn resolve(self, length: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(first_pos) => first_pos..length,
            Self::FromTo(first_pos, last_pos) => first_pos..length.min(last_pos.saturating_add(1)),
            Self::Suffix(bytes) => length.saturating_sub(bytes)..length,
        };
        (range.start < range.end).then_some(range)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::Honest::{NotModified, NotSatisfiable, Part, PreconditionFailed, Whole};
    use super::*;

    #[test]
    fn a_get_is_answered_as_rfc_9110_says() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        let strong = Representation::seeded(1, 10).etag("\"a\"").last_modified(DATE);
        let weak = Representation::seeded(1, 10).etag("W/\"a\"");
        for (representation, headers, expected, because) in [
            (&strong, vec![], Whole, "nothing was asked"),
            (&strong, vec![("Range", "bytes=0-4")], Part(0..5), "last-pos is inclusive"),
            (&strong, vec![("Range", "bytes=4-")], Part(4..10), "an open end means all the rest"),
            (&strong, vec![("Range", "bytes=-3")], Part(7..10), "a suffix counts from the end"),
            (&strong, vec![("Range", "bytes=-99")], Part(0..10), "a long suffix selects all"),
            (&strong, vec![("Range", "bytes=8-99")], Part(8..10), "a last-pos past the end is cut"),
            (&strong, vec![("Range", "bytes=10-")], NotSatisfiable, "first-pos must lie before the end"),
            (&strong, vec![("Range", "bytes=5-4")], NotSatisfiable, "an inverted range selects nothing"),
            (&strong, vec![("Range", "bytes=-0")], NotSatisfiable, "an empty suffix selects nothing"),
            (&strong, vec![("Range", "bytes=0-1,4-5")], Whole, "several ranges may be ignored"),
            (&strong, vec![("Range", "lines=0-1")], Whole, "an unknown unit must be ignored"),
            (&strong, vec![("Range", "bytes=4-"), ("If-Range", "\"a\"")], Part(4..10), "the tag is equal"),
            (&strong, vec![("Range", "bytes=4-"), ("If-Range", "\"b\"")], Whole, "the tag is another"),
            (&strong, vec![("Range", "bytes=4-"), ("If-Range", DATE)], Part(4..10), "the date is exact"),
            (&weak, vec![("Range", "bytes=4-"), ("If-Range", "W/\"a\"")], Whole, "a weak tag guards nothing"),
            (&strong, vec![("If-Match", "\"b\", \"a\"")], Whole, "one of them is equal"),
            (&strong, vec![("If-Match", "\"b\"")], PreconditionFailed, "none of them is equal"),
            (&weak, vec![("If-Match", "W/\"a\"")], PreconditionFailed, "If-Match compares strongly"),
            (&weak, vec![("If-None-Match", "\"a\"")], NotModified, "If-None-Match compares weakly"),
        ] {
            let request = request("GET", &headers);
            let decided = decide(&request, Some(representation), &RangeConduct::default());
            assert_eq!(decided, expected, "{headers:?}: {because}");
        }
    }

    #[test]
    fn head_ignores_range_and_other_methods_are_refused() {
        let representation = Representation::seeded(1, 10);
        let conduct = RangeConduct::default();
        let head = request("HEAD", &[("Range", "bytes=4-")]);
        assert_eq!(decide(&head, Some(&representation), &conduct), Whole);
        assert_eq!(decide(&request("POST", &[]), Some(&representation), &conduct), Honest::MethodNotAllowed);
        assert_eq!(decide(&request("GET", &[]), None, &conduct), Honest::NotFound);
    }

    #[test]
    fn an_empty_representation_is_whole_whatever_the_range() {
        let ranged = request("GET", &[("Range", "bytes=0-")]);
        let empty = Representation::bytes("");
        assert_eq!(decide(&ranged, Some(&empty), &RangeConduct::default()), Whole);
    }

    #[test]
    fn the_script_bends_the_selection() {
        let representation = Representation::seeded(1, 10).etag("\"a\"");
        let ranged = request("GET", &[("Range", "bytes=4-8"), ("If-Range", "\"b\"")]);
        let honest = RangeConduct::default();
        for (conduct, expected) in [
            (RangeConduct { ignore_if_range: true, ..honest.clone() }, Part(4..9)),
            (RangeConduct { ignore_if_range: true, at_most: Some(2), ..honest.clone() }, Part(4..6)),
            (RangeConduct { ignore_if_range: true, ignore_range: true, ..honest.clone() }, Whole),
            (RangeConduct { other: Some(1..3), ..honest.clone() }, Part(1..3)),
        ] {
            assert_eq!(decide(&ranged, Some(&representation), &conduct), expected, "{conduct:?}");
        }
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> RecordedRequest {
        RecordedRequest {
            order: 0,
            connection: 0,
            at: Instant::now(),
            at_once: 1,
            method: method.to_owned(),
            path: "/file".to_owned(),
            query: None,
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            status: None,
            body_bytes: 0,
            finished: false,
            hung_up: false,
        }
    }
}
