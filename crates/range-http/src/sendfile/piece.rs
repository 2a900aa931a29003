//! What a body hands to the server: bytes, or the address of a part of a file.

use std::fmt;
use std::sync::Arc;

use bytes::{Buf, Bytes};

#[cfg(target_os = "linux")]
use {super::window::Window, std::ops::Range};

/// A buffer of a body.
///
/// One that stands for a part of a file has an address as its chunk, which only a [`FileSocket`](super::FileSocket) can
/// make bytes of: see the [module](super). Cloning and splitting are cheap.
#[derive(Clone)]
pub struct Piece {
    content: Content,
    told: Option<Arc<dyn Taken>>,
}

/// Hears how many bytes of pieces were taken, by the connection or by whoever else reads them.
pub trait Taken: Send + Sync {
    /// Called as they are, with at least one. Must not block.
    fn taken(&self, bytes: usize);
}

#[derive(Clone)]
enum Content {
    Bytes(Bytes),
    #[cfg(target_os = "linux")]
    File {
        window: Arc<Window>,
        left: Range<usize>,
    },
}

impl Piece {
    #[cfg(target_os = "linux")]
    pub(super) fn of(window: Arc<Window>) -> Self {
        let left = 0..window.len;
        Self { content: Content::File { window, left }, told: None }
    }

    /// Tells `listener` of every byte that is taken, also of what is split off, as long as a part of it lives.
    #[must_use]
    pub fn telling(self, listener: Arc<dyn Taken>) -> Self {
        Self { told: Some(listener), ..self }
    }

    /// Splits off the first `at` bytes.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn split_to(&mut self, at: usize) -> Self {
        assert!(at <= self.remaining(), "cannot split {} bytes at {at}", self.remaining());
        let content = match &mut self.content {
            Content::Bytes(bytes) => Content::Bytes(bytes.split_to(at)),
            #[cfg(target_os = "linux")]
            Content::File { window, left } => {
                let first = left.start..left.start + at;
                left.start = first.end;
                Content::File { window: Arc::clone(window), left: first }
            }
        };
        Self { content, told: self.told.clone() }
    }

    /// Whether it stands for a part of a file.
    #[must_use]
    pub fn is_address(&self) -> bool {
        !matches!(self.content, Content::Bytes(_))
    }

    fn tell(&self, bytes: usize) {
        if let Some(told) = self.told.as_ref().filter(|_| bytes > 0) {
            told.taken(bytes);
        }
    }
}

impl From<Bytes> for Piece {
    fn from(bytes: Bytes) -> Self {
        Self { content: Content::Bytes(bytes), told: None }
    }
}

impl Default for Piece {
    fn default() -> Self {
        Bytes::new().into()
    }
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        match &self.content {
            Content::Bytes(bytes) => bytes.len(),
            #[cfg(target_os = "linux")]
            Content::File { left, .. } => left.len(),
        }
    }

    fn chunk(&self) -> &[u8] {
        match &self.content {
            Content::Bytes(bytes) => bytes,
            #[cfg(target_os = "linux")]
            Content::File { window, left } => window.address(left.clone()),
        }
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "cannot advance by {count} of {} bytes", self.remaining());
        match &mut self.content {
            Content::Bytes(bytes) => bytes.advance(count),
            #[cfg(target_os = "linux")]
            Content::File { left, .. } => left.start += count,
        }
        self.tell(count);
    }

    fn copy_to_bytes(&mut self, len: usize) -> Bytes {
        match &mut self.content {
            Content::Bytes(bytes) => {
                let copied = bytes.copy_to_bytes(len);
                self.tell(len);
                copied
            }
            // The fault that follows from reading the address would end the process instead of this task.
            #[cfg(target_os = "linux")]
            Content::File { .. } => panic!("a part of a file has no bytes in memory"),
        }
    }
}

impl fmt::Debug for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("remaining", &self.remaining())
            .field("is_address", &self.is_address())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Taken for Count {
        fn taken(&self, bytes: usize) {
            assert!(bytes > 0);
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// Takes a buffer apart in every way a server does, by lengths alone.
    fn is_ten_long(make: impl Fn() -> Piece) {
        for at in 0..=10 {
            let count = Arc::new(Count::default());
            let mut rest = make().telling(count.clone());
            let mut first = rest.split_to(at);
            assert_eq!((first.remaining(), rest.remaining()), (at, 10 - at));
            assert_eq!((first.chunk().len(), rest.chunk().len()), (at, 10 - at));
            assert_eq!(count.0.load(Ordering::Relaxed), 0, "splitting takes nothing");
            let mut whole = make();
            whole.advance(at);
            assert_eq!(whole.chunk().as_ptr(), rest.chunk().as_ptr(), "both begin at byte {at}");
            first.advance(at);
            rest.advance(rest.remaining() / 2);
            assert_eq!(count.0.load(Ordering::Relaxed), at + (10 - at) / 2);
        }
    }

    #[test]
    fn bytes_come_apart_as_bytes() {
        let bytes = Bytes::from_static(b"0123456789");
        is_ten_long(|| bytes.clone().into());
        let count = Arc::new(Count::default());
        let mut piece = Piece::from(bytes).telling(count.clone());
        assert!(!piece.is_address());
        assert_eq!(piece.copy_to_bytes(4), "0123");
        assert_eq!(count.0.load(Ordering::Relaxed), 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_part_of_a_file_comes_apart_by_address() {
        use crate::sendfile::window::{Windows, now};

        let source = crate::FileSource::new(tempfile::tempfile().expect("a file")).expect("a regular file");
        let window = Windows::get().expect("address space").open(&source, 0, 10, now());
        let window = window.expect("a window");
        is_ten_long(|| Piece::of(Arc::clone(&window)));
        assert!(Piece::of(window).is_address());
    }
}
