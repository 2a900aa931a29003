//! The web page: three files that are part of the program, and ask nobody outside for anything.
//!
//! The page holds nothing of ours. What it shows it fetches from the admin API, with the session of whoever looks.

use http::Response;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use super::text;
use crate::http::body::Body;

/// One of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum File {
    Page,
    Style,
    Script,
}

pub(super) fn show(file: File) -> Response<Body> {
    let (content, kind) = match file {
        File::Page => (PAGE, "text/html; charset=utf-8"),
        File::Style => (STYLE, "text/css; charset=utf-8"),
        File::Script => (SCRIPT, "text/javascript; charset=utf-8"),
    };
    let mut response = text(content, kind);
    for (name, value) in GUARDS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    // The files belong together: none may be older than the program.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// Only our own files, no frame around it, no form that leads elsewhere, and no address of ours told to anybody.
const GUARDS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

const PAGE: &str = include_str!("ui/index.html");
const STYLE: &str = include_str!("ui/ui.css");
const SCRIPT: &str = include_str!("ui/ui.js");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small_and_builds_no_markup_from_data() {
        assert!(PAGE.len() + STYLE.len() + SCRIPT.len() < 60 << 10);
        for risky in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "localStorage"]
        {
            assert!(!SCRIPT.contains(risky), "{risky}");
        }
        for inline in ["<style", " style=", "<script>", " onclick=", "javascript:"] {
            assert!(!PAGE.contains(inline), "{inline}: the policy forbids it");
        }
    }

    #[test]
    fn nothing_comes_from_outside() {
        for content in [PAGE, STYLE, SCRIPT] {
            assert!(
                !content.contains("//cdn") && !content.contains("http://") && !content.contains("https://")
            );
        }
    }
}
