//! What deciding about a request costs: `cargo bench -p range-http --bench decisions`.
//!
//! The parser beside those of other crates is measured in `bench`, a workspace of its own. Here is the whole way from
//! fields to a plan as a server goes it for every request, and what the worst requests a client can think of add to it.

use std::hint::black_box;

use divan::Bencher;
use divan::counter::BytesCount;
use range_http::{EntityTag, HttpDate, MethodKind, Plan, Policy, Representation, plan};

fn main() {
    divan::main();
}

const TAG: &str = "\"5f3a-9c41d2e07b8a\"";
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
const LEN: u64 = 1 << 30;

fn representation() -> Representation {
    Representation::new(LEN)
        .with_etag(EntityTag::parse(TAG.as_bytes()))
        .with_last_modified(HttpDate::parse(DATE.as_bytes()))
        .with_settled(true)
        .with_content_type("video/x-matroska")
        .with_cache_control("private, no-transform")
}

fn decide(fields: &[(&str, &str)], representation: &Representation) -> Plan {
    plan(&(MethodKind::Get, fields), representation, &Policy::new())
}

/// The requests every server sees.
#[divan::bench(args = ["whole", "range", "resume", "not_modified", "unsatisfiable"])]
fn ordinary(bencher: Bencher<'_, '_>, what: &str) {
    let fields: &[(&str, &str)] = match what {
        "whole" => &[("accept", "*/*")],
        "range" => &[("range", "bytes=500-999")],
        "resume" => &[("range", "bytes=536870912-"), ("if-range", TAG)],
        "not_modified" => &[("if-none-match", TAG), ("if-modified-since", DATE)],
        _ => &[("range", "bytes=1073741824-")],
    };
    let representation = representation();
    bencher.bench(|| decide(black_box(fields), black_box(&representation)));
}

/// Several ranges far apart: one answer framed as multipart/byteranges.
#[divan::bench(args = [2, 8, 64])]
fn framed_as_multipart(bencher: Bencher<'_, '_>, parts: u64) {
    let value = ranges(parts, LEN / parts, LEN / parts / 2);
    let representation = representation();
    bencher.bench(|| decide(black_box(&[("range", &value)]), black_box(&representation)));
}

/// Values made to cost as much as they can; the time for a byte of them is what counts.
#[divan::bench(args = ["single_bytes", "overlapping", "commas", "digits", "entity_tags"])]
fn hostile(bencher: Bencher<'_, '_>, what: &str) {
    let (name, value) = match what {
        "single_bytes" => ("range", ranges(6_000, 300, 1)),
        "overlapping" => ("range", format!("bytes=0-{}", ",0-".repeat(30_000))),
        "commas" => ("range", format!("bytes={}", ",".repeat(100_000))),
        "digits" => ("range", format!("bytes=0-{}", "9".repeat(100_000))),
        _ => ("if-none-match", format!("\"x\"{}", ", W/\"y\"".repeat(14_000))),
    };
    let representation = representation();
    bencher
        .counter(BytesCount::new(value.len()))
        .bench(|| decide(black_box(&[(name, &value)]), black_box(&representation)));
}

/// `count` ranges of `len` bytes, one each `step` bytes.
fn ranges(count: u64, step: u64, len: u64) -> String {
    let specs: Vec<_> = (0..count).map(|part| format!("{}-{}", part * step, part * step + len - 1)).collect();
    format!("bytes={}", specs.join(","))
}
