//! Where the bytes of a representation come from.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, ready};

use bytes::Bytes;

/// Positional reads of one unchanging representation: a file, a buffer, an object store, a database.
///
/// Reads are made one after the other, each at the position where the last one ended or at the start of the next part.
/// A source that can notice that its representation changed must fail from then on: the head of the response promised
/// bytes of the old one.
pub trait Source: Send + Sync + 'static {
    /// What a failed read returns.
    type Error: Into<Box<dyn Error + Send + Sync>>;

    /// Reads at least one and at most `max` bytes at position `at`; no bytes if the representation ends there, which
    /// ends the response with an error.
    ///
    /// `max` is at least one and never reaches past the range that is being served.
    ///
    /// # Cancel safety
    /// The future is dropped when the client goes away; nothing is read on behalf of that response afterwards.
    fn read_at(&self, at: u64, max: u64) -> impl Future<Output = Result<Bytes, Self::Error>> + Send;
}

/// A representation that is in memory. Slices of it are handed out without copying.
#[derive(Debug, Clone, Default)]
pub struct MemSource {
    bytes: Bytes,
}

impl MemSource {
    /// A source over these bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into() }
    }
}

impl Source for MemSource {
    type Error = Infallible;

    fn read_at(&self, at: u64, max: u64) -> impl Future<Output = Result<Bytes, Infallible>> + Send {
        let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(self.bytes.len());
        let (start, end) = (position(at), position(at.saturating_add(max)));
        ready(Ok(self.bytes.slice(start..end)))
    }
}
