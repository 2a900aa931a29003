//! The reply table, row by row: 100 bytes of 1000 are held under the strong tag `"a"`, unless a table says otherwise.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::digest::Digest;

const HELD: u64 = 100;
const TOTAL: u64 = 1000;
const OVERLAP: u64 = 64;

/// Reads an answer such as `206 | bytes 100-999/1000 | "a" | content-length: 900`.
fn head(says: &str) -> AnswerHead {
    let mut fields = says.split(" | ");
    let status = fields.next().unwrap().parse().unwrap();
    let mut headers = HeaderMap::new();
    for field in fields {
        let (name, value) = match field.split_once(": ") {
            Some(named) => named,
            None if field.ends_with('"') => ("etag", field),
            None => ("content-range", field),
        };
        headers.append(HeaderName::try_from(name).unwrap(), HeaderValue::from_str(value).unwrap());
    }
    AnswerHead::parse(status, &headers)
}

fn identity(total: Option<u64>, validator: Option<&str>) -> Identity {
    let total_source = total.map(|_| TotalSource::ContentLength);
    Identity { total, total_source, validator: validator.map(|text| text.parse().unwrap()) }
}

fn known() -> Identity {
    identity(Some(TOTAL), Some("\"a\""))
}

/// `Range: bytes=100-`, with If-Range where the validator is strong and an overlap where it is not.
fn resume(identity: &Identity) -> Asked<'_> {
    Asked {
        identity,
        from: HELD,
        until: None,
        held_from: 0,
        wire_from: if identity.is_proof() { HELD } else { HELD - OVERLAP },
        ranged: true,
        fresh: false,
        compare: false,
        ignores_ranges: false,
        digest: false,
        repr_digest: None,
        expected_total: None,
        max_size: None,
    }
}

/// No `Range`: nothing is held, or a restart is due.
fn plain(identity: &Identity) -> Asked<'_> {
    Asked { from: 0, wire_from: 0, ranged: false, ..resume(identity) }
}

/// Append from what is held up to `until`; the body begins at `body_from`.
fn join(body_from: u64, until: u64, identity: Identity) -> Decision {
    Decision::Take(Take {
        body_from,
        compare_from: body_from,
        write_from: HELD,
        until: Some(until),
        identity,
    })
}

fn append(until: u64) -> Decision {
    join(HELD, until, known())
}

fn whole(total: u64, source: TotalSource, validator: Option<&str>) -> Take {
    let identity = Identity { total_source: Some(source), ..identity(Some(total), validator) };
    Take { body_from: 0, compare_from: 0, write_from: 0, until: Some(total), identity }
}

/// A whole body whose end nobody has announced.
fn open_ended() -> Take {
    Take { until: None, identity: Identity::default(), ..whole(0, TotalSource::ContentLength, None) }
}

fn drop_for(reason: RestartReason) -> Decision {
    Decision::Restart(reason, None)
}

fn refuse(error: AnswerError) -> Decision {
    Decision::Refuse(error)
}

fn status(code: u16) -> Decision {
    refuse(AnswerError::Status(StatusCode::from_u16(code).unwrap()))
}

/// Rows of: number in the table, answer, decision, why.
fn check(asked: &Asked<'_>, rows: &[(&str, &str, &Decision, &str)]) {
    for (row, says, expected, because) in rows {
        assert_eq!(decide(asked, &head(says)), **expected, "row {row}, {says}: {because}");
    }
}

