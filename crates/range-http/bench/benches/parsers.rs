//! From a Range value and a length to the ranges to serve, in four crates.
//!
//! Each is asked for the same: parse, check against the length, walk over the result. What they answer differs (see the
//! conformance cases), so an input that one of them refuses early is cheap for it.

use std::hint::black_box;

use divan::Bencher;
use headers::{Header, HeaderValue};
use range_http::{Limits, RangeHeader, Resolved};

fn main() {
    divan::main();
}

const LEN: u64 = 10_000_000;

fn single() -> String {
    "bytes=500-999".into()
}

/// 64 ranges far apart, in order.
fn specs_64() -> String {
    let specs: Vec<_> = (0..64).map(|part| format!("{}-{}", part * 150_000, part * 150_000 + 99)).collect();
    format!("bytes={}", specs.join(", "))
}

/// 100 kB of single bytes.
fn hostile(kilobytes: usize) -> String {
    let mut value = String::from("bytes=");
    let mut place = 0u64;
    while value.len() < kilobytes * 1000 {
        value.push_str(&format!("{place}-{place},"));
        place += 300;
    }
    value.pop();
    value
}

/// Bytes to serve; no parser can be optimised away.
fn range_http(value: &str, limits: &Limits) -> u64 {
    match RangeHeader::parse(value.as_bytes(), limits.max_specs).map(|header| header.resolve(LEN, limits)) {
        Ok(Resolved::Single(range)) => range.len(),
        Ok(Resolved::Multi(ranges)) => ranges.iter().map(|range| range.len()).sum(),
        _ => 0,
    }
}

fn http_range_header(value: &str) -> u64 {
    let Ok(parsed) = http_range_header::parse_range_header(value) else { return 0 };
    parsed.validate(LEN).map_or(0, |ranges| ranges.iter().map(|range| range.end() - range.start() + 1).sum())
}

fn headers_crate(value: &HeaderValue) -> u64 {
    use std::ops::Bound;
    let Ok(range) = headers::Range::decode(&mut std::iter::once(value)) else { return 0 };
    let length = |(start, end)| match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => end - start + 1,
        (Bound::Included(start), _) => LEN - start,
        _ => 0,
    };
    range.satisfiable_ranges(LEN).map(length).sum()
}

fn http_range(value: &str) -> u64 {
    http_range::HttpRange::parse(value, LEN).map_or(0, |ranges| ranges.iter().map(|range| range.length).sum())
}

/// Without limits, so that the whole value is worked on.
fn unlimited() -> Limits {
    Limits { max_specs: usize::MAX, max_parts: usize::MAX, ..Limits::new() }
}

macro_rules! compare {
    ($name:ident, $value:expr) => {
        mod $name {
            use super::*;

            #[divan::bench]
            fn a_range_http(bencher: Bencher<'_, '_>) {
                let (value, limits) = ($value, Limits::new());
                bencher.bench(|| range_http(black_box(&value), black_box(&limits)));
            }

            #[divan::bench]
            fn b_http_range_header(bencher: Bencher<'_, '_>) {
                let value = $value;
                bencher.bench(|| http_range_header(black_box(&value)));
            }

            #[divan::bench]
            fn c_headers(bencher: Bencher<'_, '_>) {
                let value = HeaderValue::try_from($value).expect("a value");
                bencher.bench(|| headers_crate(black_box(&value)));
            }

            #[divan::bench]
            fn d_http_range(bencher: Bencher<'_, '_>) {
                let value = $value;
                bencher.bench(|| http_range(black_box(&value)));
            }
        }
    };
}

compare!(single_range, single());
compare!(sixty_four_ranges, specs_64());
compare!(hostile_100_kb, hostile(100));

/// Time per byte stays the same from one kilobyte to a thousand.
#[divan::bench(args = [1, 10, 100, 1000])]
fn linear_in_the_kilobytes(bencher: Bencher<'_, '_>, kilobytes: usize) {
    let (value, limits) = (hostile(kilobytes), unlimited());
    let bytes = divan::counter::BytesCount::new(value.len());
    bencher.counter(bytes).bench(|| range_http(black_box(&value), black_box(&limits)));
}
