//! The rules of RFC 9110 on ranges and preconditions, N1 to N24, each under its section.

mod support;

use range_http::client::{AnswerHead, Append, Asked, decide};
use range_http::{
    ByteRange, ContentRange, ContentRangeError, EntityTag, Limits, MethodKind, OnEmpty, OnInvalid, Plan,
    Policy, RangeHeader, Reason, Representation, plan,
};
use support::{
    AFTER, BEFORE, TAG, THEN, content, field, get, get_with, head, outcome, range_of_10, representation,
    write_body,
};

/// §14.1, §14.2
#[test]
fn n01_units_are_case_insensitive_and_unknown_ones_are_ignored() {
    for value in ["bytes=0-4", "Bytes=0-4", "BYTES=0-4"] {
        assert_eq!(outcome(&range_of_10(value)), (206, Some("bytes 0-4/10")), "{value}");
    }
    for value in ["lines=0-4", "exampleunit=1.2-4.3", "items=5000-", "pages=cover"] {
        let plan = range_of_10(value);
        assert_eq!((outcome(&plan), plan.reason()), ((200, None), Reason::UnknownUnit), "{value}");
    }
}

/// §14.2
#[test]
fn n02_range_is_for_get_only() {
    for fields in [&[("Range", "bytes=0-4")][..], &[("Range", "bytes=50-")], &[("Range", "bytes=0-0,5-6")]] {
        let plan = head(fields, 10);
        assert_eq!((outcome(&plan), plan.content_length()), ((200, None), Some(10)), "{fields:?}");
        assert!(plan.body().is_empty(), "HEAD has no body");
        assert_eq!(plan.reason(), Reason::MethodIgnoresRange);
    }
    let with_if_range = head(&[("Range", "bytes=0-4"), ("If-Range", "\"other\"")], 10);
    assert_eq!(with_if_range.reason(), Reason::MethodIgnoresRange, "If-Range means nothing there either");
    for value in ["bytes=0-4", "bytes=5000-"] {
        let plan = plan(&(MethodKind::Other, &[("Range", value)][..]), &representation(10), &Policy::new());
        assert_eq!((plan.status(), field(&plan, "allow")), (405, Some("GET, HEAD")), "never 206 nor 416");
    }
}

/// §14.1.1, §14.2
#[test]
fn n03_one_invalid_range_spec_makes_the_set_invalid() {
    for value in ["bytes=0-4,x", "bytes=x-,0-4", "bytes=0-4,-", "bytes=0-4,5-3", "bytes=", "bytes", ""] {
        let plan = range_of_10(value);
        assert_eq!((outcome(&plan), plan.reason()), ((200, None), Reason::Malformed), "{value}: ignored");
        let reject = Policy::new().with_malformed(OnInvalid::Reject);
        let plan = get_with(&[("Range", value)], &representation(10), &reject);
        assert_eq!(outcome(&plan), (416, Some("bytes */10")), "{value}: or rejected");
    }
}

/// §14.1.1
#[test]
fn n04_a_last_pos_before_its_first_pos_is_invalid() {
    let plan = range_of_10("bytes=5-4");
    assert_eq!((outcome(&plan), plan.reason()), ((416, Some("bytes */10")), Reason::Inverted));
    let ignore = Policy::new().with_inverted(OnInvalid::Ignore);
    assert_eq!(outcome(&get_with(&[("Range", "bytes=5-4")], &representation(10), &ignore)), (200, None));
}

/// §14.1.2
#[test]
fn n05_what_reaches_past_the_end_is_cut_at_the_end() {
    for (value, expected) in [
        ("bytes=3-", "bytes 3-9/10"),
        ("bytes=3-10", "bytes 3-9/10"),
        ("bytes=3-99999", "bytes 3-9/10"),
        ("bytes=-3", "bytes 7-9/10"),
        ("bytes=-10", "bytes 0-9/10"),
        ("bytes=-11", "bytes 0-9/10"),
    ] {
        assert_eq!(outcome(&range_of_10(value)), (206, Some(expected)), "{value}");
    }
}

