//! Names of response fields and values that are safe to write.

use alloc::borrow::Cow;
use alloc::string::String;

pub(crate) const ACCEPT_RANGES: &str = "accept-ranges";
pub(crate) const ALLOW: &str = "allow";
pub(crate) const CACHE_CONTROL: &str = "cache-control";
pub(crate) const CONTENT_DISPOSITION: &str = "content-disposition";
pub(crate) const CONTENT_ENCODING: &str = "content-encoding";
pub(crate) const CONTENT_LENGTH: &str = "content-length";
pub(crate) const CONTENT_LOCATION: &str = "content-location";
pub(crate) const CONTENT_RANGE: &str = "content-range";
pub(crate) const CONTENT_TYPE: &str = "content-type";
pub(crate) const ETAG: &str = "etag";
pub(crate) const LAST_MODIFIED: &str = "last-modified";
pub(crate) const REPR_DIGEST: &str = "repr-digest";
pub(crate) const TRANSFER_ENCODING: &str = "transfer-encoding";

/// Whether a field describes the representation and nothing a 304, or a 206 after If-Range, has to repeat
/// (RFC 9110 §15.3.7, §15.4.5).
///
/// Repr-Digest does not count: who resumes needs it to check the whole, and may not have kept it.
pub(crate) fn describes_representation(name: &str) -> bool {
    name != CONTENT_LOCATION && name.starts_with("content-")
}

/// A value without control characters, each of them replaced by a space as RFC 9110 §5.5 allows: nobody ends a line by
/// what they put into a file name.
pub(crate) fn clean(value: Cow<'static, str>) -> Cow<'static, str> {
    let safe = |c: char| c == '\t' || !c.is_ascii_control();
    if value.chars().all(safe) {
        return value;
    }
    let cleaned: String = value.chars().map(|c| if safe(c) { c } else { ' ' }).collect();
    Cow::Owned(cleaned)
}