#[test]
fn a_206_is_appended_only_when_it_continues_exactly_what_is_held() {
    let all = &append(TOTAL);
    let mismatch = &drop_for(RestartReason::ContentRangeMismatch);
    let changed = &drop_for(RestartReason::ValidatorChanged);
    let coded = &drop_for(RestartReason::UnexpectedEncoding);
    let framing = &refuse(AnswerError::Framing);
    check(
        &resume(&known()),
        &[
            ("1", r#"206 | bytes 100-999/1000 | "a""#, all, "the very range, the very tag"),
            ("1", r#"206 | bytes 100-999/1000"#, all, "a 206 may leave the tag out: If-Range was sent"),
            ("2", r#"206 | bytes 100-999/1001 | "a""#, mismatch, "another total"),
            ("3", r#"206 | bytes 100-999/1000 | "b""#, changed, "If-Range was ignored"),
            ("3", r#"206 | bytes 100-999/1000 | etag: a"#, changed, "a tag without quotes is not ours"),
            ("3", r#"206 | bytes 100-999/1000 | "a" | "a""#, changed, "nor are two of them"),
            ("4", r#"206 | bytes 100-999/1000 | W/"a""#, changed, "weak where it was strong"),
            ("6", r#"206 | bytes 100-999/* | "a""#, all, "the total is known already"),
            ("8", r#"206 | bytes 80-999/1000 | "a""#, &join(80, TOTAL, known()), "compare, then append"),
            ("8b", r#"206 | bytes 0-99/1000 | "a""#, mismatch, "nothing new"),
            ("9", r#"206 | bytes 101-999/1000 | "a""#, mismatch, "a gap"),
            ("10", r#"206 | bytes 100-199/1000 | "a""#, &append(200), "shorter than asked is progress"),
            ("11", r#"206 | bytes 100-1000/1000 | "a""#, mismatch, "past its own end"),
            ("11", r#"206 | bytes 100-1999/* | "a""#, mismatch, "past the known end"),
            ("11", r#"206 | bytes 999-100/1000 | "a""#, mismatch, "inverted"),
            ("11", r#"206 | bytes 100-99999999999999999999/* | "a""#, mismatch, "overflow"),
            ("11", r#"206 | lines 100-999/1000 | "a""#, mismatch, "another unit"),
            ("11", r#"206 | bytes 100-999/1000 | bytes 100-999/1000"#, mismatch, "two of them, though equal"),
            ("13", r#"206 | "a""#, mismatch, "which bytes?"),
            (
                "14",
                r#"206 | bytes 100-999/1000 | content-type: Multipart/x"#,
                mismatch,
                "one range was asked for",
            ),
            ("15", r#"206 | bytes 100-999/1000 | content-encoding: gzip"#, coded, "not the file's own bytes"),
            ("15", r#"206 | bytes 100-999/1000 | content-encoding: identity"#, all, "identity is no coding"),
            ("16", r#"206 | bytes 100-999/1000 | content-length: 500"#, &append(600), "what both promise"),
            ("16", r#"206 | bytes 100-999/1000 | content-length: 9999"#, all, "nor more than the range"),
            ("16", r#"206 | bytes 100-999/1000 | content-length: 0"#, framing, "a range without bytes"),
            ("37", r#"206 | content-length: 9 | transfer-encoding: chunked"#, framing, "two framings"),
            ("38", r#"206 | bytes 100-999/1000 | content-length: 9OO"#, framing, "no number"),
        ],
    );
}

#[test]
fn a_206_without_a_strong_validator_must_overlap_what_is_held() {
    let mismatch = &drop_for(RestartReason::ContentRangeMismatch);
    let changed = &drop_for(RestartReason::ValidatorChanged);
    let alone = &drop_for(RestartReason::OverlapMismatch);
    let none = identity(Some(TOTAL), None);
    let joined = &join(36, TOTAL, none.clone());
    check(
        &resume(&none),
        &[
            ("1", r#"206 | bytes 36-999/1000"#, joined, "the overlap will show"),
            ("1", r#"206 | bytes 36-999/1000 | "b""#, joined, "a later tag does not vouch for older bytes"),
            ("1", r#"206 | bytes 100-999/1000"#, alone, "no overlap, no evidence"),
            ("2", r#"206 | bytes 36-999/1001"#, mismatch, "another total"),
        ],
    );
    let weak = identity(Some(TOTAL), Some("W/\"a\""));
    check(
        &resume(&weak),
        &[
            (
                "1",
                r#"206 | bytes 36-999/1000 | W/"a""#,
                &join(36, TOTAL, weak.clone()),
                "a weak tag is a hint",
            ),
            ("3", r#"206 | bytes 36-999/1000 | W/"b""#, changed, "but even a weak tag can say no"),
        ],
    );
    let known = known();
    let elsewhere = Asked { compare: true, wire_from: HELD - OVERLAP, ..resume(&known) };
    check(
        &elsewhere,
        &[
            (
                "1",
                r#"206 | bytes 36-999/1000 | "a""#,
                &join(36, TOTAL, known.clone()),
                "the tag and the overlap",
            ),
            ("1", r#"206 | bytes 100-999/1000 | "a""#, alone, "not the tag alone"),
        ],
    );
    let nothing_before = Asked { held_from: HELD, wire_from: HELD, ..resume(&none) };
    check(&nothing_before, &[("1", "206 | bytes 100-999/1000", alone, "nothing to compare with")]);
}

#[test]
fn bytes_that_begin_before_anything_we_hold_are_skipped_and_not_compared() {
    let known = known();
    let asked = Asked { held_from: 90, ..resume(&known) };
    let identity = known.clone();
    let take = Take { body_from: 80, compare_from: 90, write_from: 100, until: Some(TOTAL), identity };
    assert_eq!(decide(&asked, &head("206 | bytes 80-999/1000")), Decision::Take(take));
}

#[test]
fn a_bounded_lease_takes_no_more_than_it_asked_for() {
    let known = known();
    let asked = Asked { until: Some(300), ..resume(&known) };
    assert_eq!(decide(&asked, &head("206 | bytes 100-999/1000")), append(300));
}

#[test]
fn an_unknown_complete_length_is_learnt_only_with_evidence() {
    let mismatch = &drop_for(RestartReason::ContentRangeMismatch);
    let learnt = |total, validator| {
        let total_source = Some(TotalSource::ContentRange);
        Identity { total_source, ..identity(Some(total), validator) }
    };
    let tagged = identity(None, Some("\"a\""));
    let ours = &join(HELD, TOTAL, learnt(TOTAL, Some("\"a\"")));
    check(
        &resume(&tagged),
        &[
            ("1", r#"206 | bytes 100-999/1000 | "a""#, ours, "the tag says it is ours"),
            ("1", r#"206 | bytes 100-999/1000"#, mismatch, "silence is not enough for a total"),
            ("7", r#"206 | bytes 100-999/* | "a""#, &join(HELD, TOTAL, tagged.clone()), "the end stays open"),
            ("7", r#"206 | bytes 100-999/*"#, mismatch, "nothing says it is ours"),
        ],
    );
    check(
        &resume(&identity(None, None)),
        &[
            ("1", "206 | bytes 36-999/1000", &join(36, TOTAL, learnt(TOTAL, None)), "an overlap is evidence"),
            ("7", "206 | bytes 36-999/*", mismatch, "but not of an end nobody names"),
            ("1", "206 | bytes 36-99/100", &join(36, HELD, learnt(HELD, None)), "whole all along: compared"),
            ("8b", "206 | bytes 36-59/100", mismatch, "neither new bytes nor the end of the old"),
        ],
    );
}

#[test]
fn a_different_repr_digest_is_a_different_representation() {
    let known = known();
    let says = format!("206 | bytes 100-999/1000 | repr-digest: sha-256=:{}=:", "A".repeat(43));
    let before = |hex: &str| Digest::sha256(&hex.repeat(32)).ok();
    let same = Asked { repr_digest: before("00"), ..resume(&known) };
    let other = Asked { repr_digest: before("11"), ..resume(&known) };
    assert_eq!(decide(&same, &head(&says)), append(TOTAL), "row 1");
    assert_eq!(decide(&other, &head(&says)), drop_for(RestartReason::ValidatorChanged), "row 5");
}

#[test]
fn a_200_to_a_ranged_request_starts_over_with_the_body_in_hand() {
    let with = |reason, total, tag| {
        Decision::Restart(reason, Some(whole(total, TotalSource::ContentLength, Some(tag))))
    };
    let ignored = &with(RestartReason::RangeIgnored, TOTAL, "\"a\"");
    let (changed, shorter) = (
        &with(RestartReason::ValidatorChanged, TOTAL, "\"b\""),
        &with(RestartReason::ValidatorChanged, 7, "\"b\""),
    );
    let open = &Decision::Restart(RestartReason::RangeIgnored, Some(open_ended()));
    let mismatch = &drop_for(RestartReason::ContentRangeMismatch);
    let coded = &drop_for(RestartReason::UnexpectedEncoding);
    let (endless, framing) = (&refuse(AnswerError::LengthUnknown), &refuse(AnswerError::Framing));
    check(
        &resume(&known()),
        &[
            ("19", r#"200 | "a" | content-length: 1000"#, ignored, "the range was ignored"),
            ("19", r#"200 | "a""#, ignored, "the tag says how long it is"),
            ("20", r#"200 | "b" | content-length: 1000"#, changed, "the file changed"),
            ("20", r#"200 | "b" | content-length: 7"#, shorter, "and its length"),
            ("20", r#"200 | transfer-encoding: chunked"#, open, "the last chunk will tell"),
            ("21", r#"200 | "a" | content-length: 900"#, mismatch, "the tail as a 200, or a lying tag"),
            (
                "21b",
                r#"200 | "a" | content-length: 900 | bytes 100-999/1000"#,
                mismatch,
                "a part in disguise",
            ),
            ("15", r#"200 | "a" | content-length: 90 | content-encoding: br"#, coded, "coded"),
            ("36", r#"200 | "b""#, endless, "its end could not be told from a cut"),
            ("37", r#"200 | content-length: 9 | transfer-encoding: chunked"#, framing, "two framings"),
        ],
    );
}

#[test]
fn a_peer_known_to_ignore_ranges_is_read_past_what_is_held_instead_of_starting_over_again() {
    let known = known();
    let asked = Asked { ignores_ranges: true, ..resume(&known) };
    let skip =
        Take { write_from: HELD, identity: known.clone(), ..whole(TOTAL, TotalSource::ContentLength, None) };
    let same = r#"200 | "a" | content-length: 1000"#;
    check(&asked, &[("19", same, &Decision::Take(skip), "compared on the way")]);
    for says in [r#"200 | "b" | content-length: 1000"#, "200 | content-length: 1000"] {
        assert!(matches!(decide(&asked, &head(says)), Decision::Restart(..)), "not the same: {says}");
    }
}

#[test]
fn the_first_chunk_says_itself_what_its_bytes_belong_to() {
    let nothing = Identity::default();
    let asked = Asked { held_from: HELD, until: Some(300), fresh: true, ..resume(&nothing) };
    let first = |body_from, until, validator| {
        let total_source = Some(TotalSource::ContentRange);
        Decision::Take(Take {
            body_from,
            compare_from: HELD,
            write_from: HELD,
            until: Some(until),
            identity: Identity { total_source, ..identity(Some(TOTAL), validator) },
        })
    };
    let whole = |total| Decision::Take(Take { identity: total, ..open_ended() });
    let mismatch = &drop_for(RestartReason::ContentRangeMismatch);
    let coded = &drop_for(RestartReason::UnexpectedEncoding);
    let over = &drop_for(RestartReason::RangeNotSatisfiable);
    check(
        &asked,
        &[
            (
                "48",
                r#"206 | bytes 100-299/1000 | "a""#,
                &first(100, 300, Some("\"a\"")),
                "its total, its tag",
            ),
            (
                "48",
                r#"206 | bytes 100-299/1000 | W/"a""#,
                &first(100, 300, Some("W/\"a\"")),
                "even a weak one",
            ),
            ("48", "206 | bytes 100-299/1000", &first(100, 300, None), "nothing has to be proven"),
            ("48", "206 | bytes 100-149/1000", &first(100, 150, None), "shorter than asked is progress"),
            ("48", "206 | bytes 100-999/1000", &first(100, 300, None), "no more than was asked for"),
            ("48", "206 | bytes 0-999/1000", &first(0, 300, None), "what comes before is nothing we hold"),
            (
                "48",
                "206 | bytes 100-299/1000 | content-length: 50",
                &first(100, 150, None),
                "what both promise",
            ),
            ("48", "206 | bytes 100-299/*", mismatch, "of what length?"),
            ("9", "206 | bytes 101-299/1000", mismatch, "not what was asked for"),
            ("8b", "206 | bytes 36-99/100", mismatch, "nothing of what was asked for"),
            ("14", "206 | content-type: multipart/byteranges", mismatch, "one range was asked for"),
            ("15", "206 | bytes 100-299/1000 | content-encoding: br", coded, "not the file's own bytes"),
            ("13", "206", mismatch, "which bytes?"),
            (
                "48",
                "200 | transfer-encoding: chunked",
                &whole(Identity::default()),
                "no range, and nothing lost",
            ),
            (
                "48",
                "200 | content-length: 1000",
                &Decision::Take(self::whole(TOTAL, TotalSource::ContentLength, None)),
                "from its first byte on",
            ),
            ("36", "200", &refuse(AnswerError::LengthUnknown), "its end could not be told from a cut"),
            ("28", "416 | bytes */100", &status(416), "it ends before what was asked for"),
            ("28", "416 | bytes */99", &status(416), "well before"),
            ("25", "416 | bytes */101", over, "then it could have been satisfied"),
            ("26", "416", over, "no word on the length"),
            ("12", "206 | bytes 100-99/100", &status(416), "the same in other words"),
        ],
    );
    let from_the_start = Asked { from: 0, held_from: 0, wire_from: 0, ..asked.clone() };
    check(&from_the_start, &[("28", "416 | bytes */0", over, "an empty file comes whole")]);
    let bounded = Asked { max_size: Some(999), ..asked.clone() };
    let too_large = &refuse(AnswerError::TooLarge { size: TOTAL, max: 999 });
    check(&bounded, &[("34", "206 | bytes 100-299/1000", too_large, "before a byte is written")]);
    let expecting = Asked { expected_total: Some(999), ..asked };
    let other = &refuse(AnswerError::SizeMismatch { expected: 999, actual: TOTAL });
    check(&expecting, &[("34", "206 | bytes 100-299/1000", other, "not the size asked for")]);
}

#[test]
fn a_416_finishes_only_what_is_provably_at_its_end() {
    let complete = &Decision::Complete { total: HELD };
    let over = &drop_for(RestartReason::RangeNotSatisfiable);
    let changed = &drop_for(RestartReason::ValidatorChanged);
    let unknown = identity(None, Some("\"a\""));
    check(
        &resume(&unknown),
        &[
            ("22", r#"416 | bytes */100 | "a""#, complete, "the tag confirms it"),
            ("22", r#"416 | bytes */100"#, over, "nobody confirms it"),
            ("23", r#"416 | bytes */100 | "b""#, changed, "another file ends there"),
            ("24", r#"416 | bytes */99 | "a""#, over, "we hold more than there is"),
            ("25", r#"416 | bytes */101 | "a""#, over, "then it could have been satisfied"),
            ("26", r#"416 | "a""#, over, "local size is never the total"),
            ("26", r#"416 | bytes 0-99/100 | "a""#, over, "not how a 416 speaks"),
            ("12", r#"206 | bytes 100-99/100 | "a""#, complete, "a cache with nothing left to send"),
            ("12", r#"206 | bytes 99-98/99 | "a""#, over, "but we hold more than that"),
        ],
    );
    check(
        &resume(&known()),
        &[
            ("24b", r#"416 | bytes */100 | "a""#, over, "the record says 1000: one of the two is wrong"),
            ("27", r#"416 | "a""#, over, "no word on the length"),
        ],
    );
    let nothing = identity(None, None);
    let judged = Asked { digest: true, wire_from: HELD, ..resume(&nothing) };
    check(&judged, &[("22", "416 | bytes */100", complete, "a digest will judge")]);
    let holes = Asked { held_from: 50, ..resume(&unknown) };
    check(&holes, &[("22", r#"416 | bytes */100 | "a""#, over, "not with a hole before it")]);
}

#[test]
fn a_whole_answer_to_a_plain_request_is_judged_by_its_length() {
    let nothing = Identity::default();
    let length = |total| Decision::Take(whole(total, TotalSource::ContentLength, None));
    let (all, open) = (&length(TOTAL), &Decision::Take(open_ended()));
    let part = &refuse(AnswerError::UnaskedPartial);
    check(
        &plain(&nothing),
        &[
            ("-", "200 | content-length: 1000", all, "the usual"),
            ("-", "200 | content-length: 0", &length(0), "an empty file is a file"),
            ("15", "200 | content-encoding: gzip", &refuse(AnswerError::Encoded), "identity was asked for"),
            ("33", "206 | bytes 0-999/1000", part, "nobody asked"),
            ("21b", "200 | content-length: 10 | bytes 0-9/1000", part, "a part in a 200's clothes"),
            ("21b", "200 | content-length: 1000 | bytes 0-999/1000", all, "odd, but everything"),
            ("35", "200 | transfer-encoding: chunked", open, "the last chunk ends it"),
            ("36", "200", &refuse(AnswerError::LengthUnknown), "the end of the connection does not"),
            ("28", "416", &status(416), "to no range at all"),
            ("29", "412", &status(412), "to no condition at all"),
        ],
    );
    let expected = Asked { expected_total: Some(TOTAL), ..plain(&nothing) };
    let other = &refuse(AnswerError::SizeMismatch { expected: TOTAL, actual: 999 });
    let ends_there = &Decision::Take(whole(TOTAL, TotalSource::Request, None));
    check(
        &expected,
        &[
            ("34", "200 | content-length: 999", other, "not the size asked for"),
            ("36", "200", ends_there, "the caller knows where it ends"),
        ],
    );
    let judged = Asked { digest: true, ..plain(&nothing) };
    check(
        &judged,
        &[
            ("36", "200", open, "the digest will tell a cut from an end"),
            ("31", "203 | content-length: 1000", all, "and whether it was transformed"),
        ],
    );
}

#[test]
fn no_total_above_the_limit_or_the_filesystem_is_ever_begun() {
    let (nothing, held) = (Identity::default(), identity(None, Some("\"a\"")));
    let too_large = |size, max| refuse(AnswerError::TooLarge { size, max });
    let fits = &Decision::Take(whole(999, TotalSource::ContentLength, None));
    let bounded = |asked| Asked { max_size: Some(999), ..asked };
    check(
        &bounded(plain(&nothing)),
        &[
            ("34", "200 | content-length: 1000", &too_large(1000, 999), "strictly more is too much"),
            ("34", "200 | content-length: 999", fits, "the limit itself is not"),
        ],
    );
    let part = r#"206 | bytes 100-999/1000 | "a""#;
    check(&bounded(resume(&held)), &[("34", part, &too_large(1000, 999), "also as the total of a part")]);
    let contradictory = Asked { expected_total: Some(TOTAL), ..bounded(plain(&nothing)) };
    let chunked = "200 | transfer-encoding: chunked";
    check(&contradictory, &[("34", chunked, &too_large(1000, 999), "nor what the caller expects")]);
    let max = i64::MAX as u64;
    let huge = "200 | content-length: 9223372036854775808";
    check(&plain(&nothing), &[("34", huge, &too_large(max + 1, max), "offsets in a file are signed")]);
}

#[test]
fn other_statuses_say_who_has_to_act() {
    let known = known();
    let asked = resume(&known);
    for code in
        [201, 202, 204, 205, 207, 226, 400, 401, 403, 404, 407, 408, 410, 425, 429, 451, 500, 501, 503]
    {
        assert_eq!(decide(&asked, &head(&code.to_string())), status(code), "rows 32, 41, 42: {code}");
    }
    for code in [300, 301, 302, 303, 307, 308] {
        assert_eq!(decide(&asked, &head(&code.to_string())), Decision::Redirect, "row 39: {code}");
    }
    for code in [305, 306] {
        assert_eq!(decide(&asked, &head(&code.to_string())), status(code), "nobody follows {code} any more");
    }
    let unasked = &refuse(AnswerError::UnaskedStatus(StatusCode::NOT_MODIFIED));
    let changed = &drop_for(RestartReason::ValidatorChanged);
    check(
        &asked,
        &[
            ("29", "412", changed, "a condition we did not even set"),
            ("30", "304", unasked, "nothing was conditional"),
            ("31", "203 | content-length: 1000", &status(203), "transformed on the way"),
        ],
    );
}