/// §14.1.2
#[test]
fn n06_a_range_is_satisfiable_if_it_overlaps_the_representation() {
    for value in ["bytes=10-", "bytes=10-10", "bytes=11-99", "bytes=-0", "bytes=10-,-0"] {
        let plan = range_of_10(value);
        assert_eq!(
            (outcome(&plan), plan.reason()),
            ((416, Some("bytes */10")), Reason::Unsatisfiable),
            "{value}"
        );
    }
    let strict = Policy::new().with_empty(OnEmpty::Strict);
    for (value, status) in [("bytes=-1", 200), ("bytes=-0", 416), ("bytes=0-", 416), ("bytes=0-0", 416)] {
        let plan = get_with(&[("Range", value)], &representation(0), &strict);
        assert_eq!(plan.status(), status, "{value} of an empty representation");
    }
}

/// §14.2
#[test]
fn n07_an_empty_representation_answers_every_range_with_itself() {
    for value in ["bytes=0-", "bytes=0-128", "bytes=-5", "bytes=-0", "bytes=5-4", "bytes=x", "bytes=0-0,5-5"]
    {
        let plan = get(&[("Range", value)], 0);
        assert_eq!((outcome(&plan), plan.content_length()), ((200, None), Some(0)), "{value}");
    }
}

/// §14.1.2
#[test]
fn n08_numbers_of_any_size_neither_overflow_nor_fail() {
    let nines = "9".repeat(500);
    for (value, expected) in [
        ("bytes=2-18446744073709551615".to_string(), (206, Some("bytes 2-9/10"))),
        ("bytes=0-9223372036854775808".to_string(), (206, Some("bytes 0-9/10"))),
        (format!("bytes=2-{nines}"), (206, Some("bytes 2-9/10"))),
        (format!("bytes=-{nines}"), (206, Some("bytes 0-9/10"))),
        (format!("bytes={nines}-"), (416, Some("bytes */10"))),
        ("bytes=18446744073709551616-18446744073709551620".to_string(), (416, Some("bytes */10"))),
        ("bytes=18446744073709551615-".to_string(), (416, Some("bytes */10"))),
    ] {
        assert_eq!(outcome(&range_of_10(&value)), expected, "{value}");
    }
    let longest = get(&[("Range", "bytes=18446744073709551614-")], u64::MAX);
    let expected = "bytes 18446744073709551614-18446744073709551614/18446744073709551615";
    assert_eq!(outcome(&longest), (206, Some(expected)));
}

/// §5.6.1
#[test]
fn n09_empty_list_members_and_space_around_commas_are_ignored() {
    for value in ["bytes=,1-2", "bytes=1-2,", "bytes=1-2, , ,\t", "bytes=,,1-2 ,", "bytes=1-2\t"] {
        assert_eq!(outcome(&range_of_10(value)), (206, Some("bytes 1-2/10")), "{value}");
    }
    assert_eq!(range_of_10("bytes=,,,").reason(), Reason::Malformed, "nothing but empty members is no set");
    assert_eq!(range_of_10(&format!("bytes={}1-2", ",".repeat(1_000))).reason(), Reason::TooManyRanges);
}

/// §14.1.2, erratum 7306
#[test]
fn n10_space_after_the_equals_sign_is_accepted() {
    assert_eq!(outcome(&range_of_10("bytes= 1-2")), (206, Some("bytes 1-2/10")));
    assert_eq!(outcome(&range_of_10("bytes=\t1-2")), (206, Some("bytes 1-2/10")));
    assert_eq!(get(&[("Range", "bytes= 0-999, 4500-5499, -1000")], 10_000).reason(), Reason::SeveralRanges);
}

