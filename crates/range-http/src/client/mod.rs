//! The receiving half: what an answer to a range request means for the bytes already held.
//!
//! [`decide`] judges the head of an answer, [`MultipartReader`] takes a multipart/byteranges body apart. Both are
//! sans-IO: they are handed what was received and say what to do with it.

mod append;
mod boundary_of;
mod multipart_reader;

pub use append::{AnswerHead, Append, Asked, Cause, decide};
pub use multipart_reader::{MultipartError, MultipartEvent, MultipartLimits, MultipartReader};
