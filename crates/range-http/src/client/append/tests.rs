//! The table of verdicts: bytes up to 400 of 1000 are held, unless a table says otherwise.

use std::vec::Vec;

use super::*;
use crate::{EntityTag, HttpDate};

/// Reads an answer such as `206 | bytes 400-999/1000 | "a" | content-length: 600`.
fn answer(says: &str) -> AnswerHead {
    let mut fields = says.split(" | ");
    let status = fields.next().unwrap().parse().unwrap();
    let fields: Vec<_> = fields
        .map(|field| match field.split_once(": ") {
            Some((name, value)) => (name, value.as_bytes()),
            None if field.ends_with('"') => ("etag", field.as_bytes()),
            None => ("content-range", field.as_bytes()),
        })
        .collect();
    AnswerHead::read(status, fields)
}

fn asked(start: u64, etag: Option<&EntityTag>) -> Asked<'_> {
    Asked { start, ranged: true, complete: Some(1000), etag, ..Asked::default() }
}

fn part(start: u64, end: u64) -> Part {
    Part { range: ByteRange::new(start, end).unwrap(), complete: Some(1000) }
}

fn proven(start: u64, end: u64) -> Append {
    Append::Proven(part(start, end))
}

fn unproven(start: u64, end: u64) -> Append {
    Append::Unproven(part(start, end))
}

/// Rows of: answer, verdict, why.
fn check(asked: &Asked<'_>, rows: &[(&str, Append, &str)]) {
    for (says, expected, because) in rows {
        assert_eq!(decide(asked, &answer(says)), *expected, "{says}: {because}");
    }
}