/// §13.2.2
#[test]
fn n11_preconditions_are_evaluated_before_the_range_and_in_order() {
    let range = ("Range", "bytes=0-4");
    let beyond = ("Range", "bytes=5000-");
    for (fields, status, because) in [
        (&[range, ("If-Match", TAG)][..], 206, "If-Match holds"),
        (&[range, ("If-Match", "\"old\"")], 412, "If-Match fails"),
        (&[beyond, ("If-Match", "\"old\"")], 412, "412 before 416"),
        (&[beyond, ("If-Match", TAG)], 416, "then the range"),
        (&[range, ("If-Match", TAG), ("If-Unmodified-Since", BEFORE)], 206, "If-Match wins"),
        (&[range, ("If-Unmodified-Since", BEFORE)], 412, "changed since"),
        (&[range, ("If-Unmodified-Since", THEN)], 206, "equal is unmodified"),
        (&[range, ("If-None-Match", TAG)], 304, "304 wins over a valid range"),
        (&[beyond, ("If-None-Match", TAG)], 304, "and over an unsatisfiable one"),
        (&[range, ("If-None-Match", "\"old\""), ("If-Modified-Since", AFTER)], 206, "If-None-Match wins"),
        (&[range, ("If-Modified-Since", THEN)], 304, "not modified since"),
        (&[range, ("If-Modified-Since", THEN), ("If-Range", TAG)], 304, "decided before If-Range"),
        (&[range, ("If-Match", "\"old\""), ("If-Range", TAG)], 412, "If-Match first"),
        (
            &[range, ("If-None-Match", "\"old\""), ("If-Range", "\"old\"")],
            200,
            "then If-Range drops the range",
        ),
        (
            &[
                range,
                ("If-Match", "*"),
                ("If-Unmodified-Since", BEFORE),
                ("If-None-Match", "\"old\""),
                ("If-Modified-Since", THEN),
                ("If-Range", TAG),
            ],
            206,
            "every field at once, each at its step",
        ),
    ] {
        assert_eq!(get(fields, 10).status(), status, "{fields:?}: {because}");
    }
}

/// §13.2.1, §14.2
#[test]
fn n12_conditions_and_ranges_are_ignored_where_the_plain_answer_is_an_error() {
    let fields = [("Range", "bytes=0-4"), ("If-Match", "\"old\""), ("If-None-Match", "*")];
    let plan = plan(&(MethodKind::Other, &fields[..]), &representation(10), &Policy::new());
    assert_eq!((plan.status(), plan.reason()), (405, Reason::MethodNotAllowed));
}

/// §13.1.5, §8.8.2.2
#[test]
fn n13_if_range_needs_the_same_strong_validator() {
    let with = |if_range| get(&[("Range", "bytes=0-4"), ("If-Range", if_range)], 10);
    for if_range in [TAG, THEN] {
        assert_eq!(outcome(&with(if_range)), (206, Some("bytes 0-4/10")), "{if_range}");
    }
    for (if_range, reason) in [
        ("W/\"now\"", Reason::IfRangeTagDiffers),
        ("\"old\"", Reason::IfRangeTagDiffers),
        (BEFORE, Reason::IfRangeDateDiffers),
        (AFTER, Reason::IfRangeDateDiffers),
        ("w/\"now\"", Reason::IfRangeInvalid),
        ("\"now", Reason::IfRangeInvalid),
        ("Thu, 33 Jan 1970 00:00:00 GMT", Reason::IfRangeInvalid),
        ("", Reason::IfRangeInvalid),
    ] {
        let plan = with(if_range);
        assert_eq!((outcome(&plan), plan.reason()), ((200, None), reason), "{if_range}");
    }
    let fresh = representation(10).with_settled(false);
    let plan = get_with(&[("Range", "bytes=0-4"), ("If-Range", THEN)], &fresh, &Policy::new());
    assert_eq!(plan.reason(), Reason::IfRangeDateWeak, "it may change again within that second");
    let past_the_end = get(&[("Range", "bytes=50-"), ("If-Range", "\"old\"")], 10);
    assert_eq!(outcome(&past_the_end), (200, None), "a false condition drops an unsatisfiable range too");
    let past_the_end = get(&[("Range", "bytes=50-"), ("If-Range", TAG)], 10);
    assert_eq!(outcome(&past_the_end), (416, Some("bytes */10")));
    assert_eq!(outcome(&get(&[("If-Range", "\"old\"")], 10)), (200, None), "without Range it means nothing");
}

