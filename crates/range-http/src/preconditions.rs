//! Preconditions in the order of RFC 9110 §13.2.2.
//!
//! 1. If-Match, by strong comparison: false is 412.
//! 2. Without If-Match, If-Unmodified-Since: false is 412.
//! 3. If-None-Match, by weak comparison: false is 304 for GET and HEAD, 412 for other methods.
//! 4. Without If-None-Match, If-Modified-Since for GET and HEAD: false is 304.
//! 5. If-Range for GET with Range, decided where ranges are: see [`plan`](crate::plan()).

use crate::entity_tag_list::{Comparison, lists};
use crate::{DateTrust, HttpDate, IfRange, MethodKind, Reason, Representation, RequestView};

/// What the preconditions of a request say about a representation that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Perform the method.
    Proceed,
    /// Answer 304 Not Modified.
    NotModified(Reason),
    /// Answer 412 Precondition Failed.
    Failed(Reason),
}

/// Evaluates every precondition but If-Range.
///
/// Call it only if the answer without preconditions would be a 2xx: they are ignored on errors and redirects
/// (RFC 9110 §13.2.1).
pub fn evaluate(request: &impl RequestView, representation: &Representation) -> Verdict {
    // Steps 1 and 2.
    if request.lines("if-match").next().is_some() {
        if !lists(request.lines("if-match"), representation.etag(), Comparison::Strong) {
            return Verdict::Failed(Reason::IfMatchFailed);
        }
    } else if changed_since(request, "if-unmodified-since", representation) == Some(true) {
        return Verdict::Failed(Reason::ModifiedSince);
    }
    // Steps 3 and 4.
    let safe = request.method() != MethodKind::Other;
    if request.lines("if-none-match").next().is_some() {
        if lists(request.lines("if-none-match"), representation.etag(), Comparison::Weak) {
            let verdict = if safe { Verdict::NotModified } else { Verdict::Failed };
            return verdict(Reason::IfNoneMatchHit);
        }
    } else if safe && changed_since(request, "if-modified-since", representation) == Some(false) {
        return Verdict::NotModified(Reason::NotModifiedSince);
    }
    Verdict::Proceed
}

/// Step 5: why the Range of this request must be ignored, or `None` if it applies.
pub(crate) fn if_range_fails(
    request: &impl RequestView,
    representation: &Representation,
    trust: DateTrust,
) -> Option<Reason> {
    let mut lines = request.lines("if-range");
    let value = lines.next()?;
    if lines.next().is_some() {
        return Some(Reason::IfRangeInvalid);
    }
    match IfRange::parse(value) {
        None => Some(Reason::IfRangeInvalid),
        Some(IfRange::Tag(tag)) => {
            let same = representation.etag().is_some_and(|current| current.strong_eq(&tag));
            (!same).then_some(Reason::IfRangeTagDiffers)
        }
        // Exactly equal: a later date may stand for another version of the same or of an earlier time.
        Some(IfRange::Date(date)) if representation.last_modified() != Some(date) => {
            Some(Reason::IfRangeDateDiffers)
        }
        Some(IfRange::Date(_)) => {
            let strong = match trust {
                DateTrust::Never => false,
                DateTrust::WhenSettled => representation.is_settled(),
                DateTrust::Always => true,
            };
            (!strong).then_some(Reason::IfRangeDateWeak)
        }
    }
}

