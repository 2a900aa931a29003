//! Who wants to know when the writer works, and can tell the time.

use std::fmt;

/// Hears of every transaction of the writer, to measure how long writing takes. The registry itself reads no clock.
///
/// There is one writer and it does one transaction after the other, so every [`began`](Self::began) is followed by its
/// [`ended`](Self::ended). Both are called where the writer works: they must not block.
pub trait WriteObserver: fmt::Debug + Send + Sync + 'static {
    /// A transaction of so many writes begins, at least one.
    fn began(&self, writes: usize);

    /// It was committed and synced; or not, if `committed` is false.
    fn ended(&self, committed: bool);
}