#[test]
fn only_what_continues_the_bytes_held_is_appended() {
    let a = EntityTag::strong("a");
    let mismatch = Append::Restart(Cause::ContentRangeMismatch);
    let framing = Append::Refused(Refusal::Framing);
    check(
        &asked(400, a.as_ref()),
        &[
            (r#"206 | bytes 400-999/1000 | content-length: 600 | "a""#, proven(400, 1000), "all matches"),
            (r#"206 | bytes 400-999/1000 | "a""#, proven(400, 1000), "no Content-Length"),
            (r#"206 | bytes 400-999/* | "a""#, proven(400, 1000), "the length is known from before"),
            (r#"206 | bytes 400-499/1000 | "a""#, proven(400, 500), "less than asked is progress"),
            (r#"206 | bytes 100-999/1000 | "a""#, proven(100, 1000), "an earlier start can be skipped"),
            (r#"206 | bytes 401-999/1000 | "a""#, mismatch, "a gap"),
            (r#"206 | bytes 0-399/1000 | "a""#, mismatch, "nothing new"),
            (r#"206 | bytes 400-1200/* | "a""#, mismatch, "past the end"),
            (r#"206 | bytes 400-999/999 | "a""#, mismatch, "past its own end"),
            (r#"206 | items 400-999/1000 | "a""#, mismatch, "another unit"),
            (r#"206 | bytes */1000 | "a""#, mismatch, "the form of a 416"),
            (r#"206 | "a""#, mismatch, "which bytes?"),
            (r#"206 | bytes 400-999/1000 | bytes 400-999/1000 | "a""#, mismatch, "two of them"),
            (
                r#"206 | bytes 400-999/1000 | content-length: 500 | "a""#,
                proven(400, 900),
                "what both promise",
            ),
            (r#"206 | bytes 400-999/1000 | content-length: 700 | "a""#, proven(400, 1000), "nor more"),
            (r#"206 | bytes 400-999/1000 | content-length: 0 | "a""#, framing, "a range without bytes"),
            (r#"206 | bytes 100-999/1000 | content-length: 300 | "a""#, framing, "without new bytes"),
            (r#"206 | bytes 400-999/1000 | content-length: 6OO | "a""#, framing, "no number"),
        ],
    );
    let chunk = Asked { end: Some(500), ..asked(400, a.as_ref()) };
    check(&chunk, &[(r#"206 | bytes 400-999/1000 | "a""#, proven(400, 500), "no more than asked is taken")]);
}

#[test]
fn only_the_same_strong_validator_proves_anything() {
    let changed = Append::Restart(Cause::ValidatorChanged);
    let (strong, weak) = (EntityTag::strong("a"), EntityTag::weak("a"));
    let (same, silent) = (proven(400, 1000), unproven(400, 1000));
    check(
        &asked(400, strong.as_ref()),
        &[
            (r#"206 | bytes 400-999/1000 | "b""#, changed, "If-Range was ignored"),
            (r#"206 | bytes 400-999/1000 | W/"a""#, changed, "it became weak"),
            (r#"206 | bytes 400-999/1000 | etag: a"#, changed, "no tag, so not ours"),
            (r#"206 | bytes 400-999/1000 | "a" | "a""#, changed, "nor are two of them"),
            (r#"206 | bytes 400-999/1000"#, silent, "no validator"),
        ],
    );
    check(
        &asked(400, weak.as_ref()),
        &[
            (r#"206 | bytes 400-999/1000 | W/"a""#, silent, "a weak tag is a hint"),
            (r#"206 | bytes 400-999/1000 | etag: a"#, silent, "no word at all"),
            (r#"206 | bytes 400-999/1000 | W/"b""#, changed, "but even a weak tag can say no"),
        ],
    );
    let date = Asked { last_modified: HttpDate::from_unix(0), ..asked(400, None) };
    let modified = |date: &str| std::format!("206 | bytes 400-999/1000 | last-modified: {date}");
    check(
        &date,
        &[
            (&modified("Thu, 01 Jan 1970 00:00:00 GMT"), same, "the very second"),
            (&modified("Thu, 01 Jan 1970 00:00:01 GMT"), changed, "the next one"),
            (&modified("yesterday"), silent, "no date"),
            (r#"206 | bytes 400-999/1000 | "a""#, silent, "a later tag does not vouch for older bytes"),
        ],
    );
}

#[test]
fn another_complete_length_is_another_representation() {
    let a = EntityTag::strong("a");
    let changed = Append::Restart(Cause::LengthChanged);
    check(
        &asked(400, a.as_ref()),
        &[
            (r#"206 | bytes 400-1199/1200 | "a""#, changed, "of a part"),
            (r#"200 | content-length: 900 | "a""#, changed, "of the whole, under the same tag"),
        ],
    );
    let unknown = Asked { complete: None, ..asked(400, a.as_ref()) };
    let held_all = Part { range: ByteRange::new(336, 400).unwrap(), complete: Some(400) };
    let open = Part { range: ByteRange::new(400, 1000).unwrap(), complete: None };
    check(
        &unknown,
        &[
            (r#"206 | bytes 400-999/1000 | "a""#, proven(400, 1000), "learnt"),
            (r#"206 | bytes 400-999/* | "a""#, Append::Proven(open), "still unknown"),
            (r#"206 | bytes 336-399/400 | "a""#, Append::Proven(held_all), "whole all along"),
            (
                r#"206 | bytes 336-359/400 | "a""#,
                Append::Restart(Cause::ContentRangeMismatch),
                "nothing new, and not the end either",
            ),
        ],
    );
    assert_eq!(held_all.overlap(&unknown), 64);
}

#[test]
fn a_200_brings_the_whole_whatever_was_asked_for() {
    let a = EntityTag::strong("a");
    let whole = |complete, proof| Append::Whole { complete, proof };
    check(
        &asked(400, a.as_ref()),
        &[
            (r#"200 | content-length: 1000 | "a""#, whole(Some(1000), Proof::Same), "the range was ignored"),
            (r#"200 | content-length: 7 | "b""#, whole(Some(7), Proof::Different), "it changed"),
            ("200 | transfer-encoding: chunked", whole(None, Proof::Missing), "its end comes last"),
            (
                r#"200 | bytes 400-999/1000 | "a""#,
                Append::Restart(Cause::ContentRangeMismatch),
                "a 206 in a 200's clothes",
            ),
            (
                "200 | content-length: 9 | transfer-encoding: chunked",
                Append::Refused(Refusal::Framing),
                "two framings",
            ),
        ],
    );
    let unasked = Append::Refused(Refusal::UnaskedPart);
    check(
        &Asked::default(),
        &[
            (r#"200 | content-length: 7 | "b""#, whole(Some(7), Proof::Missing), "nothing is held"),
            ("200 | content-length: 7 | bytes 0-6/7", whole(Some(7), Proof::Missing), "odd, but everything"),
            ("200 | content-length: 5 | bytes 0-4/7", unasked, "not everything"),
            ("206 | bytes 0-6/7", unasked, "nobody asked for a part"),
            ("200 | content-encoding: gzip", Append::Refused(Refusal::ContentEncoding), "nor for a coding"),
            ("416 | bytes */7", Append::Refused(Refusal::Status), "to no range at all"),
            ("412", Append::Refused(Refusal::Status), "to no condition at all"),
        ],
    );
}

#[test]
fn a_416_says_where_the_representation_ends() {
    let a = EntityTag::strong("a");
    let past = |complete| Append::Restart(Cause::NotSatisfiable { complete });
    let changed = Append::Restart(Cause::ValidatorChanged);
    let complete = |proof| Append::Complete { proof };
    check(
        &asked(1000, a.as_ref()),
        &[
            (r#"416 | bytes */1000 | "a""#, complete(Proof::Same), "nothing is missing"),
            ("416 | bytes */1000", complete(Proof::Missing), "as far as it tells"),
            (r#"416 | bytes */1000 | "b""#, changed, "of another version"),
            (
                r#"206 | bytes 1000-999/1000 | "a""#,
                complete(Proof::Same),
                "a cache with nothing left to send",
            ),
            ("416 | bytes */600", past(Some(600)), "it shrank"),
            ("416 | bytes 0-999/1000", past(None), "not how a 416 speaks"),
            ("416", past(None), "no length told"),
        ],
    );
    check(
        &asked(800, a.as_ref()),
        &[
            ("416 | bytes */1000", past(Some(1000)), "it would have been satisfiable"),
            ("416 | bytes */800", past(Some(800)), "it ended elsewhere before"),
        ],
    );
}

#[test]
fn a_coded_or_multipart_body_is_not_the_range_asked_for() {
    let a = EntityTag::strong("a");
    let coded = Append::Restart(Cause::ContentEncoding);
    check(
        &asked(400, a.as_ref()),
        &[
            (r#"206 | bytes 400-999/1000 | "a" | content-encoding: gzip"#, coded, "coded"),
            (r#"200 | "a" | content-encoding: br"#, coded, "coded"),
            (
                r#"206 | bytes 400-999/1000 | "a" | content-encoding: identity"#,
                proven(400, 1000),
                "no coding",
            ),
            (
                r#"206 | "a" | content-type: multipart/byteranges; boundary=x"#,
                Append::Restart(Cause::Multipart),
                "one range was asked for",
            ),
        ],
    );
}

#[test]
fn every_other_status_says_nothing_about_the_bytes() {
    let a = EntityTag::strong("a");
    check(&asked(400, a.as_ref()), &[("412", Append::Restart(Cause::PreconditionFailed), "it changed")]);
    for status in [100, 201, 202, 203, 204, 205, 226, 301, 302, 304, 400, 401, 404, 429, 500, 503] {
        let verdict = decide(&asked(400, a.as_ref()), &AnswerHead::read(status, []));
        assert_eq!(verdict, Append::Refused(Refusal::Status), "{status}");
    }
}

#[test]
fn the_ends_of_the_numbers_do_not_overflow() {
    let last = Asked { start: u64::MAX, ranged: true, ..Asked::default() };
    let says = "206 | bytes 18446744073709551615-18446744073709551615/*";
    let _ = decide(&last, &answer(says));
    let from = Asked { start: u64::MAX - 1, ..last };
    let range = ByteRange::from_positions(u64::MAX - 1, u64::MAX - 1).unwrap();
    check(
        &from,
        &[(
            "206 | bytes 18446744073709551614-18446744073709551615/* | content-length: 18446744073709551615",
            Append::Unproven(Part { range, complete: None }),
            "no length reaches past the largest",
        )],
    );
}