/// Whether the representation changed after the date of the field `name`; `None` if one of the two dates is missing,
/// or the field is invalid or stands on several lines, when it must be ignored (RFC 9110 §13.1.3, §13.1.4).
fn changed_since(
    request: &impl RequestView,
    name: &'static str,
    representation: &Representation,
) -> Option<bool> {
    let mut lines = request.lines(name);
    let date = HttpDate::parse(lines.next()?)?;
    match (lines.next(), representation.last_modified()) {
        (None, Some(modified)) => Some(modified > date),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec::Vec;

    use super::*;
    use crate::EntityTag;

    const THEN: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const BEFORE: &str = "Tue, 14 Nov 2023 21:13:20 GMT";
    const AFTER: &str = "Tue, 14 Nov 2023 23:13:20 GMT";

    fn representation() -> Representation {
        Representation::new(10)
            .with_etag(EntityTag::strong("now"))
            .with_last_modified(HttpDate::parse(THEN.as_bytes()))
            .with_settled(true)
    }

    fn verdict(method: MethodKind, fields: &[(&str, &str)]) -> Verdict {
        evaluate(&(method, fields), &representation())
    }

    #[test]
    fn each_step_decides_as_section_13_2_2_says() {
        use Reason::{IfMatchFailed, IfNoneMatchHit, ModifiedSince, NotModifiedSince};
        use Verdict::{Failed, NotModified, Proceed};
        for (fields, expected, because) in [
            (&[][..], Proceed, "no condition"),
            (&[("If-Match", "\"now\"")], Proceed, "1: strong match"),
            (&[("If-Match", "*")], Proceed, "1: there is a current representation"),
            (&[("If-Match", " \"foo\",, \"now\" ,")], Proceed, "1: one of a list"),
            (&[("If-Match", "\"foo\""), ("If-Match", "\"now\"")], Proceed, "1: one of several lines"),
            (&[("If-Match", "\"foo\", \"bar\"")], Failed(IfMatchFailed), "1: none of a list"),
            (&[("If-Match", "W/\"now\"")], Failed(IfMatchFailed), "1: a weak tag never matches strongly"),
            (&[("If-Match", "")], Failed(IfMatchFailed), "1: an empty list holds nothing"),
            (&[("If-Match", "\"now\""), ("If-Unmodified-Since", BEFORE)], Proceed, "2 only without 1"),
            (&[("If-Unmodified-Since", THEN)], Proceed, "2: equal"),
            (&[("If-Unmodified-Since", AFTER)], Proceed, "2: later"),
            (&[("If-Unmodified-Since", BEFORE)], Failed(ModifiedSince), "2: changed since"),
            (&[("If-Unmodified-Since", "yesterday")], Proceed, "2: an invalid date is ignored"),
            (&[("If-None-Match", "\"now\"")], NotModified(IfNoneMatchHit), "3: the client has it"),
            (&[("If-None-Match", "W/\"now\"")], NotModified(IfNoneMatchHit), "3: weak comparison"),
            (&[("If-None-Match", "*")], NotModified(IfNoneMatchHit), "3: any"),
            (&[("If-None-Match", "\"x\" , \"now\"")], NotModified(IfNoneMatchHit), "3: OWS before a comma"),
            (&[("If-None-Match", "\"foo\""), ("If-Modified-Since", AFTER)], Proceed, "4 only without 3"),
            (
                &[("If-None-Match", ","), ("If-Modified-Since", AFTER)],
                Proceed,
                "3: an empty list is still there",
            ),
            (&[("If-Modified-Since", THEN)], NotModified(NotModifiedSince), "4: equal"),
            (&[("If-Modified-Since", AFTER)], NotModified(NotModifiedSince), "4: later"),
            (&[("If-Modified-Since", BEFORE)], Proceed, "4: changed since"),
            (&[("If-Modified-Since", "Fri, 01 Jan 1960 00:00:00 GMT")], Proceed, "4: before 1970"),
            (&[("If-Modified-Since", "0")], Proceed, "4: an invalid date is ignored"),
            (
                &[("If-Modified-Since", AFTER), ("If-Modified-Since", AFTER)],
                Proceed,
                "4: more than one member",
            ),
            (&[("If-Match", "\"x\""), ("If-None-Match", "\"now\"")], Failed(IfMatchFailed), "1 before 3"),
            (&[("If-Unmodified-Since", BEFORE), ("If-None-Match", "*")], Failed(ModifiedSince), "2 before 3"),
        ] {
            for method in [MethodKind::Get, MethodKind::Head] {
                assert_eq!(verdict(method, fields), expected, "{fields:?}: {because}");
            }
        }
    }

    #[test]
    fn other_methods_get_412_where_get_gets_304() {
        let hit = Verdict::Failed(Reason::IfNoneMatchHit);
        assert_eq!(verdict(MethodKind::Other, &[("If-None-Match", "*")]), hit);
        assert_eq!(verdict(MethodKind::Other, &[("If-Modified-Since", AFTER)]), Verdict::Proceed);
    }

    #[test]
    fn a_representation_without_validators_matches_only_the_star() {
        let bare = Representation::new(10);
        let verdict = |name, value| evaluate(&(MethodKind::Get, &[(name, value)][..]), &bare);
        assert_eq!(verdict("If-Match", "\"now\""), Verdict::Failed(Reason::IfMatchFailed));
        assert_eq!(verdict("If-Match", "*"), Verdict::Proceed);
        assert_eq!(verdict("If-None-Match", "\"now\""), Verdict::Proceed);
        assert_eq!(verdict("If-Modified-Since", AFTER), Verdict::Proceed);
        assert_eq!(verdict("If-Unmodified-Since", BEFORE), Verdict::Proceed);
    }

    #[test]
    fn if_range_holds_only_for_the_same_strong_validator() {
        use Reason::{IfRangeDateDiffers, IfRangeDateWeak, IfRangeInvalid, IfRangeTagDiffers};
        let fails = |values: &[&str], representation: &Representation, trust| {
            let fields: Vec<_> = values.iter().map(|value| ("If-Range", String::from(*value))).collect();
            if_range_fails(&(MethodKind::Get, &fields[..]), representation, trust)
        };
        let settled = representation();
        for (values, expected) in [
            (&[][..], None),
            (&["\"now\""], None),
            (&[THEN], None),
            (&["W/\"now\""], Some(IfRangeTagDiffers)),
            (&["\"\""], Some(IfRangeTagDiffers)),
            (&[BEFORE], Some(IfRangeDateDiffers)),
            (&[AFTER], Some(IfRangeDateDiffers)),
            (&["\"now"], Some(IfRangeInvalid)),
            (&["\"now\"", "\"now\""], Some(IfRangeInvalid)),
            (&[""], Some(IfRangeInvalid)),
        ] {
            assert_eq!(fails(values, &settled, DateTrust::WhenSettled), expected, "{values:?}");
        }
        let fresh = representation().with_settled(false).with_etag(EntityTag::weak("now"));
        assert_eq!(fails(&[THEN], &fresh, DateTrust::WhenSettled), Some(IfRangeDateWeak));
        assert_eq!(fails(&[THEN], &fresh, DateTrust::Always), None);
        assert_eq!(fails(&[THEN], &settled, DateTrust::Never), Some(IfRangeDateWeak));
        assert_eq!(fails(&["W/\"now\""], &fresh, DateTrust::Always), Some(IfRangeTagDiffers));
    }
}