/// §15.3.7
#[test]
fn n14_a_206_carries_what_the_200_would() {
    let rich = representation(1_000)
        .with_cache_control("private")
        .with_content_disposition("attachment")
        .with_field("content-location", "/v1")
        .with_field("expires", THEN)
        .with_field("vary", "accept")
        .with_field("access-control-allow-origin", "*");
    let names = |plan: &Plan| -> Vec<&str> { plan.headers().map(|(name, _)| name).collect() };
    let whole =
        names(&get_with(&[], &rich, &Policy::new())).into_iter().map(str::to_string).collect::<Vec<_>>();
    let partial = get_with(&[("Range", "bytes=0-4")], &rich, &Policy::new());
    for name in &whole {
        assert!(partial.header(name).is_some(), "{name} is missing");
    }
    let resumed = get_with(&[("Range", "bytes=0-4"), ("If-Range", TAG)], &rich, &Policy::new());
    let expected = [
        "accept-ranges",
        "etag",
        "cache-control",
        "content-location",
        "expires",
        "vary",
        "access-control-allow-origin",
        "content-range",
        "content-length",
    ];
    assert_eq!(names(&resumed), expected, "with If-Range only what is required");
    let all = Policy::new().with_if_range_fields(range_http::IfRangeFields::All);
    let resumed = get_with(&[("Range", "bytes=0-4"), ("If-Range", TAG)], &rich, &all);
    assert_eq!(names(&resumed), names(&partial), "or everything, if the policy says so");
    let untagged =
        Representation::new(10).with_last_modified(representation(10).last_modified()).with_settled(true);
    let resumed = get_with(&[("Range", "bytes=0-4"), ("If-Range", THEN)], &untagged, &Policy::new());
    assert_eq!(field(&resumed, "last-modified"), Some(THEN), "the only validator stays");
}

/// §15.3.7.2
#[test]
fn n15_one_range_is_never_multipart() {
    for value in ["bytes=0-4", "bytes=0-4,", "bytes=0-4,50-", "bytes=0-2,2-4", "bytes=0-1,3-4"] {
        let plan = range_of_10(value);
        assert_eq!(outcome(&plan), (206, Some("bytes 0-4/10")), "{value}");
        assert_eq!(field(&plan, "content-type"), Some("text/plain"), "{value}");
    }
}

/// §15.3.7.2, §14.6
#[test]
fn n16_several_ranges_are_parts_with_their_own_content_range() {
    let bytes = content(10_000);
    let plan = get(&[("Range", "bytes=9000-9001,0-3")], 10_000);
    assert_eq!((plan.status(), plan.header("content-range")), (206, None), "none outside the parts");
    let content_type = field(&plan, "content-type").unwrap();
    let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for (text, range) in [
        (
            format!(
                "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 9000-9001/10000\r\n\r\n"
            ),
            9000..9002,
        ),
        (
            format!("\r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-3/10000\r\n\r\n"),
            0..4,
        ),
        (format!("\r\n--{boundary}--\r\n"), 0..0),
    ] {
        expected.extend_from_slice(text.as_bytes());
        expected.extend_from_slice(&bytes[range]);
    }
    assert_eq!(write_body(plan.body(), &bytes), expected, "parts in the order of the request");
    assert_eq!(plan.content_length(), Some(expected.len() as u64));
}

/// §15.3.7.2
#[test]
fn n17_overlaps_and_small_gaps_are_coalesced() {
    for (value, expected) in [
        ("bytes=500-700,601-999", "bytes 500-999/10000"),
        ("bytes=0-9,20-29", "bytes 0-29/10000"),
        ("bytes=0-,-1", "bytes 0-9999/10000"),
        ("bytes=0-1,1-2,2-3,3-4,4-5,5-6,6-7,7-8,8-9,9-10", "bytes 0-10/10000"),
    ] {
        assert_eq!(outcome(&get(&[("Range", value)], 10_000)), (206, Some(expected)), "{value}");
    }
}

/// §14.2, §17.15
#[test]
fn n18_many_ranges_are_answered_with_the_whole() {
    let many = format!(
        "bytes={}",
        (0..65).map(|part| format!("{}-{},", part * 150, part * 150)).collect::<String>()
    );
    let open = format!("bytes={}", (0..200).map(|start| format!("{start}-,")).collect::<String>());
    for value in [many, open] {
        let plan = get(&[("Range", &value)], 10_000);
        assert_eq!((outcome(&plan), plan.reason()), ((200, None), Reason::TooManyRanges));
    }
    let parts = format!(
        "bytes={}",
        (0..40).map(|part| format!("{}-{},", part * 250, part * 250)).collect::<String>()
    );
    assert_eq!(get(&[("Range", &parts)], 10_000).reason(), Reason::TooManyRanges, "more than 32 parts");
}

