//! How urgent bytes are.

/// How urgently bytes are wanted. An urgent range never waits behind a less urgent one, and inside a class the oldest
/// comes first.
///
/// Priorities order who is served next; they do not share out the bandwidth of ranges that are being served at the
/// same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Somebody stands still without them: the bytes under a blocked reader.
    Critical,
    /// They will be needed in a moment: what a reader is about to reach.
    High,
    /// Asked for.
    #[default]
    Normal,
    /// The rest of the file, in the order of its bytes.
    Low,
}

impl Priority {
    /// The next more urgent class, but never [`Priority::Critical`]: waiting long makes nobody stand still.
    pub(crate) fn aged(self) -> Self {
        match self {
            Priority::Low => Priority::Normal,
            Priority::Normal => Priority::High,
            urgent => urgent,
        }
    }
}
