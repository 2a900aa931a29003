//! What ends a connection on the way of a file.

use std::{fmt, io};

use crate::FileSourceError;

/// Why a part of a file could not be sent. It ends the connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The file is no longer the one that was opened, or could not be read.
    File(FileSourceError),
    /// The file ended before the part that was to be sent.
    Truncated {
        /// Where it was to go on.
        at: u64,
    },
    /// The connection, or the disk below the file.
    Send(io::Error),
    /// An address stands for nothing.
    Stray,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(_) => f.write_str("cannot send a part of a file"),
            Self::Truncated { at } => write!(f, "file ended before byte {at}, which was to be sent"),
            Self::Send(_) => f.write_str("sending a part of a file failed"),
            Self::Stray => f.write_str("the address of a part of a file outlived it"),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Send(error) => Some(error),
            Self::Truncated { .. } | Self::Stray => None,
        }
    }
}
