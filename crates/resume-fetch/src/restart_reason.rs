//! Why bytes are given up: the words that stand in events, ledgers and metrics.

/// Why held bytes were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RestartReason {
    /// The peer sent the whole representation although a range was asked for.
    RangeIgnored,
    /// The `Content-Range` is missing, wrong, of several parts, or of another complete-length.
    ContentRangeMismatch,
    /// 416: the peer's representation ends before our bytes do.
    RangeNotSatisfiable,
    /// The part file is longer than the representation.
    PartOversize,
    /// A part file without a record of what it belongs to.
    Orphan,
    /// The validator changed.
    ValidatorChanged,
    /// The bytes before the resume point are not the ones we hold.
    OverlapMismatch,
    /// The peer applied a content coding to a range.
    UnexpectedEncoding,
    /// The digest is wrong, or recorded bytes cannot be read back.
    Corruption,
}

impl RestartReason {
    /// Every reason, for documentation and label sets.
    pub const ALL: [RestartReason; 9] = [
        Self::RangeIgnored,
        Self::ContentRangeMismatch,
        Self::RangeNotSatisfiable,
        Self::PartOversize,
        Self::Orphan,
        Self::ValidatorChanged,
        Self::OverlapMismatch,
        Self::UnexpectedEncoding,
        Self::Corruption,
    ];

    /// The name used in events, ledgers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RangeIgnored => "range_ignored",
            Self::ContentRangeMismatch => "content_range_mismatch",
            Self::RangeNotSatisfiable => "range_not_satisfiable",
            Self::PartOversize => "part_oversize",
            Self::Orphan => "orphan",
            Self::ValidatorChanged => "validator_changed",
            Self::OverlapMismatch => "overlap_mismatch",
            Self::UnexpectedEncoding => "unexpected_encoding",
            Self::Corruption => "corruption",
        }
    }
}

impl std::fmt::Display for RestartReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_the_ones_others_rely_on() {
        assert_eq!(
            RestartReason::ALL.map(RestartReason::as_str),
            [
                "range_ignored",
                "content_range_mismatch",
                "range_not_satisfiable",
                "part_oversize",
                "orphan",
                "validator_changed",
                "overlap_mismatch",
                "unexpected_encoding",
                "corruption",
            ]
        );
    }
}
