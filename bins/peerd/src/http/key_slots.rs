//! Connections per key: one friend with a greedy client does not take every connection there is.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Counts the connections each key is used on.
#[derive(Debug)]
pub struct KeySlots {
    limit: AtomicUsize,
    used: Mutex<HashMap<String, usize>>,
}

/// The right of one connection to be used with one key; dropping it gives it back.
#[derive(Debug)]
pub struct KeySlot {
    slots: Arc<KeySlots>,
    key: String,
}

impl KeySlots {
    /// At most `limit` connections per key; zero is no limit.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: AtomicUsize::new(limit), used: Mutex::default() })
    }

    /// Changes the limit. Connections beyond a smaller one go on; no further one is let in before they end.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Ordering::Relaxed);
    }

    /// Takes a slot of this key; `None` if all are taken.
    pub fn claim(self: &Arc<Self>, key: &str) -> Option<KeySlot> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let count = used.get(key).copied().unwrap_or(0);
        let limit = self.limit.load(Ordering::Relaxed);
        if limit > 0 && count >= limit {
            return None;
        }
        used.insert(key.to_owned(), count + 1);
        Some(KeySlot { slots: Arc::clone(self), key: key.to_owned() })
    }
}

impl KeySlot {
    /// Whose slot it is.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Drop for KeySlot {
    fn drop(&mut self) {
        let mut used = self.slots.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = used.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.key);
            }
        }
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
    fn zero_is_no_limit() {
        let slots = KeySlots::new(0);
        let held: Vec<_> = (0..100).map_while(|_| slots.claim("alice")).collect();
        assert_eq!(held.len(), 100);
    }
}
