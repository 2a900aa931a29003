//! The web page: a handful of files that are part of the program, and ask nobody outside for anything.
//!
//! The page holds nothing of ours. What it shows it fetches from the admin API, with the session of whoever looks. Its
//! script is a few ES modules, as they are: no build step stands between what is read here and what runs there.

use http::Response;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue};

use super::text;
use crate::http::body::Body;
use crate::http::problem::Problem;

/// The page itself.
pub(super) fn show() -> Response<Body> {
    guarded(PAGE, "text/html; charset=utf-8")
}

/// A file the page is made of.
pub(super) fn part(name: &str) -> Result<Response<Body>, Problem> {
    let (_, content) = PARTS.into_iter().find(|(known, _)| *known == name).ok_or_else(Problem::not_found)?;
    let kind =
        if name.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
    Ok(guarded(content, kind))
}

fn guarded(content: &'static str, kind: &'static str) -> Response<Body> {
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
         media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
];

const PAGE: &str = include_str!("ui/index.html");

/// What the page is made of, by the name below `/ui/`.
const PARTS: [(&str, &str); 12] = [
    ("style.css", include_str!("ui/style.css")),
    ("kit.js", include_str!("ui/kit.js")),
    ("main.js", include_str!("ui/main.js")),
    ("map.js", include_str!("ui/map.js")),
    ("peers.js", include_str!("ui/peers.js")),
    ("player.js", include_str!("ui/player.js")),
    ("queue.js", include_str!("ui/queue.js")),
    ("row.js", include_str!("ui/row.js")),
    ("rows.js", include_str!("ui/rows.js")),
    ("sharing.js", include_str!("ui/sharing.js")),
    ("stream.js", include_str!("ui/stream.js")),
    ("system.js", include_str!("ui/system.js")),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
        std::iter::once(("index.html", PAGE)).chain(PARTS)
    }

    #[test]
    fn the_page_is_small() {
        let sizes: Vec<_> = all().map(|(name, content)| (name, content.len())).collect();
        let sum: usize = sizes.iter().map(|(_, size)| size).sum();
        assert!(sum < 60_000, "{sum}: {sizes:?}");
    }

    #[test]
    fn the_page_builds_no_markup_and_no_code_from_data() {
        for (name, content) in all() {
            for risky in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "setHTMLUnsafe",
                "parseFromString",
                "createContextualFragment",
                "srcdoc",
                "document.write",
                "eval(",
                "Function(",
                " import(",
                "localStorage",
                "sessionStorage",
                "indexedDB",
            ] {
                assert!(!content.contains(risky), "{name}: {risky}");
            }
        }
        for inline in ["<style", " style=", "<script>", " onclick=", " onload=", "javascript:"] {
            assert!(!PAGE.contains(inline), "{inline}: the policy forbids it");
        }
    }

    #[test]
    fn nothing_comes_from_outside() {
        for (name, content) in all() {
            for outside in ["http://", "https://", "//cdn", "@import", "url(//", "src=\"//", "href=\"//"] {
                assert!(!content.contains(outside), "{name}: {outside}");
            }
        }
    }

    #[test]
    fn every_part_is_served_as_what_it_is_and_asked_for() {
        for (name, content) in PARTS {
            let named = PAGE.contains(&format!("\"ui/{name}\""));
            let imported = PARTS.iter().any(|(_, text)| text.contains(&format!(" from \"./{name}\";")));
            assert!(named || imported, "nobody asks for {name}");
            let answer = part(name).unwrap_or_else(|problem| panic!("{name}: {problem:?}"));
            let kind = if name.ends_with(".css") { "text/css" } else { "text/javascript" };
            assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(kind), "{name}");
            assert!(answer.headers().contains_key("content-security-policy") && !content.is_empty());
        }
        assert!(part("../page.rs").is_err() && part("").is_err());
    }

    #[test]
    fn every_module_that_is_imported_is_a_part() {
        for (name, content) in PARTS.into_iter().filter(|(name, _)| name.ends_with(".js")) {
            for line in content.lines().filter(|line| line.starts_with("import ")) {
                let from = line.rsplit("from \"./").next().and_then(|rest| rest.strip_suffix("\";"));
                let known = from.is_some_and(|from| PARTS.iter().any(|(part, _)| *part == from));
                assert!(known, "{name}: {line}");
            }
        }
    }

    #[test]
    fn whatever_the_script_looks_for_by_id_is_in_the_page() {
        for (name, content) in PARTS.into_iter().filter(|(name, _)| name.ends_with(".js")) {
            for rest in content.split("find(\"").skip(1).chain(content.split(" on(\"").skip(1)) {
                let id = rest.split('"').next().unwrap_or_default();
                assert!(PAGE.contains(&format!("id=\"{id}\"")), "{name} looks for {id}");
            }
        }
    }
}
