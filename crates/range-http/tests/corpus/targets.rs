//! What is fuzzed: one function of bytes per parser, each of which panics if a promise is broken.
//!
//! The fuzzer calls them by itself; the test beside this file calls them with what the fuzzer has found worth keeping.

use range_http::client::{
    AnswerHead, Append, Asked, ContentRangeField, MultipartEvent, MultipartLimits, MultipartReader, Proof,
    decide,
};
use range_http::{
    ByteRange, ContentDisposition, ContentRange, EntityTag, EntityTagList, HttpDate, IfRange, Limits,
    MethodKind, Policy, RangeHeader, Representation, Resolved, Segment, plan,
};

/// A Range value, and the length it is resolved against.
pub(crate) fn range(data: &[u8]) {
    let (len, value) = take_u64(data);
    let Ok(header) = RangeHeader::parse(value, 64) else { return };
    assert!((1..=64).contains(&header.count()));
    let specs: Vec<_> = header.specs().collect();
    assert_eq!((specs.len(), specs[0]), (header.count(), header.first()));
    let written = specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let written = format!("bytes={written}");
    let again = RangeHeader::parse(written.as_bytes(), 64).expect("what was read can be written");
    assert!(again.specs().eq(specs.iter().copied()));
    let limits = Limits { coalesce_gap: len % 300, ..Limits::new() };
    let ranges = match header.resolve(len, &limits) {
        Resolved::Single(range) => vec![range],
        Resolved::Multi(set) => set.as_slice().to_vec(),
        _ => return,
    };
    assert!(ranges.iter().all(|range| range.end() <= len && range.len() > 0));
    let mut sorted = ranges;
    sorted.sort_unstable();
    assert!(sorted.windows(2).all(|pair| pair[0].end() < pair[1].start()), "disjoint and apart");
}

/// A Content-Range value; and an answer, whose first lines are Content-Range, Content-Length, ETag and Last-Modified.
pub(crate) fn content_range(data: &[u8]) {
    answer(data);
    let Ok(content_range) = ContentRange::parse(data) else { return };
    let written = content_range.to_string();
    assert!(written.len() <= 68);
    assert_eq!(ContentRange::parse(written.as_bytes()), Ok(content_range));
    if let ContentRange::Range { range, complete } = content_range {
        assert!(range.first() <= range.last() && complete.is_none_or(|complete| range.last() < complete));
    }
}

/// Judged for every place where the bytes held may end, as far as it makes a difference.
fn answer(data: &[u8]) {
    let lines = ["content-range", "content-length", "etag", "last-modified"].into_iter();
    let fields: Vec<_> = lines.zip(data.split(|byte| *byte == b'\n')).collect();
    let partial = AnswerHead::read(206, fields.iter().copied());
    let (etag, last_modified) = (partial.etag.valid(), partial.last_modified);
    let told = match partial.content_range {
        ContentRangeField::Valid(ContentRange::Range { range, complete }) => (Some(range), complete),
        ContentRangeField::Valid(ContentRange::Unsatisfied { complete })
        | ContentRangeField::PastTheEnd { complete } => (None, Some(complete)),
        ContentRangeField::Absent | ContentRangeField::Invalid => (None, None),
    };
    let edges =
        told.0.map_or([0, 1, 2], |range| [range.start(), range.start().saturating_add(1), range.end()]);
    for start in edges.into_iter().chain([told.1.unwrap_or(9), u64::MAX]) {
        let asked = Asked { start, ranged: true, etag, last_modified, ..Asked::default() };
        for asked in [asked, Asked { complete: told.1, end: start.checked_add(7), ..asked }] {
            judge(&asked, &partial, told);
            for status in [200, 416] {
                judge(&asked, &AnswerHead { status, ..partial.clone() }, told);
            }
        }
    }
}

fn judge(asked: &Asked<'_>, answer: &AnswerHead, (told, complete): (Option<ByteRange>, Option<u64>)) {
    match decide(asked, answer) {
        Append::Proven(part) | Append::Unproven(part) => {
            let (taken, told) = (part.range, told.expect("a part has a Content-Range"));
            assert!(taken.start() == told.start() && taken.end() <= told.end());
            assert!(
                taken.contains(asked.start) || taken.end() == asked.start && complete == Some(asked.start)
            );
            assert!(answer.length.known().is_none_or(|length| taken.len() <= length));
            assert!(asked.end.is_none_or(|end| taken.end() <= end));
            assert!(part.complete.is_none_or(|complete| taken.end() <= complete));
        }
        Append::Whole { complete, .. } => {
            assert_eq!((answer.status, complete), (200, answer.length.known()));
        }
        Append::Complete { proof } => {
            assert!(complete == Some(asked.start) && proof != Proof::Different);
        }
        Append::Restart(_) | Append::Refused(_) => {}
    }
}

