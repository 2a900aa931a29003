//! What holds for every input.

mod support;

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use range_http::client::{MultipartEvent, MultipartLimits, MultipartReader};
use range_http::{
    ByteRange, ByteRangeSpec, ContentRange, EntityTag, EntityTagList, HttpDate, IfRange, Limits, Plan,
    Policy, RangeHeader, Reason, Representation, Resolved, Segment,
};
use support::{content, field, get_with, write_body};

fn spec(most: u64) -> impl Strategy<Value = ByteRangeSpec> {
    prop_oneof![
        (0..most).prop_map(|first| ByteRangeSpec::From { first }),
        (0..most, 0..most).prop_map(|(a, b)| ByteRangeSpec::FromTo { first: a.min(b), last: a.max(b) }),
        (0..most).prop_map(|len| ByteRangeSpec::Suffix { len }),
    ]
}

/// Positions and lengths where arithmetic breaks, as well as ordinary ones.
fn any_length() -> impl Strategy<Value = u64> {
    prop_oneof![0..20u64, any::<u64>(), (0..20u64).prop_map(|below| u64::MAX - below)]
}

fn written(specs: &[ByteRangeSpec]) -> String {
    format!("bytes={}", specs.iter().map(ToString::to_string).collect::<Vec<_>>().join(","))
}

/// The positions a range-spec selects, straight from the words of §14.1.2, one byte at a time.
fn selects(spec: ByteRangeSpec, position: u64, len: u64) -> bool {
    position < len
        && match spec {
            ByteRangeSpec::From { first } => first <= position,
            ByteRangeSpec::FromTo { first, last } => first <= position && position <= last,
            ByteRangeSpec::Suffix { len: suffix } => len - position <= suffix,
        }
}

fn limits(gap: u64) -> Limits {
    Limits { max_specs: 1_000, max_parts: 1_000, coalesce_gap: gap, ..Limits::new() }
}

