//! Every case of `examples/conformance/cases.txt`, answered by the default policy; and the table in the README.

#![cfg(feature = "http")]

#[path = "../examples/conformance/cases.rs"]
mod cases;
mod support;

use cases::{Answer, Case, Received, Validators, all, content};
use range_http::{HttpDate, MethodKind, Policy, Segment, plan};
use support::representation;

fn answer(case: &Case) -> Received {
    let validators = Validators {
        etag: support::TAG.into(),
        date: HttpDate::parse(support::THEN.as_bytes()).expect("the date of the representation"),
    };
    let fields = case.fields_for(&validators);
    let plan = plan(
        &(MethodKind::of(case.method), &fields[..]),
        &representation(case.len as u64),
        &Policy::default(),
    );
    let text = |value: &[u8]| String::from_utf8(value.into()).expect("fields are text here");
    Received {
        status: plan.status(),
        fields: plan.headers().map(|(name, value)| (name.into(), text(value))).collect(),
        body: support::write_body(plan.body(), &content(case.len)),
    }
}

#[test]
fn every_case_gets_the_answer_listed_first() {
    let cases = all();
    let faults: Vec<_> = cases
        .iter()
        .filter_map(|case| {
            let received = answer(case);
            let sent = received.answer(case);
            let exact = case.answers[0] == Answer::Bounded || sent.as_ref() == Ok(&case.answers[0]);
            let fault =
                case.fault(&received, &case.answers[..1]).or((!exact).then(|| "not all ranges".into()))?;
            Some(format!(
                "{}: {} {:?} of {}: {fault} ({})",
                case.group, case.method, case.fields, case.len, case.why
            ))
        })
        .collect();
    assert!(faults.is_empty(), "{} of {} cases fail:\n{}", faults.len(), cases.len(), faults.join("\n"));
}

#[test]
fn no_answer_is_longer_than_the_file() {
    for case in all() {
        let fields = &case.fields[..];
        let plan = plan(&(MethodKind::Get, fields), &representation(case.len as u64), &Policy::default());
        assert!(plan.body().len() <= case.len as u64, "{fields:?}");
        assert!(plan.segments().all(|segment| segment != Segment::Bytes(b"")), "{fields:?}");
    }
}

#[test]
fn the_table_in_the_readme_counts_these_cases() {
    let readme = include_str!("../README.md");
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for case in all() {
        match groups.last_mut() {
            Some((group, count)) if *group == case.group => *count += 1,
            _ => groups.push((case.group, 1)),
        }
    }
    let rows: String =
        groups.iter().map(|(group, count)| format!("| {group} | {count} | {count} |\n")).collect();
    assert!(readme.contains(&rows), "the README should say:\n{rows}");
}
