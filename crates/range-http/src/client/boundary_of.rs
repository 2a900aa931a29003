//! The boundary parameter of a Content-Type (RFC 9110 §8.3.1, §14.6, RFC 2046 §5.1.1).

use crate::scan::trim_ows;

/// The boundary parameter of a multipart/byteranges Content-Type.
pub(super) fn boundary_of(content_type: &[u8]) -> Option<&[u8]> {
    let mut rest = content_type;
    let media_type = trim_ows(take_until(&mut rest, b';'));
    if !media_type.eq_ignore_ascii_case(b"multipart/byteranges") {
        return None;
    }
    let mut boundary = None;
    while !rest.is_empty() {
        let name = trim_ows(take_until(&mut rest, b'='));
        let value = match rest.strip_prefix(b"\"") {
            Some(quoted) => {
                rest = quoted;
                let value = take_until(&mut rest, b'"');
                if !trim_ows(take_until(&mut rest, b';')).is_empty() {
                    return None;
                }
                value
            }
            None => trim_ows(take_until(&mut rest, b';')),
        };
        if name.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
            return None;
        }
    }
    boundary.filter(|boundary| {
        let legal = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
        (1..=70).contains(&boundary.len()) && boundary.iter().all(legal) && boundary.last() != Some(&b' ')
    })
}

/// Everything before the first `end`, which is dropped.
fn take_until<'a>(rest: &mut &'a [u8], end: u8) -> &'a [u8] {
    let found = rest.iter().position(|byte| *byte == end);
    let (taken, after) = match found {
        Some(found) => (&rest[..found], &rest[found + 1..]),
        None => (*rest, &[][..]),
    };
    *rest = after;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundary_is_read_quoted_or_not() {
        for (content_type, expected) in [
            ("multipart/byteranges; boundary=x", Some("x")),
            ("Multipart/ByteRanges ;BOUNDARY=\"a b:c\" ", Some("a b:c")),
            ("multipart/byteranges; charset=utf-8; boundary=x", Some("x")),
            ("multipart/byteranges; boundary=\"x\"; charset=\"a\"", Some("x")),
            ("multipart/byteranges", None),
            ("multipart/byteranges; boundary=", None),
            ("multipart/byteranges; boundary=\"x\"y", None),
            ("multipart/byteranges; boundary=x; boundary=y", None),
            ("multipart/byteranges; boundary=\"a \"", None),
            ("multipart/byteranges; boundary=a\u{fc}", None),
            ("multipart/mixed; boundary=x", None),
            ("text/plain", None),
            ("", None),
        ] {
            assert_eq!(boundary_of(content_type.as_bytes()), expected.map(str::as_bytes), "{content_type}");
        }
        let long = ["multipart/byteranges; boundary=", &"x".repeat(71)].concat();
        assert_eq!(boundary_of(long.as_bytes()), None);
    }
}
