//! File names from strangers: one plain component that no filesystem or shell trips over.

use thiserror::Error;

/// Why a name cannot be used even after cleaning.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("nothing of that name can be used for a file")]
pub struct UnusableName;

/// Makes a plain file name out of one a peer or URL suggests.
///
/// Takes what stands behind the last separator of either kind, drops control and bidirectional-override characters,
/// replaces what some filesystems reserve, strips leading dots and dashes and trailing dots and spaces, and shortens to
/// 200 bytes keeping the extension. Nothing is decoded: the caller does that once.
///
/// # Errors
/// [`UnusableName`] when nothing is left, or the name is a device on some system.
///
/// ```
/// assert_eq!(resume_fetch::file_name("../../etc/pass\u{202e}wd").unwrap(), "passwd");
/// assert!(resume_fetch::file_name("..").is_err());
/// ```
pub fn file_name(suggested: &str) -> Result<String, UnusableName> {
    let last = suggested.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last
        .chars()
        .filter(|c| !c.is_control() && !is_bidi(*c))
        .map(|c| if r#"<>:"|?*"#.contains(c) { '_' } else { c })
        .collect();
    let clean = clean.trim_start_matches(['.', '-', ' ']).trim_end_matches(['.', ' ']);
    if clean.is_empty() || is_device(clean) {
        return Err(UnusableName);
    }
    Ok(shorten(clean))
}

fn is_bidi(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Names that Windows opens as devices, with or without an extension: the file may be copied there one day.
fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end();
    let numbered = |prefix: &str| {
        stem.len() == 4
            && stem.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(prefix))
            && stem.ends_with(|c: char| c.is_ascii_digit())
    };
    ["con", "prn", "aux", "nul"].iter().any(|device| stem.eq_ignore_ascii_case(device))
        || numbered("com")
        || numbered("lpt")
}

fn shorten(name: &str) -> String {
    if name.len() <= MAX_BYTES {
        return name.to_owned();
    }
    let extension =
        name.rfind('.').map(|dot| &name[dot..]).filter(|extension| extension.len() <= 16).unwrap_or("");
    let mut end = MAX_BYTES - extension.len();
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &name[..end])
}

/// Leaves room for `.part`, ids and counters below the 255 bytes of common filesystems.
const MAX_BYTES: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_becomes_one_harmless_component() {
        for (suggested, expected, because) in [
            ("film.mkv", Ok("film.mkv"), "a plain name stays"),
            ("../../etc/passwd", Ok("passwd"), "no directory survives"),
            (r"C:\Windows\system.ini", Ok("system.ini"), "of either kind"),
            ("a/", Err(UnusableName), "a directory has no name for a file"),
            (".bashrc", Ok("bashrc"), "nothing hidden"),
            ("-rf", Ok("rf"), "nothing that looks like an option"),
            ("a\0b\nc\u{7f}", Ok("abc"), "no control characters"),
            ("gpj.\u{202e}exe", Ok("gpj.exe"), "no reversed endings"),
            ("a:b*c?.mkv ", Ok("a_b_c_.mkv"), "nothing reserved"),
            ("..", Err(UnusableName), "not the parent"),
            ("", Err(UnusableName), "not nothing"),
            ("NUL.txt", Err(UnusableName), "no device"),
            ("com7", Err(UnusableName), "no numbered device"),
            ("comet", Ok("comet"), "but ordinary words"),
            ("日本語.mkv", Ok("日本語.mkv"), "any script"),
        ] {
            assert_eq!(
                file_name(suggested).as_deref(),
                expected.as_ref().copied(),
                "{suggested:?}: {because}"
            );
        }
    }

    #[test]
    fn a_long_name_keeps_its_extension_and_whole_characters() {
        let name = file_name(&format!("{}.mkv", "é".repeat(300))).unwrap();
        assert!(name.len() <= MAX_BYTES && name.ends_with("é.mkv"), "{name}");
        let name = file_name(&"x".repeat(4000)).unwrap();
        assert_eq!(name.len(), MAX_BYTES);
    }
}
