//! What RFC 9110 leaves to the server, as values.

/// The choices a server makes where the RFC says MAY, SHOULD or nothing.
///
/// The default serves everything that is safe: several ranges as multipart, invalid syntax as the full 200, an inverted
/// or unsatisfiable range as 416.
///
/// ```
/// use range_http::{Multi, Policy};
///
/// // A file server for download clients, which never ask for several ranges.
/// let policy = Policy::new().with_multi(Multi::Ignore);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// A Range value that is no valid ranges-specifier. Default: [`OnInvalid::Ignore`].
    pub malformed: OnInvalid,
    /// A single range whose last-pos lies before its first-pos. Default: [`OnInvalid::Reject`].
    pub inverted: OnInvalid,
    /// Any range of a representation without bytes. Default: [`OnEmpty::Full`].
    pub empty: OnEmpty,
    /// More than one range. Default: [`Multi::Serve`].
    pub multi: Multi,
    /// Which dates If-Range may carry. Default: [`DateTrust::WhenSettled`].
    pub if_range_date: DateTrust,
    /// Which fields a 206 to a request with If-Range carries. Default: [`IfRangeFields::Required`].
    pub if_range_fields: IfRangeFields,
    /// Bounds on the work of one request.
    pub limits: Limits,
    /// The secret that makes multipart boundaries unpredictable; see [`Policy::with_boundary_key`].
    pub boundary_key: u128,
}

impl Policy {
    /// The defaults with a boundary key of zero, usable in a `const`.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            malformed: OnInvalid::Ignore,
            inverted: OnInvalid::Reject,
            empty: OnEmpty::Full,
            multi: Multi::Serve,
            if_range_date: DateTrust::WhenSettled,
            if_range_fields: IfRangeFields::Required,
            limits: Limits::new(),
            boundary_key: 0,
        }
    }

    /// Sets [`Policy::malformed`].
    #[must_use]
    pub const fn with_malformed(mut self, malformed: OnInvalid) -> Self {
        self.malformed = malformed;
        self
    }

    /// Sets [`Policy::inverted`].
    #[must_use]
    pub const fn with_inverted(mut self, inverted: OnInvalid) -> Self {
        self.inverted = inverted;
        self
    }

    /// Sets [`Policy::empty`].
    #[must_use]
    pub const fn with_empty(mut self, empty: OnEmpty) -> Self {
        self.empty = empty;
        self
    }

    /// Sets [`Policy::multi`].
    #[must_use]
    pub const fn with_multi(mut self, multi: Multi) -> Self {
        self.multi = multi;
        self
    }

    /// Sets [`Policy::if_range_date`].
    #[must_use]
    pub const fn with_if_range_date(mut self, trust: DateTrust) -> Self {
        self.if_range_date = trust;
        self
    }

    /// Sets [`Policy::if_range_fields`].
    #[must_use]
    pub const fn with_if_range_fields(mut self, fields: IfRangeFields) -> Self {
        self.if_range_fields = fields;
        self
    }

    /// Sets [`Policy::limits`].
    #[must_use]
    pub const fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the secret from which multipart boundaries are derived: one random number per process is enough.
    ///
    /// A boundary is a keyed hash of the validators and the ranges, so equal requests get equal answers, and without
    /// the key nobody can prepare content that holds its own boundary. With the `std` feature [`Policy::default`]
    /// draws one. Under a key of zero boundaries still never occur by accident.
    #[must_use]
    pub const fn with_boundary_key(mut self, key: u128) -> Self {
        self.boundary_key = key;
        self
    }
}

impl Default for Policy {
    #[cfg(feature = "std")]
    fn default() -> Self {
        Self::new().with_boundary_key(process_key())
    }

    #[cfg(not(feature = "std"))]
    fn default() -> Self {
        Self::new()
    }
}

/// 128 bits of the operating system's randomness, drawn once.
#[cfg(feature = "std")]
fn process_key() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    use std::sync::OnceLock;

    static KEY: OnceLock<u128> = OnceLock::new();
    *KEY.get_or_init(|| {
        let [high, low] = [0u8, 1].map(|half| u128::from(RandomState::new().hash_one(half)));
        high << 64 | low
    })
}

/// What to do with a Range that is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnInvalid {
    /// Serve the whole representation as if Range were absent.
    Ignore,
    /// Answer 416 with the complete-length.
    Reject,
}

/// What to do with a range of an empty representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnEmpty {
    /// 200 for every range (RFC 9110 §14.2): a client that adds `bytes=0-` to everything still works.
    Full,
    /// 416, unless a suffix of at least one byte makes the set satisfiable by definition.
    Strict,
}

/// What to do with a set of several ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Multi {
    /// Answer with multipart/byteranges, or with one plain range if one is left after merging.
    Serve,
    /// Answer with the first satisfiable range only.
    First,
    /// Serve the whole representation.
    Ignore,
}

/// When the date of If-Range may select a range. A date is a strong validator only if the representation cannot have
/// changed twice within its second (RFC 9110 §8.8.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateTrust {
    /// A date in If-Range never matches.
    Never,
    /// It matches exactly Last-Modified of a representation that is [`settled`](crate::Representation::with_settled).
    WhenSettled,
    /// It matches exactly Last-Modified, settled or not.
    Always,
}

/// What a 206 to a request with If-Range says about the representation besides the ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfRangeFields {
    /// Cache-Control, Content-Location, ETag, Expires, Vary and fields that do not describe the representation; also
    /// Last-Modified where there is no ETag. The client has the rest already (RFC 9110 §15.3.7).
    Required,
    /// The same fields as without If-Range.
    All,
}

/// Bounds on the work one Range field can ask for.
///
/// Whatever the limits, a multipart answer is never longer than the representation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most range-specs read, 64 by default; more are answered with the whole representation.
    pub max_specs: usize,
    /// Most parts after merging, 32 by default.
    pub max_parts: usize,
    /// Ranges at most this many bytes apart are merged, 128 by default: about what the head of one more part costs.
    pub coalesce_gap: u64,
    /// Most bytes of the representation in one 206; no limit by default. More are answered with a 200.
    pub max_bytes: Option<u64>,
    /// Most bytes served for an open range such as `5-`, at least one; no limit by default. Legal, since a 206 says
    /// what it holds, and clients that play media ask again.
    pub max_open_len: Option<u64>,
}

impl Limits {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { max_specs: 64, max_parts: 32, coalesce_gap: 128, max_bytes: None, max_open_len: None }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
