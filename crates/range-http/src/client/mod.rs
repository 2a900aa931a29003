//! The receiving half: what an answer to a range request means for the bytes already held.
//!
//! [`AnswerHead`] reads the head of an answer, [`decide`] judges it, [`MultipartReader`] takes a multipart/byteranges
//! body apart. All are sans-IO: they are handed what was received and say what to do with it.

mod answer;
mod append;
mod boundary_of;
mod multipart_reader;
mod verdict;

pub use answer::{AnswerHead, ContentRangeField, EntityTagField, LengthField};
pub use append::decide;
pub use multipart_reader::{MultipartError, MultipartEvent, MultipartLimits, MultipartReader};
pub use verdict::{Append, Asked, Cause, Part, Proof, Refusal};
