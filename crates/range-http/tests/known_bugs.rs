//! Mistakes that were made elsewhere and shall not be made here.

mod support;

use range_http::client::{
    AnswerHead, Append, Asked, Cause, MultipartEvent, MultipartLimits, MultipartReader, decide,
};
use range_http::{
    ByteRange, ByteRangeSpec, ContentRange, EntityTag, Limits, Multi, Policy, RangeHeader, Reason,
    Representation, Resolved,
};
use support::{BEFORE, TAG, field, get, get_with, head, outcome, range_of_10, representation};

/// CVE-2011-3192 (Apache httpd), CVE-2018-15756 (Spring): one buffer per overlapping range.
#[test]
fn overlapping_ranges_are_never_served_twice() {
    let killer = format!("bytes=0-,{}", (0..1300).map(|end| format!("5-{end},")).collect::<String>());
    assert_eq!(outcome(&get(&[("range", &killer)], 10_000)), (200, None));
    let few = format!("bytes=0-,{}", (5..40).map(|end| format!("5-{end},")).collect::<String>());
    let plan = get(&[("range", &few)], 10_000);
    assert_eq!(outcome(&plan), (206, Some("bytes 0-9999/10000")), "what is few enough becomes one range");
}

/// CVE-2015-1635 (HTTP.sys), and panics of http-serve and warp: last-pos + 1 overflows.
#[test]
fn the_largest_last_pos_is_cut_before_anything_is_added() {
    for first in [0, 1, 18] {
        let plan = get(&[("range", &format!("bytes={first}-18446744073709551615"))], 1_000);
        assert_eq!(outcome(&plan), (206, Some(&*format!("bytes {first}-999/1000"))));
    }
    assert_eq!(
        ContentRange::parse(b"bytes 0-18446744073709551615/*").map(|range| range.to_string()).as_deref(),
        Ok("bytes 0-18446744073709551615/*")
    );
}

/// CVE-2017-7529 (nginx): the sum of suffixes overflowed.
#[test]
fn sums_of_huge_ranges_do_not_overflow() {
    let value = format!("bytes={}", "-18446744073709551615,".repeat(60));
    assert_eq!(outcome(&get(&[("range", &value)], u64::MAX)).0, 206);
    let apart = "bytes=0-9223372036854775806,9223372036854775900-18446744073709551614";
    let limits = Limits { coalesce_gap: 0, ..Limits::new() };
    let resolved = RangeHeader::parse(apart.as_bytes(), 64).unwrap().resolve(u64::MAX, &limits);
    assert_eq!(resolved, Resolved::Full(Reason::Inefficient));
}

/// RangeAmp (DSN 2020), CVE-2024-26141 (Rack), nginx#988: answers many times the size of the file.
#[test]
fn no_answer_is_longer_than_the_representation() {
    let copies = format!("bytes={}", "0-9999,".repeat(50));
    let tiny = format!("bytes={}", (0..30).map(|n| format!("{0}-{0},", n * 300)).collect::<String>());
    let large =
        format!("bytes={}", (0..25).map(|n| format!("{}-{},", n * 400, n * 400 + 269)).collect::<String>());
    let long_type = representation(10_000).with_content_type("x".repeat(100));
    for (value, representation, reason) in [
        (&copies, representation(10_000), Reason::SingleRange),
        (&tiny, representation(10_000), Reason::SeveralRanges),
        (&large, representation(10_000), Reason::SeveralRanges),
        (&large, long_type, Reason::Inefficient),
    ] {
        let plan = get_with(&[("range", value)], &representation, &Policy::new());
        assert_eq!(plan.reason(), reason);
        assert!(plan.content_length().unwrap() <= 10_000, "{:?}", plan.content_length());
    }
}

/// CVE-2025-24813 (Tomcat): a partial PUT by Content-Range.
#[test]
fn content_range_in_a_request_is_never_acted_on() {
    let fields = [("content-range", "bytes 0-4/10"), ("range", "bytes=0-4")];
    assert_eq!(outcome(&get(&fields, 10)), (206, Some("bytes 0-4/10")), "only Range counts");
}

