//! One decision: from a request, a representation and a policy to an answer.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::boundary::boundary;
use crate::field;
use crate::multipart::Parts;
use crate::preconditions::{Verdict, evaluate, if_range_fails};
use crate::{
    BodyPlan, ByteRange, ContentRange, IfRangeFields, MethodKind, Multi, OnEmpty, OnInvalid, Policy,
    RangeError, RangeHeader, Reason, Representation, RequestView, Resolved, Segment,
};

/// Decides how to answer a request for a representation that exists and would be served with a 200.
///
/// A pure function: it reads no byte of the representation, no clock and no socket. Preconditions come first in the
/// order of RFC 9110 §13.2.2, then If-Range, then Range.
///
/// Methods other than GET and HEAD get a 405; whoever handles them does so before asking here. A Content-Range in the
/// request is ignored (RFC 9110 §14.4), so a partial PUT is never taken for anything else.
pub fn plan(request: &impl RequestView, representation: &Representation, policy: &Policy) -> Plan {
    let method = request.method();
    if method == MethodKind::Other {
        return Plan::refusal(405, Reason::MethodNotAllowed).with(field::ALLOW, "GET, HEAD");
    }
    match evaluate(request, representation) {
        Verdict::Proceed => {}
        Verdict::NotModified(reason) => return Plan::not_modified(reason, representation),
        Verdict::Failed(reason) => return Plan::refusal(412, reason),
    }
    let choice = choose(request, representation, policy);
    let mut plan = match choice {
        Choice::Whole(reason) => Plan::whole(reason, representation),
        Choice::Reject(reason) => Plan::unsatisfiable(reason, representation),
        Choice::One(reason, range) => Plan::one(reason, range, representation),
        Choice::Several(ranges) => Plan::several(&ranges, representation, policy),
    };
    if plan.status == 206
        && policy.if_range_fields == IfRangeFields::Required
        && request.lines("if-range").next().is_some()
    {
        plan.drop_fields_known_to_the_client(representation);
    }
    if method == MethodKind::Head {
        plan.body = BodyPlan::empty();
    }
    plan
}

enum Choice {
    Whole(Reason),
    Reject(Reason),
    One(Reason, ByteRange),
    Several(Vec<ByteRange>),
}

/// What the Range and If-Range fields come to.
fn choose(request: &impl RequestView, representation: &Representation, policy: &Policy) -> Choice {
    let mut lines = request.lines("range");
    let Some(value) = lines.next() else { return Choice::Whole(Reason::NoRange) };
    if request.method() != MethodKind::Get {
        return Choice::Whole(Reason::MethodIgnoresRange);
    }
    if lines.next().is_some() {
        return Choice::Whole(Reason::SeveralRangeLines);
    }
    if let Some(reason) = if_range_fails(request, representation, policy.if_range_date) {
        return Choice::Whole(reason);
    }
    let header = match RangeHeader::parse(value, policy.limits.max_specs) {
        Ok(header) => header,
        Err(RangeError::UnknownUnit) => return Choice::Whole(Reason::UnknownUnit),
        Err(RangeError::TooManySpecs) => return Choice::Whole(Reason::TooManyRanges),
        Err(_) if representation.len() == 0 && policy.empty == OnEmpty::Full => {
            return Choice::Whole(Reason::EmptyRepresentation);
        }
        Err(RangeError::Inverted) => return on_invalid(policy.inverted, Reason::Inverted),
        Err(RangeError::Malformed { .. }) => return on_invalid(policy.malformed, Reason::Malformed),
    };
    if representation.len() == 0 && policy.empty == OnEmpty::Full {
        return Choice::Whole(Reason::EmptyRepresentation);
    }
    match policy.multi {
        Multi::Ignore if header.count() > 1 => return Choice::Whole(Reason::SeveralRangesIgnored),
        Multi::First if header.count() > 1 => {
            let range = header.specs().find_map(|spec| spec.resolve(representation.len()));
            return range.map_or(Choice::Reject(Reason::Unsatisfiable), |range| {
                Choice::One(Reason::FirstRange, range)
            });
        }
        _ => {}
    }
    match header.resolve(representation.len(), &policy.limits) {
        Resolved::Full(reason) => Choice::Whole(reason),
        Resolved::Unsatisfiable => Choice::Reject(Reason::Unsatisfiable),
        Resolved::Single(range) => Choice::One(Reason::SingleRange, range),
        Resolved::Multi(ranges) => Choice::Several(ranges.iter().collect()),
    }
}

fn on_invalid(choice: OnInvalid, reason: Reason) -> Choice {
    match choice {
        OnInvalid::Ignore => Choice::Whole(reason),
        OnInvalid::Reject => Choice::Reject(reason),
    }
}

/// How to answer: status, fields, body, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    status: u16,
    reason: Reason,
    content_length: Option<u64>,
    fields: Vec<(&'static str, Value)>,
    body: BodyPlan,
}

