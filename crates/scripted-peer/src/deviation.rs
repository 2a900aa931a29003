//! The ways in which an answer can differ from the honest one.

use std::ops::Range;

/// Where the status code comes from when it is not the honest one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Status {
    /// An answer of its own, without the representation.
    Bare(u16),
    /// The honest answer under another number.
    Relabelled(u16),
}

/// A change to the header fields, made in the order of the script after all honest fields are in place.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Set(String, String),
    Add(String, String),
    Remove(String),
}

/// Which bytes are sent, whatever was asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct RangeConduct {
    pub(crate) ignore_range: bool,
    pub(crate) ignore_if_range: bool,
    pub(crate) other: Option<Range<u64>>,
    pub(crate) at_most: Option<u64>,
}

/// What Content-Range says against the truth.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claims {
    pub(crate) start: Option<u64>,
    pub(crate) end: Option<u64>,
    pub(crate) total: Option<Total>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Total {
    Is(u64),
    Unknown,
}

/// How the end of the body is marked (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    UntilClose,
    Chunked,
    LengthAndChunked,
}

/// What happens instead of an orderly end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// After so many bytes of the body; `None` is before the head.
    pub(crate) at: Option<u64>,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Close,
    Reset,
    Stall,
}