/// CVE-2025-62727 (Starlette), http-range-header: merging in quadratic time.
#[test]
fn a_hundred_thousand_ranges_are_merged_at_once() {
    let limits = Limits { max_specs: usize::MAX, max_parts: usize::MAX, coalesce_gap: 0, ..Limits::new() };
    let value: String =
        (0..100_000u64).rev().map(|part| format!("{}-{},", part * 200, part * 200 + 99)).collect();
    let value = format!("bytes={value}");
    let header = RangeHeader::parse(value.as_bytes(), usize::MAX).unwrap();
    let Resolved::Multi(ranges) = header.resolve(20_000_000, &limits) else { panic!("100,000 parts fit") };
    assert_eq!(
        (ranges.as_slice().len(), ranges.as_slice()[0].start()),
        (100_000, 19_999_800),
        "in request order"
    );
    let limits = Limits { coalesce_gap: 100, ..limits };
    assert_eq!(header.resolve(20_000_000, &limits), Resolved::Single(ByteRange::new(0, 19_999_900).unwrap()));
}

/// CVE-2026-34826 (Rack): thousands of `0-0` below the guard on the sum.
#[test]
fn ranges_are_counted_before_they_are_added_up() {
    let plan = get(&[("range", &format!("bytes={}", "0-0,".repeat(5_000)))], 10_000);
    assert_eq!(plan.reason(), Reason::TooManyRanges);
}

/// actix-files 0.6.10: an empty value panicked.
#[test]
fn an_empty_or_binary_value_is_only_malformed() {
    for value in [&b""[..], b" ", b"\xff\xfe", b"bytes=\xff-", b"=", b"bytes=\0-\0"] {
        assert!(RangeHeader::parse(value, 64).is_err(), "{value:?}");
    }
    assert_eq!(outcome(&range_of_10("")), (200, None));
}

/// actix-files, hyper-staticfile: `-5` of an empty file is start 0, end -1.
#[test]
fn a_suffix_of_an_empty_file_is_the_empty_file() {
    assert_eq!(outcome(&get(&[("range", "bytes=-5")], 0)), (200, None));
    assert_eq!(ByteRangeSpec::Suffix { len: 5 }.resolve(0), None);
}

/// tower-http: 206 with `bytes 0-0/0` for an empty file.
#[test]
fn an_empty_range_cannot_be_written() {
    assert_eq!(ByteRange::new(0, 0), None);
    assert_eq!(ContentRange::range(ByteRange::new(0, 1).unwrap(), 0), None);
}

/// axum#3810: an end of zero meant "to the end".
#[test]
fn zero_is_a_position_like_any_other() {
    assert_eq!(outcome(&range_of_10("bytes=0-0")), (206, Some("bytes 0-0/10")));
}

/// golang/go#15798, hyper-staticfile: 416 without Content-Range. Starlette: `*/10` without a unit.
#[test]
fn every_416_tells_the_length_with_its_unit() {
    for value in ["bytes=10-", "bytes=5-4", "bytes=-0"] {
        assert_eq!(outcome(&range_of_10(value)), (416, Some("bytes */10")), "{value}");
    }
}

/// twisted#3814, connect#436: Content-Length of the range as asked, not as served.
#[test]
fn content_length_counts_what_is_sent() {
    for (value, length) in [("bytes=5-100", 5), ("bytes=-100", 10), ("bytes=5-", 5)] {
        assert_eq!(range_of_10(value).content_length(), Some(length), "{value}");
    }
}

/// caddy#5849: Vary missing on 206 and 304.
#[test]
fn vary_is_on_every_answer_that_has_the_representation() {
    let varied = representation(10).with_field("vary", "accept-encoding");
    for (fields, status) in [
        (&[][..], 200),
        (&[("range", "bytes=0-4")], 206),
        (&[("range", "bytes=0-4"), ("if-range", TAG)], 206),
        (&[("if-none-match", TAG)], 304),
    ] {
        let plan = get_with(fields, &varied, &Policy::new());
        assert_eq!((plan.status(), field(&plan, "vary")), (status, Some("accept-encoding")));
    }
}

/// tower-http#416, express/compression#185, envoy#28828, starlette#3420, bandit#677: a compressed 206. Compression
/// layers leave alone what has a Content-Range; a multipart answer is told apart by its type.
#[test]
fn a_206_can_be_told_by_layers_that_would_compress_it() {
    let one = get(&[("range", "bytes=0-4")], 10_000);
    let several = get(&[("range", "bytes=0-4,5000-5004")], 10_000);
    assert!(one.header("content-range").is_some());
    assert!(field(&several, "content-type").unwrap().starts_with("multipart/byteranges"));
}

