//! retry-kit
