//! Who goes first where several wait for the same rate.

/// How soon bytes are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Urgency {
    /// Somebody stands still without them.
    Now,
    /// Somebody will come to them in a moment.
    Soon,
    /// In their turn.
    #[default]
    InTurn,
}
