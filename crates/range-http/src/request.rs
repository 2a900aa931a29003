//! What a decision needs to see of a request.

/// The methods that matter to ranges and preconditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodKind {
    /// The only method Range is defined for (RFC 9110 §14.2).
    Get,
    /// Like GET without a body, and without Range.
    Head,
    /// Anything else.
    Other,
}

impl MethodKind {
    /// From the method token, which is case-sensitive.
    #[must_use]
    pub fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            _ => Self::Other,
        }
    }
}

/// Read access to the head of a request, whatever type holds it.
///
/// Implemented for `http::request::Parts`, `http::Request<B>` and `(&http::Method, &http::HeaderMap)` with the feature
/// `http`, and for `(MethodKind, &[(name, value)])` always.
///
/// ```
/// use range_http::{MethodKind, Policy, Representation, plan};
///
/// let fields = [("Range", "bytes=0-4")];
/// let plan = plan(&(MethodKind::Get, &fields[..]), &Representation::new(10), &Policy::default());
/// assert_eq!((plan.status(), plan.content_length()), (206, Some(5)));
/// ```
pub trait RequestView {
    /// The method.
    fn method(&self) -> MethodKind;

    /// The lines of the field `name`, given in lower case, in the order received and without the name.
    fn lines<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]>;
}

impl<N: AsRef<str>, V: AsRef<[u8]>> RequestView for (MethodKind, &[(N, V)]) {
    fn method(&self) -> MethodKind {
        self.0
    }

    fn lines<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a [u8]> {
        let named = move |(other, _): &&(N, V)| other.as_ref().eq_ignore_ascii_case(name);
        self.1.iter().filter(named).map(|(_, value)| value.as_ref())
    }
}
