//! Where a redirect leads, and what may travel along (RFC 9110 §15.4).

use http::{HeaderMap, header};
use thiserror::Error;
use url::Url;

/// Redirects followed for one request.
pub const MAX_REDIRECTS: usize = 10;

/// Why a redirect is not followed.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RedirectError {
    /// No `Location`, or one that is no URL.
    #[error("the redirect says nowhere usable")]
    BadLocation,
    /// Not http or https, or a step from https down to http.
    #[error("the redirect leads to {0}, which is not allowed")]
    Scheme(String),
    /// A name and password in the target, which nobody here gave.
    #[error("the redirect carries credentials of its own")]
    Credentials,
    /// Too long a chain, or a circle.
    #[error("more than {MAX_REDIRECTS} redirects")]
    TooMany,
}

/// Resolves `location` against `current` and checks that it may be followed.
///
/// # Errors
/// [`RedirectError`] names what is wrong with the target.
pub(crate) fn follow(current: &Url, location: Option<&[u8]>) -> Result<Url, RedirectError> {
    let location =
        location.and_then(|bytes| std::str::from_utf8(bytes).ok()).ok_or(RedirectError::BadLocation)?;
    let next = current.join(location).map_err(|_| RedirectError::BadLocation)?;
    match (current.scheme(), next.scheme()) {
        (_, "https") | ("http", "http") => {}
        (_, other) => return Err(RedirectError::Scheme(other.to_owned())),
    }
    if next.host_str().is_none() {
        return Err(RedirectError::BadLocation);
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(RedirectError::Credentials);
    }
    Ok(next)
}

/// Takes out of `headers` what another origin must not see: everything the caller added.
///
/// A list of known secrets would miss `X-Api-Key` and its kin; what the engine itself sets (range, guard, identity)
/// is kept by name instead.
pub(crate) fn strip_for_other_origin(headers: &mut HeaderMap) {
    let kept = [header::RANGE, header::IF_RANGE, header::ACCEPT_ENCODING, header::ACCEPT, header::USER_AGENT];
    let dropped: Vec<_> = headers.keys().filter(|name| !kept.contains(name)).cloned().collect();
    for name in dropped {
        headers.remove(name);
    }
}

/// Whether both URLs have the same scheme, host and port.
pub(crate) fn same_origin(a: &Url, b: &Url) -> bool {
    a.origin() == b.origin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_is_followed_only_where_nothing_is_given_away() {
        let here = Url::parse("https://a.example/x/file").unwrap();
        for (location, expected, because) in [
            ("../y", Ok("https://a.example/y"), "relative references resolve against the current URL"),
            ("//b.example/z", Ok("https://b.example/z"), "another host is allowed"),
            ("http://a.example/", Err(RedirectError::Scheme("http".into())), "never from https to http"),
            ("file:///etc/passwd", Err(RedirectError::Scheme("file".into())), "never out of HTTP"),
            ("https://me:pw@a.example/", Err(RedirectError::Credentials), "no credentials from a stranger"),
            ("https://", Err(RedirectError::BadLocation), "no host"),
        ] {
            let got = follow(&here, Some(location.as_bytes()));
            assert_eq!(got.as_ref().map(Url::as_str), expected.as_ref().copied(), "{location}: {because}");
        }
        assert_eq!(follow(&here, None), Err(RedirectError::BadLocation));
        assert_eq!(follow(&here, Some(b"\xff")), Err(RedirectError::BadLocation));
    }

    #[test]
    fn another_origin_sees_the_range_and_none_of_the_callers_headers() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("range", "bytes=5-"), ("x-api-key", "s"), ("authorization", "s"), ("cookie", "s")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        strip_for_other_origin(&mut headers);
        assert_eq!(headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["range"]);
    }
}
