//! The conformance cases, read from `cases.txt`, and what an answer is judged by.

use std::fmt;

use range_http::client::{MultipartEvent, MultipartLimits, MultipartReader};
use range_http::{ByteRange, ContentRange, HttpDate};

/// One line of `cases.txt`.
pub(crate) struct Case {
    pub(crate) group: &'static str,
    /// Length of the file asked for.
    pub(crate) len: usize,
    pub(crate) method: &'static str,
    /// Field names and values, placeholders still in them.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The answers allowed, ours first.
    pub(crate) answers: Vec<Answer>,
    pub(crate) why: &'static str,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// A status that says all.
    Status(u16),
    /// A 206 with these ranges.
    Partial(Vec<ByteRange>),
    /// 200, 206 or 416 with a body not much longer than the file.
    Bounded,
}

/// An answer as it was received: names in lower case.
pub(crate) struct Received {
    pub(crate) status: u16,
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// The validators of a file, for the placeholders.
pub(crate) struct Validators {
    pub(crate) etag: String,
    pub(crate) date: HttpDate,
}

pub(crate) fn all() -> Vec<Case> {
    let mut group = "";
    let mut cases = Vec::new();
    for line in include_str!("cases.txt").lines() {
        if let Some(name) = line.strip_prefix('[') {
            group = name.trim_end_matches(']');
        } else if !line.is_empty() && !line.starts_with('#') {
            cases.push(Case::read(group, line));
        }
    }
    cases
}

/// The bytes of the file of this length: no two places alike, and every kind of byte at every kind of edge.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place * 31 + place / 251) as u8).collect()
}

impl Case {
    fn read(group: &'static str, line: &'static str) -> Self {
        let columns: Vec<_> = line.split(" | ").collect();
        let [len, request, answers, why] = columns[..] else { panic!("not four columns: {line}") };
        let (method, fields) = read_request(request);
        let answers = answers.split(" or ").map(Answer::read).collect();
        Self { group, len: len.parse().expect("a length"), method, fields, answers, why }
    }

    /// The fields with the validators of the file in place.
    pub(crate) fn fields_for(&self, validators: &Validators) -> Vec<(&'static str, String)> {
        let moved = |hours: i64| {
            let moment = validators.date.unix_seconds() + hours * 3600;
            HttpDate::from_unix(moment).expect("a year of four digits").to_string()
        };
        let fill = |value: &String| {
            value
                .replace("{ETAG}", &validators.etag)
                .replace("{WEAK}", &format!("W/{}", validators.etag.trim_start_matches("W/")))
                .replace("{DATE}", &moved(0))
                .replace("{OLDER}", &moved(-1))
                .replace("{NEWER}", &moved(1))
        };
        self.fields.iter().map(|(name, value)| (*name, fill(value))).collect()
    }

    /// What is wrong with an answer, given the answers to accept.
    pub(crate) fn fault(&self, received: &Received, accepted: &[Answer]) -> Option<String> {
        let got = match received.answer(self) {
            Ok(got) => got,
            Err(fault) => return Some(fault),
        };
        let bounded = matches!(received.status, 200 | 206 | 416) && received.body.len() <= self.len + 4096;
        let fits = |answer: &Answer| got.is_part_of(answer) || *answer == Answer::Bounded && bounded;
        (!accepted.iter().any(fits)).then(|| {
            let wanted: Vec<_> = accepted.iter().map(ToString::to_string).collect();
            format!("got {got} of {} bytes, want {}", received.body.len(), wanted.join(" or "))
        })
    }
}

impl Answer {
    fn read(text: &str) -> Self {
        match text.split_once(' ') {
            None if text == "bounded" => Self::Bounded,
            None => Self::Status(text.parse().expect("a status")),
            Some((status, ranges)) => {
                assert_eq!(status, "206", "only a 206 has ranges");
                let range = |text: &str| {
                    let (first, last) = text.split_once('-').expect("two positions");
                    let [first, last] = [first, last].map(|text| text.parse().expect("a number"));
                    ByteRange::from_positions(first, last).expect("a range")
                };
                Self::Partial(ranges.split(',').map(range).collect())
            }
        }
    }
}

impl Answer {
    /// Whether this is the other answer, or holds some of its ranges: a server may send fewer than were asked for.
    fn is_part_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Partial(sent), Self::Partial(asked)) if asked.len() > 1 => {
                let mut asked = asked.iter();
                sent.iter().all(|range| asked.any(|other| other == range))
            }
            _ => self == other,
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "{status}"),
            Self::Partial(ranges) => {
                let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
                write!(f, "206 {}", ranges.join(","))
            }
            Self::Bounded => f.write_str("a bounded answer"),
        }
    }
}