/// The value of If-Match, If-None-Match or If-Range.
pub(crate) fn entity_tags(data: &[u8]) {
    if let Some(tag) = EntityTag::parse(data) {
        assert_eq!(EntityTag::parse(tag.as_bytes()).as_ref(), Some(&tag));
        assert!(tag.weak_eq(&tag) && tag.strong_eq(&tag) != tag.is_weak());
    }
    let lines: Vec<_> = data.split(|byte| *byte == b'\n').collect();
    let list = EntityTagList::parse(lines.iter().copied());
    if let EntityTagList::Tags(tags) = &list {
        assert!(tags.iter().all(|tag| list.contains_weak(tag)));
        assert!(tags.iter().all(|tag| list.contains_strong(tag) != tag.is_weak()));
    }
    let _ = IfRange::parse(data);
    if let Ok(name) = std::str::from_utf8(data) {
        let written = ContentDisposition::attachment(name).to_string();
        assert!(written.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{written:?}");
    }
}

/// An HTTP-date.
pub(crate) fn dates(data: &[u8]) {
    if let Some(date) = HttpDate::parse(data) {
        let written = date.to_string();
        assert_eq!((written.len(), written.parse()), (29, Ok(date)));
    }
    let (seconds, _) = take_u64(data);
    if let Some(date) = HttpDate::from_unix(seconds as i64) {
        assert_eq!(date.to_string().parse(), Ok(date));
    }
}

/// A multipart/byteranges body: its first byte says into which pieces it is cut.
pub(crate) fn multipart(data: &[u8]) {
    let [step, body @ ..] = data else { return };
    let whole = read_parts(body, body.len().max(1));
    assert_eq!(read_parts(body, usize::from(*step).max(1)), whole, "the cuts make no difference");
    let _ = MultipartReader::new(body, MultipartLimits::default());
}

type Parts = Vec<(ByteRange, Vec<u8>)>;

fn read_parts(body: &[u8], step: usize) -> Option<Parts> {
    let limits = MultipartLimits { max_head: 256, max_parts: 8 };
    let mut reader = MultipartReader::new(b"multipart/byteranges; boundary=x", limits).expect("a boundary");
    let mut parts: Parts = Vec::new();
    for mut input in body.chunks(step) {
        while let Some(event) = reader.next(&mut input).ok()? {
            match event {
                MultipartEvent::Part { range, .. } => parts.push((range, Vec::new())),
                MultipartEvent::Data { at, bytes } => {
                    let (range, data) = parts.last_mut().expect("data belongs to a part");
                    assert_eq!(range.first() + data.len() as u64, at);
                    data.extend_from_slice(bytes);
                    assert!(data.len() as u64 <= range.len());
                }
                MultipartEvent::End => {}
            }
        }
    }
    reader.finish().ok()?;
    assert!(parts.iter().all(|(range, data)| data.len() as u64 == range.len()));
    Some(parts)
}

/// A whole request: a length, then lines of fields, each a letter for its name and a value.
pub(crate) fn plan_request(data: &[u8]) {
    let (len, rest) = take_u64(data);
    let [method, lines @ ..] = rest else { return };
    let method = [MethodKind::Get, MethodKind::Head, MethodKind::Other][usize::from(*method % 3)];
    let field = |line: &'_ [u8]| {
        let (letter, value) = line.split_first()?;
        Some((*NAMES.get(usize::from(letter.wrapping_sub(b'a')))?, value.to_vec()))
    };
    let fields: Vec<_> = lines.split(|byte| *byte == b'\n').filter_map(field).collect();
    let representation = Representation::new(len)
        .with_etag(EntityTag::strong("now"))
        .with_last_modified(HttpDate::from_unix(1_700_000_000))
        .with_settled(true)
        .with_content_type("text/plain");
    let plan = plan(&(method, &fields[..]), &representation, &Policy::new());
    let segments = plan.segments().map(|segment| match segment {
        Segment::Bytes(text) => text.len() as u64,
        Segment::Source(range) => {
            assert!(range.end() <= len);
            range.len()
        }
    });
    assert_eq!(segments.sum::<u64>(), plan.body().len());
    assert!(plan.body().len() <= len);
    let content_range =
        plan.header("content-range").map(|value| ContentRange::parse(value).expect("our own"));
    match (plan.status(), content_range) {
        (206, Some(ContentRange::Range { range, complete: Some(complete) })) => {
            assert_eq!((plan.content_length(), complete), (Some(range.len()), len));
        }
        (206, None) => {
            assert!(plan.header("content-type").is_some_and(|value| value.starts_with(b"multipart/")));
        }
        (416, Some(ContentRange::Unsatisfied { complete })) => assert_eq!(complete, len),
        (200, None) => assert_eq!(plan.content_length(), Some(len)),
        (304, None) => assert_eq!(plan.content_length(), None),
        (405 | 412, None) => assert!(plan.body().is_empty()),
        other => panic!("{other:?}"),
    }
}

const NAMES: [&str; 6] =
    ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];

/// A number from the first eight bytes: small, large, or close to the largest.
fn take_u64(data: &[u8]) -> (u64, &[u8]) {
    match data.split_first_chunk() {
        Some((bytes, rest)) => (u64::from_le_bytes(*bytes), rest),
        None => (1_000, data),
    }
}