/// Text, or the bytes of an entity tag that is not UTF-8.
type Value = Cow<'static, [u8]>;

impl Plan {
    /// 200, 206, 304, 405, 412 or 416.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The rule that chose the status.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// The value of Content-Length: the length of the body, for HEAD the length the body would have. `None` on a 304.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Every field to send besides Date and those of the connection: names in lower case, Content-Length included
    /// (zero on an error; whoever adds a body there replaces it).
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &[u8])> {
        self.fields.iter().map(|(name, value)| (*name, &**value))
    }

    /// The first value of the field `name`, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// What to write after the head.
    #[must_use]
    pub const fn body(&self) -> &BodyPlan {
        &self.body
    }

    /// The pieces of the body in order.
    pub fn segments(&self) -> impl Iterator<Item = Segment<'_>> {
        self.body.segments()
    }

    /// Takes the body out of the plan.
    #[must_use]
    pub fn into_body(self) -> BodyPlan {
        self.body
    }

    fn whole(reason: Reason, representation: &Representation) -> Self {
        let body = BodyPlan::one(ByteRange::new(0, representation.len()));
        Self::new(200, reason)
            .with_representation(representation)
            .with_content_type(representation)
            .with_body(body)
    }

    fn one(reason: Reason, range: ByteRange, representation: &Representation) -> Self {
        let content_range = ContentRange::Range { range, complete: Some(representation.len()) };
        Self::new(206, reason)
            .with_representation(representation)
            .with_content_type(representation)
            .with(field::CONTENT_RANGE, content_range.to_string())
            .with_body(BodyPlan::one(Some(range)))
    }

    fn several(ranges: &[ByteRange], representation: &Representation, policy: &Policy) -> Self {
        let len = representation.len();
        let boundary = boundary(policy.boundary_key, len, representation.etag(), ranges);
        let parts = Parts::new(&boundary, representation.content_type(), ranges, len);
        // Nobody is served more for asking in pieces.
        if parts.len() > len || parts.len() == u64::MAX {
            return Self::whole(Reason::Inefficient, representation);
        }
        let content_type = ["multipart/byteranges; boundary=", &boundary].concat();
        Self::new(206, Reason::SeveralRanges)
            .with_representation(representation)
            .with(field::CONTENT_TYPE, content_type)
            .with_body(BodyPlan::parts(parts))
    }

    fn unsatisfiable(reason: Reason, representation: &Representation) -> Self {
        let content_range = ContentRange::Unsatisfied { complete: representation.len() };
        Self::refusal(416, reason)
            .with(field::ACCEPT_RANGES, "bytes")
            .with(field::CONTENT_RANGE, content_range.to_string())
    }

    fn not_modified(reason: Reason, representation: &Representation) -> Self {
        let mut plan = Self::new(304, reason).with_validators(representation).with_fields(representation);
        plan.drop_fields_known_to_the_client(representation);
        plan
    }

    fn refusal(status: u16, reason: Reason) -> Self {
        Self::new(status, reason).with_body(BodyPlan::empty())
    }

    const fn new(status: u16, reason: Reason) -> Self {
        Self { status, reason, content_length: None, fields: Vec::new(), body: BodyPlan::empty() }
    }

    fn with(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        let value = match value.into() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        self.fields.push((name, value));
        self
    }

    fn with_representation(self, representation: &Representation) -> Self {
        self.with(field::ACCEPT_RANGES, "bytes").with_validators(representation).with_fields(representation)
    }

    fn with_validators(mut self, representation: &Representation) -> Self {
        if let Some(etag) = representation.etag() {
            self.fields.push((field::ETAG, Cow::Owned(etag.as_bytes().to_vec())));
        }
        match representation.last_modified() {
            Some(date) => self.with(field::LAST_MODIFIED, date.to_string()),
            None => self,
        }
    }

    fn with_fields(self, representation: &Representation) -> Self {
        representation.fields().fold(self, |plan, (name, value)| plan.with(name, String::from(value)))
    }

    fn with_content_type(self, representation: &Representation) -> Self {
        match representation.content_type() {
            Some(content_type) => self.with(field::CONTENT_TYPE, String::from(content_type)),
            None => self,
        }
    }

    fn with_body(mut self, body: BodyPlan) -> Self {
        self.content_length = Some(body.len());
        self.body = body;
        let length = self.body.len().to_string();
        self.with(field::CONTENT_LENGTH, length)
    }

    /// Leaves the fields a client with a stored copy needs (RFC 9110 §15.3.7, §15.4.5). The type of a multipart body
    /// says how to read it, and so stays.
    fn drop_fields_known_to_the_client(&mut self, representation: &Representation) {
        let tagged = representation.etag().is_some();
        let multipart = self.body.is_multipart();
        self.fields.retain(|(name, _)| match *name {
            field::CONTENT_LENGTH | field::CONTENT_RANGE => true,
            field::CONTENT_TYPE => multipart,
            field::LAST_MODIFIED => !tagged,
            name => !field::describes_representation(name),
        });
    }
}