/// dormice#86, huggingface_hub#4143, aria2-next#43: a server that ignores If-Range, a client that believes it was honoured.
#[test]
fn if_range_is_checked_on_both_sides() {
    assert_eq!(outcome(&get(&[("range", "bytes=5-"), ("if-range", "\"old\"")], 10)), (200, None));
    let old = EntityTag::strong("old");
    let asked = Asked { start: 5, ranged: true, complete: Some(10), etag: old.as_ref(), ..Asked::default() };
    let fields = [("content-range", &b"bytes 5-9/10"[..]), ("etag", TAG.as_bytes())];
    let spliced = AnswerHead::read(206, fields);
    assert_eq!(decide(&asked, &spliced), Append::Restart(Cause::ValidatorChanged));
}

/// headers, aiohttp, warp: If-Range by "not modified since" instead of equality.
#[test]
fn if_range_takes_no_date_but_the_same() {
    assert_eq!(outcome(&get(&[("range", "bytes=5-"), ("if-range", support::AFTER)], 10)), (200, None));
    assert_eq!(outcome(&get(&[("range", "bytes=5-"), ("if-range", BEFORE)], 10)), (200, None));
}

/// Go, nginx, Apache, tower-http: 206 to HEAD.
#[test]
fn head_tells_the_length_of_the_whole() {
    assert_eq!(head(&[("range", "bytes=0-4")], 10).content_length(), Some(10));
}

/// http-serve: a part `1000-999` for a suffix of nothing.
#[test]
fn a_part_of_nothing_is_left_out() {
    assert_eq!(outcome(&get(&[("range", "bytes=0-4,-0")], 1_000)), (206, Some("bytes 0-4/1000")));
}

/// Starlette: lines that end in LF, and the type of the parts in the wrong field.
#[test]
fn parts_are_written_as_they_are_read() {
    let bytes = support::content(1_000);
    let plan = get(&[("range", "bytes=0-0,900-901")], 1_000);
    let body = support::write_body(plan.body(), &bytes);
    let lines = String::from_utf8_lossy(&body).replace("\r\n", "");
    assert!(!lines.contains(['\r', '\n']), "{lines:?}");
    let content_type = field(&plan, "content-type").unwrap();
    let mut reader = MultipartReader::new(content_type.as_bytes(), MultipartLimits::default()).unwrap();
    let mut read = Vec::new();
    let mut input = &body[..];
    while let Some(event) = reader.next(&mut input).unwrap() {
        if let MultipartEvent::Data { at, bytes } = event {
            read.push((at, bytes.to_vec()));
        }
    }
    assert_eq!(reader.finish(), Ok(()));
    assert_eq!(read, [(0, bytes[..1].to_vec()), (900, bytes[900..902].to_vec())]);
}

/// http-serve: a fixed boundary that content can hold.
#[test]
fn the_boundary_differs_between_processes() {
    let boundary = |policy: &Policy| {
        let plan = get_with(&[("range", "bytes=0-0,-1")], &representation(10_000), policy);
        field(&plan, "content-type").unwrap().to_string()
    };
    assert_ne!(boundary(&Policy::new().with_boundary_key(1)), boundary(&Policy::new().with_boundary_key(2)));
    #[cfg(feature = "std")]
    assert_ne!(Policy::default().boundary_key, 0);
}

/// caddy#1531: weak tags in If-Match. hyper-staticfile: weak tags in If-Range.
#[test]
fn weak_tags_never_guard_a_splice() {
    let weak = Representation::new(10).with_etag(EntityTag::weak("now"));
    for name in ["if-match", "if-range"] {
        let plan = get_with(&[("range", "bytes=0-4"), (name, "W/\"now\"")], &weak, &Policy::new());
        assert_ne!(plan.status(), 206, "{name}");
    }
}

/// Media players: a first range of a set, for servers that send no multipart.
#[test]
fn the_first_satisfiable_range_can_be_served_alone() {
    let first = Policy::new().with_multi(Multi::First);
    let plan = get_with(&[("range", "bytes=50-,2-3,0-0")], &representation(10), &first);
    assert_eq!((outcome(&plan), plan.reason()), ((206, Some("bytes 2-3/10")), Reason::FirstRange));
    let none = get_with(&[("range", "bytes=50-,60-")], &representation(10), &first);
    assert_eq!(outcome(&none), (416, Some("bytes */10")));
    let ignore = Policy::new().with_multi(Multi::Ignore);
    let plan = get_with(&[("range", "bytes=0-0,5-5")], &representation(10), &ignore);
    assert_eq!(plan.reason(), Reason::SeveralRangesIgnored);
}