impl Received {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| &**value)
    }

    /// What the answer says, if head and body agree with each other and with the file.
    pub(crate) fn answer(&self, case: &Case) -> Result<Answer, String> {
        let file = content(case.len);
        let head = case.method == "HEAD";
        let length = self.field("content-length").and_then(|length| length.parse::<usize>().ok());
        if !head && length.is_some_and(|length| length != self.body.len()) {
            return Err(format!("body of {} bytes under Content-Length {length:?}", self.body.len()));
        }
        let content_range = self.field("content-range").map(str::parse::<ContentRange>);
        match (self.status, content_range) {
            (206, Some(Ok(ContentRange::Range { range, complete }))) => {
                if complete.is_some_and(|complete| complete != case.len as u64)
                    || self.body != slice(&file, range)
                {
                    return Err(format!("206 whose body is not {range} of the file"));
                }
                Ok(Answer::Partial(vec![range]))
            }
            (206, None) => self.parts(case, &file).map(Answer::Partial),
            (206, Some(_)) => Err("206 with an unusable Content-Range".into()),
            (416, Some(Ok(ContentRange::Unsatisfied { complete }))) if complete == case.len as u64 => {
                Ok(Answer::Status(416))
            }
            (416, _) => Err("416 that does not tell the complete-length".into()),
            (status, Some(_)) => Err(format!("Content-Range on a {status}")),
            (200, None) if head && length.is_some_and(|length| length != case.len) => {
                Err(format!("HEAD tells a length of {length:?}"))
            }
            (200, None) if !head && self.body != file => Err("200 whose body is not the file".into()),
            (status, None) => Ok(Answer::Status(status)),
        }
    }

    /// The ranges of a multipart body, each compared with the file.
    fn parts(&self, case: &Case, file: &[u8]) -> Result<Vec<ByteRange>, String> {
        let content_type = self.field("content-type").unwrap_or_default();
        let fault = |error| format!("multipart: {error}");
        let mut reader =
            MultipartReader::new(content_type.as_bytes(), MultipartLimits::default()).map_err(fault)?;
        let mut ranges = Vec::new();
        let mut input = &self.body[..];
        while let Some(event) = reader.next(&mut input).map_err(fault)? {
            match event {
                MultipartEvent::Part { range, complete } => {
                    if range.last() >= case.len as u64 || complete.is_some_and(|told| told != case.len as u64)
                    {
                        return Err(format!("part {range} does not fit the file"));
                    }
                    ranges.push(range);
                }
                MultipartEvent::Data { at, bytes } => {
                    if bytes != &file[at as usize..at as usize + bytes.len()] {
                        return Err(format!("part with other bytes than the file at {at}"));
                    }
                }
                MultipartEvent::End => {}
            }
        }
        reader.finish().map_err(fault)?;
        Ok(ranges)
    }
}

fn slice(file: &[u8], range: ByteRange) -> &[u8] {
    let position = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
    file.get(position(range.start())..position(range.end())).unwrap_or_default()
}

fn read_request(text: &'static str) -> (&'static str, Vec<(&'static str, String)>) {
    let mut pieces = text.split("; ");
    let method = pieces.next().expect("a request");
    if !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return ("GET", vec![("Range", expand(text))]);
    }
    let field = |piece: &'static str| {
        let (name, value) = piece.split_once(':').expect("a name and a value");
        (name, expand(value.strip_prefix(' ').unwrap_or(value)))
    };
    (method, pieces.map(field).collect())
}

/// `{N*STEP x TEXT}` written out. Other braces are left alone.
fn expand(text: &str) -> String {
    let written_out = || {
        let (before, rest) = text.split_once('{')?;
        let (repeat, after) = rest.split_once('}')?;
        let (count, piece) = repeat.split_once(" x ")?;
        let (count, step) = count.split_once('*').unwrap_or((count, "1"));
        let (count, step): (usize, usize) = (count.parse().ok()?, step.parse().ok()?);
        let pieces: String =
            (0..count).map(|place| piece.replace('#', &(place * step).to_string())).collect();
        Some([before, &pieces, &expand(after)].concat())
    };
    written_out().unwrap_or_else(|| text.into())
}