fn ranges_of(plan: &Plan) -> Vec<Range<u64>> {
    let range = |segment| match segment {
        Segment::Source(range) => Some(range.into()),
        Segment::Bytes(_) => None,
    };
    plan.segments().filter_map(range).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_written_set_is_read_back(specs in vec(spec(u64::MAX), 1..50)) {
        let text = written(&specs);
        let header = RangeHeader::parse(text.as_bytes(), 50).unwrap();
        prop_assert_eq!(header.count(), specs.len());
        prop_assert_eq!(header.specs().collect::<Vec<_>>(), specs);
    }

    #[test]
    fn what_resolves_lies_within_the_representation(specs in vec(spec(u64::MAX), 1..20), len in any_length()) {
        let text = written(&specs);
        match RangeHeader::parse(text.as_bytes(), 20).unwrap().resolve(len, &limits(0)) {
            Resolved::Single(range) => prop_assert!(range.end() <= len),
            Resolved::Multi(ranges) => {
                prop_assert!(ranges.iter().all(|range| range.end() <= len));
                prop_assert!(ranges.bytes() <= len);
            }
            _ => {}
        }
    }

    #[test]
    fn exactly_the_bytes_asked_for_are_selected(specs in vec(spec(60), 1..8), len in 1..50u64) {
        // Small positions, a large overhead for parts: widen the representation so that several ranges are served.
        let (scale, len) = (1_000, len * 1_000);
        let specs: Vec<_> = specs.into_iter().map(|spec| match spec {
            ByteRangeSpec::From { first } => ByteRangeSpec::From { first: first * scale },
            ByteRangeSpec::FromTo { first, last } => ByteRangeSpec::FromTo { first: first * scale, last: last * scale },
            ByteRangeSpec::Suffix { len } => ByteRangeSpec::Suffix { len: len * scale },
        }).collect();
        let text = written(&specs);
        let resolved = RangeHeader::parse(text.as_bytes(), 8).unwrap().resolve(len, &limits(0));
        let ranges = match resolved {
            Resolved::Single(range) => vec![range],
            Resolved::Multi(set) => set.as_slice().to_vec(),
            Resolved::Unsatisfiable => Vec::new(),
            other => {
                prop_assert_eq!(other, Resolved::Full(Reason::Inefficient));
                return Ok(());
            }
        };
        // Neighbours of every edge decide; between them nothing changes.
        for position in (0..len).filter(|position| position % scale < 2 || position % scale == scale - 1) {
            let asked = specs.iter().any(|spec| selects(*spec, position, len));
            let served = ranges.iter().filter(|range| range.contains(position)).count();
            prop_assert_eq!(served, usize::from(asked), "{} of {} at {}", text, len, position);
        }
    }

    #[test]
    fn an_answer_is_as_long_as_it_says_and_never_longer_than_the_representation(
        specs in vec(spec(5_000), 1..40),
        len in 0..5_000u64,
        gap in 0..300u64,
    ) {
        let policy = Policy::new().with_limits(limits(gap));
        let representation = Representation::new(len).with_content_type("text/plain");
        let plan = get_with(&[("range", &written(&specs))], &representation, &policy);
        let segments: u64 = plan.segments().map(|segment| match segment {
            Segment::Bytes(text) => text.len() as u64,
            Segment::Source(range) => range.len(),
        }).sum();
        prop_assert_eq!(plan.content_length(), Some(segments));
        prop_assert_eq!(plan.body().len(), segments);
        prop_assert!(segments <= len);
        prop_assert_eq!(plan.headers().filter(|(name, _)| *name == "content-length").count(), 1);
    }

    #[test]
    fn a_representation_served_in_pieces_is_put_together_again(
        cuts in vec(1..9_999u64, 1..6),
        step in 1..4_000usize,
        key: u128,
    ) {
        let bytes = content(10_000);
        let mut cuts: Vec<_> = [0, 10_000].into_iter().chain(cuts).collect();
        cuts.sort_unstable();
        cuts.dedup();
        // Every other piece first, then the rest: two requests, several parts each.
        let pieces: Vec<_> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let mut copy = vec![0u8; bytes.len()];
        for turn in 0..2 {
            let specs: Vec<_> = pieces.iter().skip(turn).step_by(2).map(|(start, end)| {
                ByteRangeSpec::FromTo { first: *start, last: end - 1 }
            }).collect();
            if specs.is_empty() {
                continue;
            }
            let policy = Policy::new().with_limits(limits(0)).with_boundary_key(key);
            let plan = get_with(&[("range", &written(&specs))], &support::representation(10_000), &policy);
            let body = write_body(plan.body(), &bytes);
            match field(&plan, "content-type").unwrap() {
                "text/plain" => {
                    let at = ranges_of(&plan)[0].start as usize;
                    copy[at..at + body.len()].copy_from_slice(&body);
                }
                multipart => {
                    let mut reader = MultipartReader::new(multipart.as_bytes(), MultipartLimits::default()).unwrap();
                    for mut input in body.chunks(step) {
                        while let Some(event) = reader.next(&mut input).unwrap() {
                            if let MultipartEvent::Data { at, bytes } = event {
                                copy[at as usize..at as usize + bytes.len()].copy_from_slice(bytes);
                            }
                        }
                    }
                    reader.finish().unwrap();
                }
            }
        }
        prop_assert_eq!(copy, bytes);
    }

    #[test]
    fn content_range_is_written_and_read_back(first in any_length(), more in any_length(), complete in any::<Option<u64>>()) {
        let range = ByteRange::from_positions(first, first.saturating_add(more)).unwrap();
        let complete = complete.map(|complete| complete.max(range.last()).saturating_add(1)).filter(|c| *c > range.last());
        let content_range = ContentRange::Range { range, complete };
        prop_assert_eq!(content_range.to_string().parse(), Ok(content_range));
        prop_assert!(content_range.to_string().len() <= 68);
    }

    #[test]
    fn dates_are_written_and_read_back(seconds in -62_167_219_200..=253_402_300_799i64) {
        let date = HttpDate::from_unix(seconds).unwrap();
        prop_assert_eq!(date.to_string().len(), 29);
        prop_assert_eq!(date.to_string().parse(), Ok(date));
    }

    #[test]
    fn no_field_value_makes_a_parser_panic(value in vec(any::<u8>(), 0..200)) {
        let _ = RangeHeader::parse(&value, 64).map(|header| header.resolve(1_000, &Limits::new()));
        let _ = ContentRange::parse(&value);
        let _ = HttpDate::parse(&value);
        let _ = IfRange::parse(&value);
        let _ = EntityTagList::parse([&value[..]]);
        if let Some(tag) = EntityTag::parse(&value) {
            prop_assert_eq!(EntityTag::parse(tag.as_bytes()), Some(tag));
        }
    }

    #[test]
    fn no_request_makes_a_plan_that_contradicts_itself(
        range in "(bytes|lines)?=?[-0-9, ]{0,20}",
        conditions in vec(("if-(match|none-match|range|modified-since)", "(W/)?\"?(now|x)?\"?|\\*"), 0..3),
        len in any_length(),
    ) {
        let fields: Vec<_> = conditions.iter().map(|(name, value)| (name.as_str(), value.as_str()))
            .chain([("range", range.as_str())]).collect();
        let plan = get_with(&fields, &support::representation(len), &Policy::new());
        let content_range = field(&plan, "content-range").map(|value| ContentRange::parse(value.as_bytes()).unwrap());
        let multipart = field(&plan, "content-type").is_some_and(|value| value.starts_with("multipart/"));
        match (plan.status(), content_range) {
            (206, Some(ContentRange::Range { range, complete })) => {
                prop_assert_eq!((ranges_of(&plan), complete, multipart), (vec![range.into()], Some(len), false));
            }
            (206, None) => prop_assert!(multipart && ranges_of(&plan).len() > 1),
            (416, Some(ContentRange::Unsatisfied { complete })) => prop_assert_eq!(complete, len),
            (200 | 304 | 412, None) => prop_assert!(!multipart),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
