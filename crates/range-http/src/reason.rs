//! Why a request was answered the way it was.

use core::fmt;

/// The rule that chose the status of a [`Plan`](crate::Plan): one for every way through the decision.
///
/// Meant for logs and metrics; [`Reason::as_str`] is a stable label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// 200: the request has no Range.
    NoRange,
    /// 206: one range.
    SingleRange,
    /// 206: several ranges as multipart/byteranges.
    SeveralRanges,
    /// 206: several ranges were asked, the first satisfiable one is served ([`Multi::First`](crate::Multi::First)).
    FirstRange,
    /// 200: Range means something for GET only (RFC 9110 §14.2).
    MethodIgnoresRange,
    /// 200: Range stands on several lines although it is not a list field (§5.3).
    SeveralRangeLines,
    /// 200: a range unit other than `bytes` must be ignored (§14.2).
    UnknownUnit,
    /// 200 or 416: not a valid ranges-specifier.
    Malformed,
    /// 200 or 416: the only range has its last-pos before its first-pos (§14.1.1).
    Inverted,
    /// 200: a representation without bytes has no range (§14.2).
    EmptyRepresentation,
    /// 200: several ranges, and the policy is [`Multi::Ignore`](crate::Multi::Ignore).
    SeveralRangesIgnored,
    /// 200: more range-specs or parts than the limits allow (§14.2, §17.15).
    TooManyRanges,
    /// 200: the ranges hold more bytes than the limits allow.
    TooManyBytes,
    /// 200: the multipart answer would be longer than the representation.
    Inefficient,
    /// 200: If-Range is neither an entity tag nor a date (§13.1.5).
    IfRangeInvalid,
    /// 200: the entity tag of If-Range does not match by strong comparison.
    IfRangeTagDiffers,
    /// 200: the date of If-Range is not exactly Last-Modified.
    IfRangeDateDiffers,
    /// 200: the date of If-Range matches, but it is not a strong validator (§8.8.2.2).
    IfRangeDateWeak,
    /// 416: no range overlaps the representation (§14.1.2, §15.5.17).
    Unsatisfiable,
    /// 412: If-Match (§13.1.1).
    IfMatchFailed,
    /// 412: If-Unmodified-Since (§13.1.4).
    ModifiedSince,
    /// 304: If-None-Match (§13.1.2).
    IfNoneMatchHit,
    /// 304: If-Modified-Since (§13.1.3).
    NotModifiedSince,
    /// 405: only GET and HEAD are planned here.
    MethodNotAllowed,
}

impl Reason {
    /// A stable lower-case label of a few words joined by `_`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRange => "no_range",
            Self::SingleRange => "single_range",
            Self::SeveralRanges => "several_ranges",
            Self::FirstRange => "first_range",
            Self::MethodIgnoresRange => "method_ignores_range",
            Self::SeveralRangeLines => "several_range_lines",
            Self::UnknownUnit => "unknown_unit",
            Self::Malformed => "malformed",
            Self::Inverted => "inverted",
            Self::EmptyRepresentation => "empty_representation",
            Self::SeveralRangesIgnored => "several_ranges_ignored",
            Self::TooManyRanges => "too_many_ranges",
            Self::TooManyBytes => "too_many_bytes",
            Self::Inefficient => "inefficient",
            Self::IfRangeInvalid => "if_range_invalid",
            Self::IfRangeTagDiffers => "if_range_tag_differs",
            Self::IfRangeDateDiffers => "if_range_date_differs",
            Self::IfRangeDateWeak => "if_range_date_weak",
            Self::Unsatisfiable => "unsatisfiable",
            Self::IfMatchFailed => "if_match_failed",
            Self::ModifiedSince => "modified_since",
            Self::IfNoneMatchHit => "if_none_match_hit",
            Self::NotModifiedSince => "not_modified_since",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
