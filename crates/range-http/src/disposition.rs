//! The Content-Disposition response field (RFC 6266, RFC 8187).
//!
//! ```text
//! Content-Disposition: attachment; filename="plan.txt"
//! Content-Disposition: attachment; filename="na_ve.txt"; filename*=UTF-8''na%C3%AFve.txt
//! ```

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use core::fmt;

/// Whether a client should save the content or show it, and under which name.
///
/// The name is what a client offers its user, never a path: separators, control characters and the invisible characters
/// that turn `exe.txt` around become `_`. Old clients get an ASCII name, all others the real one.
///
/// ```
/// use range_http::ContentDisposition;
///
/// let value = ContentDisposition::attachment("Füße 100%.pdf").to_string();
/// assert_eq!(value, "attachment; filename=\"F__e 100_.pdf\"; filename*=UTF-8''F%C3%BC%C3%9Fe%20100%25.pdf");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentDisposition {
    kind: &'static str,
    name: String,
}

impl ContentDisposition {
    /// Save it as `name`; an empty name leaves the choice to the client.
    #[must_use]
    pub fn attachment(name: &str) -> Self {
        Self { kind: "attachment", name: harmless(name) }
    }

    /// Show it; `name` is for whoever saves it then.
    #[must_use]
    pub fn inline(name: &str) -> Self {
        Self { kind: "inline", name: harmless(name) }
    }
}

impl fmt::Display for ContentDisposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind)?;
        if self.name.is_empty() {
            return Ok(());
        }
        let fallback: String = self.name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        write!(f, "; filename=\"{fallback}\"")?;
        if fallback != self.name {
            write!(f, "; filename*=UTF-8''{}", Encoded(&self.name))?;
        }
        Ok(())
    }
}

impl From<ContentDisposition> for Cow<'static, str> {
    fn from(disposition: ContentDisposition) -> Self {
        Cow::Owned(disposition.to_string())
    }
}

fn harmless(name: &str) -> String {
    name.chars().map(|c| if is_harmful(c) { '_' } else { c }).collect()
}

fn is_harmful(c: char) -> bool {
    // Path separators, controls, and the marks and overrides of bidirectional text.
    matches!(c, '/' | '\\' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || c.is_control()
}

/// Safe between quotes in every client: no escapes, and no `%`, which some of them decode (RFC 6266 appendix D).
const fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '"' | '\\' | '%')
}

/// `value-chars` of RFC 8187.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_for_old_and_new_clients() {
        for (name, expected) in [
            ("plan.txt", "attachment; filename=\"plan.txt\""),
            ("the plan.txt", "attachment; filename=\"the plan.txt\""),
            ("", "attachment"),
            ("naïve.txt", "attachment; filename=\"na_ve.txt\"; filename*=UTF-8''na%C3%AFve.txt"),
            ("€ rates", "attachment; filename=\"_ rates\"; filename*=UTF-8''%E2%82%AC%20rates"),
            ("a\"b", "attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
            ("50%41", "attachment; filename=\"50_41\"; filename*=UTF-8''50%2541"),
            ("it's (1);", "attachment; filename=\"it's (1);\""),
        ] {
            assert_eq!(ContentDisposition::attachment(name).to_string(), expected, "{name}");
        }
        assert_eq!(ContentDisposition::inline("a").to_string(), "inline; filename=\"a\"");
    }

    #[test]
    fn a_name_is_never_a_path_nor_a_header() {
        for (name, expected) in [
            ("../../etc/passwd", "attachment; filename=\".._.._etc_passwd\""),
            ("C:\\boot.ini", "attachment; filename=\"C:_boot.ini\""),
            ("a\r\nSet-Cookie: b", "attachment; filename=\"a__Set-Cookie: b\""),
            ("a\u{202e}txt.exe", "attachment; filename=\"a_txt.exe\""),
            ("a\0b\u{7f}\u{85}", "attachment; filename=\"a_b__\""),
        ] {
            assert_eq!(ContentDisposition::attachment(name).to_string(), expected, "{name:?}");
        }
    }
}
