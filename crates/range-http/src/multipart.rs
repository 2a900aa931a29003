//! Writing multipart/byteranges (RFC 9110 §14.6).
//!
//! ```text
//! --BOUNDARY
//! Content-Type: text/plain
//! Content-Range: bytes 500-999/8000
//!
//! ...the first range...
//! --BOUNDARY
//! ...
//! --BOUNDARY--
//! ```

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;
use core::ops::Range;

use crate::{ByteRange, ContentRange};

/// The text between the ranges, kept in one buffer: memory grows with the number of ranges, never with their bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    text: String,
    /// Where in `text` the head of each part stands, and the range that follows it.
    parts: Vec<(Range<usize>, ByteRange)>,
}

impl Parts {
    pub(crate) fn new(
        boundary: &str,
        content_type: Option<&str>,
        ranges: &[ByteRange],
        complete: u64,
    ) -> Self {
        let mut text = String::new();
        let mut parts = Vec::with_capacity(ranges.len());
        for (place, range) in ranges.iter().copied().enumerate() {
            let start = text.len();
            text.push_str(if place == 0 { "--" } else { "\r\n--" });
            text.push_str(boundary);
            if let Some(content_type) = content_type {
                text.push_str("\r\nContent-Type: ");
                text.push_str(content_type);
            }
            let content_range = ContentRange::Range { range, complete: Some(complete) };
            // Writing to a string cannot fail.
            let _ = write!(text, "\r\nContent-Range: {content_range}\r\n\r\n");
            parts.push((start..text.len(), range));
        }
        text.push_str("\r\n--");
        text.push_str(boundary);
        text.push_str("--\r\n");
        Self { text, parts }
    }

    /// Bytes of the whole body; `u64::MAX` if that does not fit, which is longer than what it is made of.
    pub(crate) fn len(&self) -> u64 {
        self.parts.iter().fold(self.text.len() as u64, |total, (_, range)| total.saturating_add(range.len()))
    }

    /// The head of part `place` and its range; the closing boundary, without a range, after the last part.
    pub(crate) fn piece(&self, place: usize) -> Option<(&str, Option<ByteRange>)> {
        match self.parts.get(place) {
            Some((head, range)) => Some((&self.text[head.clone()], Some(*range))),
            None if place == self.parts.len() => {
                let closing = self.parts.last().map_or(0, |(head, _)| head.end);
                Some((&self.text[closing..], None))
            }
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_look_like_the_example_of_section_15_3_7_2() {
        let ranges = [(500, 1000), (7000, 8000)].map(|(start, end)| ByteRange::new(start, end).unwrap());
        let parts = Parts::new("THIS_STRING_SEPARATES", Some("application/pdf"), &ranges, 8000);
        let head = "--THIS_STRING_SEPARATES\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\n";
        assert_eq!(parts.piece(0), Some((head, Some(ranges[0]))));
        let (second, range) = parts.piece(1).unwrap();
        assert!(
            second.starts_with("\r\n--THIS_STRING_SEPARATES\r\n")
                && second.contains("bytes 7000-7999/8000\r\n\r\n")
        );
        assert_eq!(range, Some(ranges[1]));
        let closing = "\r\n--THIS_STRING_SEPARATES--\r\n";
        assert_eq!(parts.piece(2), Some((closing, None)));
        assert_eq!(parts.piece(3), None);
        assert_eq!(parts.len(), (head.len() + 500 + second.len() + 1000 + closing.len()) as u64);
    }

    #[test]
    fn a_part_without_a_type_has_no_content_type() {
        let range = ByteRange::new(0, 1).unwrap();
        let parts = Parts::new("b", None, &[range], 9);
        assert_eq!(parts.piece(0), Some(("--b\r\nContent-Range: bytes 0-0/9\r\n\r\n", Some(range))));
    }
}
