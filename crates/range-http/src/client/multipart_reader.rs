//! Reading multipart/byteranges (RFC 9110 §14.6) as it arrives.

use alloc::vec::Vec;
use core::error::Error;
use core::fmt;

use super::boundary_of::boundary_of;
use crate::scan::{is_token, trim_ows};
use crate::{ByteRange, ContentRange, ContentRangeError};

/// Takes a multipart/byteranges body apart, piece by piece as it is received.
///
/// Each part says in its Content-Range how long it is, so its bytes pass through by count: they are neither searched
/// for the boundary nor copied, and a boundary inside them does no harm. What is buffered is one line of a part's head.
///
/// ```
/// use range_http::client::{MultipartEvent, MultipartLimits, MultipartReader};
///
/// let mut reader = MultipartReader::new(b"multipart/byteranges; boundary=x", MultipartLimits::default())?;
/// let mut input = &b"--x\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--x--\r\n"[..];
/// while let Some(event) = reader.next(&mut input)? {
///     if let MultipartEvent::Data { at, bytes } = event {
///         assert_eq!((at, bytes), (0, &b"ab"[..]));
///     }
/// }
/// reader.finish()?;
/// # Ok::<(), range_http::client::MultipartError>(())
/// ```
#[derive(Debug, Clone)]
pub struct MultipartReader {
    /// `--` and the boundary.
    delimiter: Vec<u8>,
    limits: MultipartLimits,
    state: State,
    /// The line under way.
    line: Vec<u8>,
    /// Bytes of the head, or of the text before the first part, seen so far.
    head: usize,
    parts: usize,
    content_range: Option<ContentRange>,
    complete: Option<u64>,
}

/// What a [`MultipartReader`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MultipartEvent<'a> {
    /// A part begins.
    Part {
        /// Which bytes it holds.
        range: ByteRange,
        /// The complete-length; the same in every part that tells it.
        complete: Option<u64>,
    },
    /// Bytes of the part.
    Data {
        /// Where they stand in the representation.
        at: u64,
        /// The bytes, never empty.
        bytes: &'a [u8],
    },
    /// The closing boundary. What follows is ignored.
    End,
}

/// Bounds on what a [`MultipartReader`] accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultipartLimits {
    /// Most bytes in the head of one part, 8 KiB by default. Bounds the memory.
    pub max_head: usize,
    /// Most parts, 1024 by default.
    pub max_parts: usize,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self { max_head: 8 * 1024, max_parts: 1024 }
    }
}

/// Why a body is not usable multipart/byteranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// Content-Type is not multipart/byteranges with one boundary of 1 to 70 characters.
    ContentType,
    /// Neither a boundary nor an end where one belongs.
    Framing,
    /// A line of a head that is no field.
    Field,
    /// A part without Content-Range, with several, or with the form of a 416.
    NoContentRange,
    /// A part whose Content-Range is invalid.
    ContentRange(ContentRangeError),
    /// Two parts tell different complete-lengths.
    LengthsDiffer,
    /// A head or the number of parts exceeds the limits.
    TooLarge,
    /// The body ended before its closing boundary.
    Truncated,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ContentType => "not multipart/byteranges with a boundary",
            Self::Framing => "no boundary where one belongs",
            Self::Field => "malformed field in the head of a part",
            Self::NoContentRange => "part without one Content-Range",
            Self::ContentRange(_) => "part with an unusable Content-Range",
            Self::LengthsDiffer => "parts of different complete-lengths",
            Self::TooLarge => "more parts or longer heads than allowed",
            Self::Truncated => "body ended before its closing boundary",
        })
    }
}

impl Error for MultipartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::ContentRange(error) => Some(error),
            _ => None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first boundary: lines that are none are skipped (RFC 2046 §5.1.1).
    Preamble,
    Head,
    Data(ByteRange),
    /// The CRLF that belongs to the next boundary.
    AfterData,
    Boundary,
    Done,
}

impl MultipartReader {
    /// A reader for a body of this Content-Type.
    ///
    /// # Errors
    /// [`MultipartError::ContentType`].
    pub fn new(content_type: &[u8], limits: MultipartLimits) -> Result<Self, MultipartError> {
        let boundary = boundary_of(content_type).ok_or(MultipartError::ContentType)?;
        Ok(Self {
            delimiter: [b"--", boundary].concat(),
            limits,
            state: State::Preamble,
            line: Vec::new(),
            head: 0,
            parts: 0,
            content_range: None,
            complete: None,
        })
    }

