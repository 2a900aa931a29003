//! Connections and files under way per key: one friend with a greedy client does not take every one there is.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use http_body::{Body, Frame, SizeHint};

/// Counts the connections each key is used on, and the files that are under way to its holder.
#[derive(Debug)]
pub struct KeySlots {
    limit: AtomicUsize,
    used: Mutex<HashMap<(Use, String), usize>>,
}

/// The right of one connection to be used with one key, or of one file to be sent; dropping it gives it back.
#[derive(Debug)]
pub struct KeySlot {
    slots: Arc<KeySlots>,
    what: (Use, String),
}

/// What is counted, each for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Use {
    Connection,
    File,
}

/// A body that is under way on a slot until it is dropped.
pub struct Slotted<B> {
    inner: B,
    _slot: Option<KeySlot>,
}

impl KeySlots {
    /// At most `limit` connections per key, and as many files; zero is no limit.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), used: Mutex::default() })
    }

    /// Changes the limit. Connections beyond a smaller one go on; no further one is let in before they end.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes a slot for a connection of this key; `None` if all are taken.
    pub fn claim(self: &Arc<Self>, key: &str) -> Option<KeySlot> {
        self.take(Use::Connection, key)
    }

    /// Takes a slot for a file on its way to the holder of this key; `None` if all are taken.
    pub fn claim_file(self: &Arc<Self>, key: &str) -> Option<KeySlot> {
        self.take(Use::File, key)
    }

    fn take(self: &Arc<Self>, what: Use, key: &str) -> Option<KeySlot> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let what = (what, key.to_owned());
        let count = used.get(&what).copied().unwrap_or(0);
        let limit = self.limit.load(Ordering::Relaxed);
        if limit > 0 && count >= limit {
            return None;
        }
        used.insert(what.clone(), count + 1);
        Some(KeySlot { slots: Arc::clone(self), what })
    }
}

impl KeySlot {
    /// Whose slot it is.
    pub fn key(&self) -> &str {
        &self.what.1
    }
}

impl Drop for KeySlot {
    fn drop(&mut self) {
        let mut used = self.slots.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = used.get_mut(&self.what) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.what);
            }
        }
    }
}

impl<B> Slotted<B> {
    /// Holds `slot` as long as `inner` lives.
    pub fn new(inner: B, slot: Option<KeySlot>) -> Self {
        Self { inner, _slot: slot }
    }
}

impl<B: Body + Unpin> Body for Slotted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_slots_and_gets_them_back() {
        let slots = KeySlots::new(2);
        let first = slots.claim("alice").expect("a slot");
        let _second = slots.claim("alice").expect("a slot");
        assert!(slots.claim("alice").is_none());
        assert!(slots.claim("bob").is_some());
        drop(first);
        assert!(slots.claim("alice").is_some());
        assert_eq!(slots.used.lock().expect("not poisoned").len(), 1, "bob's count is not kept");
    }

    #[test]
    fn files_and_connections_are_counted_apart() {
        let slots = KeySlots::new(1);
        let _connection = slots.claim("alice").expect("a slot");
        let file = slots.claim_file("alice").expect("a slot of another kind");
        assert!(slots.claim_file("alice").is_none());
        drop(file);
        assert!(slots.claim_file("alice").is_some());
    }

    #[test]
    fn zero_is_no_limit() {
        let slots = KeySlots::new(0);
        let held: Vec<_> = (0..100).map_while(|_| slots.claim("alice")).collect();
        assert_eq!(held.len(), 100);
    }
}
