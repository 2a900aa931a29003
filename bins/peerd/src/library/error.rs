//! What can go wrong with shares and items.

use std::io;

use super::filter::PatternError;
use super::share::{NotReady, ScanError};

/// Why the shares cannot be taken as described.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LibraryError {
    /// Two shares with one name.
    #[error("there are two shares named {name:?}")]
    DuplicateName {
        /// The name.
        name: String,
    },
    /// A glob that cannot be read.
    #[error("the share {name:?} has a pattern that cannot be read")]
    Pattern {
        /// The share.
        name: String,
        /// The pattern and what is wrong with it.
        source: PatternError,
    },
}

/// Why an item could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LookupError {
    /// There is no such item, or not for whoever asks.
    #[error("there is no such item")]
    Unknown,
    /// Its share is being walked for the first time, and that takes long.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// It is there and cannot be read right now.
    #[error("the item cannot be read")]
    Unreadable(#[source] io::Error),
}

/// Why a list could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListError {
    /// The cursor is none of ours.
    #[error("the cursor is not one this daemon handed out")]
    BadCursor,
    /// A share is being walked for the first time, and that takes long.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// The shares cannot be looked at right now.
    #[error("the shares cannot be read")]
    Unreadable(#[source] io::Error),
}

/// Why a share could not be walked again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RescanError {
    /// There is no such share.
    #[error("there is no share of that name")]
    Unknown,
    /// Its directory cannot be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
}