/// §15.5.17
#[test]
fn n19_a_416_tells_the_complete_length_and_nothing_of_the_representation() {
    let plan = get(&[("Range", "bytes=10-")], 10);
    let fields: Vec<_> =
        plan.headers().map(|(name, value)| (name, std::str::from_utf8(value).unwrap())).collect();
    assert_eq!(
        fields,
        [("content-length", "0"), ("accept-ranges", "bytes"), ("content-range", "bytes */10")]
    );
}

/// §14.4
#[test]
fn n20_an_invalid_content_range_is_never_used() {
    for (value, error) in [
        ("bytes 5-4/10", ContentRangeError::Inverted),
        ("bytes 0-10/10", ContentRangeError::PastComplete),
        ("lines 0-4/10", ContentRangeError::UnknownUnit),
        ("bytes=0-4/10", ContentRangeError::Malformed),
    ] {
        assert_eq!(ContentRange::parse(value.as_bytes()), Err(error), "{value}");
    }
}

/// §14.4, §14.5
#[test]
fn n21_content_range_in_a_request_means_nothing() {
    let content_range = ("Content-Range", "bytes 0-4/10");
    assert_eq!(outcome(&get(&[content_range], 10)), (200, None));
    let put = plan(&(MethodKind::of("PUT"), &[content_range][..]), &representation(10), &Policy::new());
    assert_eq!(put.status(), 405, "a partial PUT is refused before anything is written");
}

/// §14.1.2
#[test]
fn n22_ranges_count_bytes_of_the_coded_representation() {
    let coded = Representation::new(7).with_field("content-encoding", "gzip");
    let plan = get_with(&[("Range", "bytes=-3")], &coded, &Policy::new());
    assert_eq!(outcome(&plan), (206, Some("bytes 4-6/7")));
    assert_eq!(field(&plan, "content-encoding"), Some("gzip"), "the length given is the one after coding");
}

/// §14.6
#[test]
fn n23_the_boundary_needs_no_quotes() {
    for key in 0..50 {
        let policy = Policy::new().with_boundary_key(key);
        let plan = get_with(&[("Range", "bytes=0-0,-1")], &representation(10_000), &policy);
        let content_type = field(&plan, "content-type").unwrap();
        let boundary = content_type.strip_prefix("multipart/byteranges; boundary=").unwrap();
        assert!(
            boundary.len() <= 70 && boundary.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{boundary}"
        );
    }
}

/// §15.3.7.3
#[test]
fn n24_parts_are_combined_only_under_the_same_strong_validator() {
    let strong = EntityTag::strong("now");
    let weak = EntityTag::weak("now");
    for (held, told, combined) in [
        (strong.as_ref(), Some(TAG), true),
        (strong.as_ref(), Some("\"new\""), false),
        (strong.as_ref(), Some("W/\"now\""), false),
        (strong.as_ref(), None, false),
        (weak.as_ref(), Some("W/\"now\""), false),
        (None, Some(TAG), false),
    ] {
        let asked = Asked { start: 4, ranged: true, complete: Some(10), etag: held, ..Asked::default() };
        let fields = [("content-range", "bytes 4-9/10"), ("etag", told.unwrap_or_default())];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        let answer = AnswerHead::read(206, fields.map(|(name, value)| (name, value.as_bytes())));
        let proven = matches!(decide(&asked, &answer), Append::Proven(_));
        assert_eq!(proven, combined, "{held:?} and {told:?}");
    }
}

/// Resolution needs no plan: what a range header selects of a length is open to every caller.
#[test]
fn a_header_resolves_without_a_plan() {
    let header = RangeHeader::parse(b"bytes=0-0", 1).unwrap();
    let first = ByteRange::new(0, 1).unwrap();
    assert_eq!(header.resolve(1, &Limits::new()), range_http::Resolved::Single(first));
}
