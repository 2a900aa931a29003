//! What is in force: a value that is read as a whole and replaced as a whole, while others read it.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that a reload may replace. Whoever took it out keeps what it took.
#[derive(Debug, Default)]
pub struct Current<T>(RwLock<Arc<T>>);

impl<T> Current<T> {
    /// Begins with `value`.
    pub fn new(value: T) -> Self {
        Self(RwLock::new(Arc::new(value)))
    }

    /// The value as it is now.
    pub fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts what is in force elsewhere in its place.
    pub fn take_over(&self, other: Self) {
        let value = other.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// Puts another in its place and returns the one before.
    pub fn replace(&self, value: T) -> Arc<T> {
        std::mem::replace(&mut *self.0.write().unwrap_or_else(PoisonError::into_inner), Arc::new(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_took_it_out_keeps_what_it_took() {
        let current = Current::new(1);
        let taken = current.get();
        assert_eq!((*current.replace(2), *taken, *current.get()), (1, 1, 2));
    }
}