    /// Takes bytes from the front of `input` up to the next event; `None` once `input` is used up.
    ///
    /// # Errors
    /// [`MultipartError`]. What was reported before stands, nothing after an error does: drop the reader.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<MultipartEvent<'a>>, MultipartError> {
        while !input.is_empty() {
            match self.state {
                State::Data(left) => return Ok(Some(self.take_data(left, input))),
                State::Done => *input = &[],
                _ => {
                    let complete = self.take_line(input)?;
                    if let Some(event) = self.on_line(complete)? {
                        return Ok(Some(event));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Says whether the body may end here.
    ///
    /// # Errors
    /// [`MultipartError::Truncated`] before the closing boundary.
    pub fn finish(&self) -> Result<(), MultipartError> {
        if self.state == State::Done { Ok(()) } else { Err(MultipartError::Truncated) }
    }

    fn take_data<'a>(&mut self, left: ByteRange, input: &mut &'a [u8]) -> MultipartEvent<'a> {
        let length = usize::try_from(left.len()).unwrap_or(usize::MAX).min(input.len());
        let (bytes, rest) = input.split_at(length);
        *input = rest;
        let at = left.first();
        self.state =
            match at.checked_add(length as u64).and_then(|next| ByteRange::from_positions(next, left.last()))
            {
                Some(left) => State::Data(left),
                None => State::AfterData,
            };
        MultipartEvent::Data { at, bytes }
    }

    /// Moves input to `line` up to the end of the line; whether it is complete.
    fn take_line(&mut self, input: &mut &[u8]) -> Result<bool, MultipartError> {
        let end = input.iter().position(|byte| *byte == b'\n').map(|end| end + 1);
        let wanted = end.unwrap_or(input.len());
        let length = wanted.min(self.limits.max_head.saturating_sub(self.head));
        if length == 0 {
            return Err(MultipartError::TooLarge);
        }
        let (taken, rest) = input.split_at(length);
        self.head += length;
        self.line.extend_from_slice(taken);
        *input = rest;
        Ok(end == Some(length))
    }

    fn on_line<'a>(&mut self, complete: bool) -> Result<Option<MultipartEvent<'a>>, MultipartError> {
        let boundary = matches!(self.state, State::Preamble | State::Boundary);
        if boundary && self.is_closing() {
            // It need not be followed by a CRLF, so it counts before its line is complete.
            if self.parts == 0 {
                return Err(MultipartError::NoContentRange);
            }
            self.state = State::Done;
            self.line.clear();
            return Ok(Some(MultipartEvent::End));
        }
        if !complete {
            return Ok(None);
        }
        let length = self.line.strip_suffix(b"\r\n").ok_or(MultipartError::Framing)?.len();
        self.line.truncate(length);
        let opens = boundary && self.is_opening();
        let event = match self.state {
            State::Preamble | State::Boundary if opens => {
                self.begin_part()?;
                None
            }
            State::Preamble => None,
            State::AfterData if self.line.is_empty() => {
                self.state = State::Boundary;
                None
            }
            State::Head if self.line.is_empty() => Some(self.end_head()?),
            State::Head => {
                self.on_field()?;
                None
            }
            State::AfterData | State::Boundary | State::Data(_) | State::Done => {
                return Err(MultipartError::Framing);
            }
        };
        self.line.clear();
        Ok(event)
    }

    fn is_closing(&self) -> bool {
        self.line.strip_prefix(&*self.delimiter).is_some_and(|rest| rest.starts_with(b"--"))
    }

    fn is_opening(&self) -> bool {
        self.line.strip_prefix(&*self.delimiter).is_some_and(|padding| trim_ows(padding).is_empty())
    }

    fn begin_part(&mut self) -> Result<(), MultipartError> {
        self.parts += 1;
        if self.parts > self.limits.max_parts {
            return Err(MultipartError::TooLarge);
        }
        self.head = 0;
        self.content_range = None;
        self.state = State::Head;
        Ok(())
    }

    fn on_field(&mut self) -> Result<(), MultipartError> {
        let colon = self.line.iter().position(|byte| *byte == b':').ok_or(MultipartError::Field)?;
        let (name, value) = (&self.line[..colon], &self.line[colon + 1..]);
        if !is_token(name) {
            return Err(MultipartError::Field);
        }
        if name.eq_ignore_ascii_case(b"content-range") {
            let content_range = ContentRange::parse(value).map_err(MultipartError::ContentRange)?;
            if self.content_range.replace(content_range).is_some() {
                return Err(MultipartError::NoContentRange);
            }
        }
        Ok(())
    }

    fn end_head<'a>(&mut self) -> Result<MultipartEvent<'a>, MultipartError> {
        let Some(ContentRange::Range { range, complete }) = self.content_range else {
            return Err(MultipartError::NoContentRange);
        };
        if complete.is_some() && self.complete.is_some() && complete != self.complete {
            return Err(MultipartError::LengthsDiffer);
        }
        self.complete = self.complete.or(complete);
        self.head = 0;
        self.state = State::Data(range);
        Ok(MultipartEvent::Part { range, complete })
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;
    use std::vec;

    use super::*;

    const TYPE: &[u8] = b"multipart/byteranges; boundary=x";
    const GOOD: &str = "--x\r\nContent-Range: bytes 0-1/9\r\n\r\nab\r\n--x\r\ncontent-type: a/b\r\nCONTENT-RANGE:bytes 4-4/9\r\n\r\ne\r\n--x--\r\n";

    type Read = Vec<(ByteRange, Vec<u8>)>;

    /// Everything a reader finds when `body` arrives `step` bytes at a time.
    fn read(body: &str, step: usize, limits: MultipartLimits) -> Result<Read, MultipartError> {
        let mut reader = MultipartReader::new(TYPE, limits)?;
        let mut parts: Read = Vec::new();
        for mut input in body.as_bytes().chunks(step) {
            while let Some(event) = reader.next(&mut input)? {
                match event {
                    MultipartEvent::Part { range, .. } => parts.push((range, Vec::new())),
                    MultipartEvent::Data { at, bytes } => {
                        let (range, data) = parts.last_mut().unwrap();
                        assert_eq!(at, range.start() + data.len() as u64);
                        data.extend_from_slice(bytes);
                    }
                    MultipartEvent::End => {}
                }
            }
        }
        reader.finish()?;
        Ok(parts)
    }

    fn outcome(body: &str) -> Result<Read, MultipartError> {
        let whole = read(body, body.len().max(1), MultipartLimits::default());
        for step in [1, 2, 3, 7] {
            assert_eq!(read(body, step, MultipartLimits::default()), whole, "{step} bytes at a time");
        }
        whole
    }

    fn expected() -> Read {
        let range = |start, end| ByteRange::new(start, end).unwrap();
        vec![(range(0, 2), b"ab".to_vec()), (range(4, 5), b"e".to_vec())]
    }

    #[test]
    fn parts_are_read_however_the_body_is_cut() {
        for (body, because) in [
            (GOOD.into(), "plain"),
            (GOOD.trim_end().into(), "no CRLF after the closing boundary"),
            (["\r\n", GOOD].concat(), "§14.6 an additional CRLF before the first boundary"),
            (["preamble\r\n", GOOD, "epilogue"].concat(), "RFC 2046 §5.1.1 text around the parts"),
            (GOOD.replace("--x\r\n", "--x \t\r\n"), "RFC 2046 §5.1.1 transport padding"),
        ] {
            assert_eq!(outcome(&body), Ok(expected()), "{because}");
        }
    }

    #[test]
    fn a_boundary_inside_a_part_is_data() {
        let body = "--x\r\nContent-Range: bytes 0-10/99\r\n\r\na\r\n--x--\r\nb\r\n--x--\r\n";
        assert_eq!(outcome(body).unwrap()[0].1, b"a\r\n--x--\r\nb");
    }

    #[test]
    fn what_is_not_multipart_byteranges_is_refused() {
        use MultipartError::{ContentRange, Field, Framing, LengthsDiffer, NoContentRange, Truncated};
        for (body, error) in [
            (String::new(), Truncated),
            (GOOD.replace("--x--\r\n", ""), Truncated),
            (GOOD.replace("--x--\r\n", "--x\r\n"), Truncated),
            (GOOD[..40].into(), Truncated),
            (GOOD.replace("\r\n", "\n"), Framing),
            (GOOD.replace("ab", "a"), Framing),
            (GOOD.replace("ab", "abc"), Framing),
            (GOOD.replace("ab\r\n--x", "ab\r\n--y"), Framing),
            (GOOD.replace("1/9", "1/8"), LengthsDiffer),
            (GOOD.replace("Content-Range", "X"), NoContentRange),
            (GOOD.replace("Content-Range", "Content Range"), Field),
            (GOOD.replace("content-type: a/b", "content-type"), Field),
            (GOOD.replace("content-type: a/b", "Content-Range: bytes 4-4/9"), NoContentRange),
            (GOOD.replace("bytes 0-1/9", "bytes */9"), NoContentRange),
            (GOOD.replace("bytes 0-1/9", "bytes 1-0/9"), ContentRange(ContentRangeError::Inverted)),
            ("--x--\r\n".into(), NoContentRange),
        ] {
            assert_eq!(outcome(&body), Err(error), "{body:?}");
        }
    }

    #[test]
    fn memory_and_parts_are_bounded() {
        let head = MultipartLimits { max_head: 64, ..MultipartLimits::default() };
        let long = GOOD.replace("a/b", &"a".repeat(64));
        assert_eq!(read(&long, 5, head), Err(MultipartError::TooLarge));
        assert_eq!(read(&"-".repeat(1_000), 5, head), Err(MultipartError::TooLarge));
        assert_eq!(
            read(&"x\r\n".repeat(100), 5, head),
            Err(MultipartError::TooLarge),
            "nor an endless preamble"
        );
        let one = MultipartLimits { max_parts: 1, ..MultipartLimits::default() };
        assert_eq!(read(GOOD, 5, one), Err(MultipartError::TooLarge));
        assert_eq!(read(GOOD, 5, MultipartLimits { max_head: 64, max_parts: 2 }), Ok(expected()));
    }
}
