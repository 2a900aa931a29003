//! What a request costs in memory.

mod support;

use allocation_counter::measure;
use range_http::{ByteRange, Limits, MethodKind, Policy, RangeHeader, Resolved, plan};
use support::representation;

#[test]
fn one_range_is_parsed_and_resolved_without_an_allocation() {
    for value in
        ["bytes=0-499", "bytes=500-", "bytes=-500", "Bytes= 0-18446744073709551616 ,, ", "bytes=9999-"]
    {
        let limits = Limits::new();
        let mut resolved = Resolved::Unsatisfiable;
        let info = measure(|| {
            resolved = RangeHeader::parse(value.as_bytes(), 64).unwrap().resolve(1_000, &limits);
        });
        assert_eq!(info.count_total, 0, "{value} became {resolved:?}");
    }
}

#[test]
fn a_refused_header_costs_nothing_however_long_it_is() {
    for value in ["bytes=0-0,".repeat(10_000), format!("bytes={}", "9".repeat(100_000)), ",".repeat(100_000)]
    {
        let info = measure(|| assert!(RangeHeader::parse(value.as_bytes(), 64).is_err()));
        assert_eq!(info.count_total, 0, "{} bytes", value.len());
    }
}

#[test]
fn memory_grows_with_the_number_of_ranges_and_not_with_their_bytes() {
    let peak = |value: &str, len| {
        let representation = representation(len);
        let fields = [("range", value)];
        let info = measure(|| {
            let plan = plan(&(MethodKind::Get, &fields[..]), &representation, &Policy::new());
            assert_eq!(plan.status(), 206);
        });
        info.bytes_max
    };
    let spread = |len: u64| {
        let specs = (0..30u64).map(|part| format!("{}-{},", part * (len / 30), part * (len / 30) + len / 60));
        format!("bytes={}", specs.collect::<String>())
    };
    let small = peak(&spread(1 << 20), 1 << 20);
    let large = peak(&spread(1 << 50), 1 << 50);
    assert!(small < 32 * 1024 && large < 32 * 1024, "{small} and {large} bytes for 30 parts");
    assert!(peak("bytes=0-", u64::MAX) < 2 * 1024, "one range");
}

#[test]
fn a_byte_range_is_two_words() {
    assert_eq!(size_of::<ByteRange>(), 16);
}
