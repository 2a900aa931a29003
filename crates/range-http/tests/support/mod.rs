//! What the behaviour tests share: requests as lists of fields, and bodies put together from plans.

#![allow(dead_code, reason = "every test binary uses its own part of this")]

use range_http::{BodyPlan, EntityTag, HttpDate, MethodKind, Plan, Policy, Representation, Segment, plan};

/// The moment of Last-Modified in [`representation`], an hour before it and an hour after it.
pub(crate) const THEN: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
pub(crate) const BEFORE: &str = "Tue, 14 Nov 2023 21:13:20 GMT";
pub(crate) const AFTER: &str = "Tue, 14 Nov 2023 23:13:20 GMT";
/// Its entity tag.
pub(crate) const TAG: &str = "\"now\"";

pub(crate) type Fields<'a> = &'a [(&'a str, &'a str)];

/// A settled representation with both validators and a type.
pub(crate) fn representation(len: u64) -> Representation {
    Representation::new(len)
        .with_etag(EntityTag::parse(TAG.as_bytes()))
        .with_last_modified(HttpDate::parse(THEN.as_bytes()))
        .with_settled(true)
        .with_content_type("text/plain")
}

pub(crate) fn get(fields: Fields<'_>, len: u64) -> Plan {
    get_with(fields, &representation(len), &Policy::new())
}

pub(crate) fn head(fields: Fields<'_>, len: u64) -> Plan {
    plan(&(MethodKind::Head, fields), &representation(len), &Policy::new())
}

pub(crate) fn get_with(fields: Fields<'_>, representation: &Representation, policy: &Policy) -> Plan {
    plan(&(MethodKind::Get, fields), representation, policy)
}

/// A GET of 10 bytes with one Range.
pub(crate) fn range_of_10(value: &str) -> Plan {
    get(&[("Range", value)], 10)
}

/// The field `name` as text.
pub(crate) fn field<'a>(plan: &'a Plan, name: &str) -> Option<&'a str> {
    plan.header(name).map(|value| std::str::from_utf8(value).expect("fields are text here"))
}

/// Status and Content-Range: what a range request is about.
pub(crate) fn outcome(plan: &Plan) -> (u16, Option<&str>) {
    (plan.status(), field(plan, "content-range"))
}

/// `len` bytes, no two neighbourhoods alike.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|place| (place * 31 + place / 251) as u8).collect()
}

/// The bytes a plan stands for.
pub(crate) fn write_body(body: &BodyPlan, content: &[u8]) -> Vec<u8> {
    let mut written = Vec::new();
    for segment in body.segments() {
        match segment {
            Segment::Bytes(text) => written.extend_from_slice(text),
            Segment::Source(range) => {
                written.extend_from_slice(&content[range.start() as usize..range.end() as usize]);
            }
        }
    }
    written
}
