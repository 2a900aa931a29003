//! What a file is called on the importer's side.

use std::path::Path;

use crate::config::PathMapping;

/// The path as the importer knows it: the longest `from` that leads to it, replaced by its `to`.
///
/// Prefixes are compared by components: `/data/films` does not lead to `/data/films2`. Where `to` is a Windows path,
/// what follows is joined as one.
pub(super) fn theirs(ours: &Path, rules: &[PathMapping]) -> String {
    let leads = |rule: &&PathMapping| ours.starts_with(&rule.from);
    let Some(rule) = rules.iter().filter(leads).max_by_key(|rule| rule.from.components().count()) else {
        return ours.to_string_lossy().into_owned();
    };
    let rest = ours.strip_prefix(&rule.from).unwrap_or(ours);
    let separator = if rule.to.contains('\\') { "\\" } else { "/" };
    let mut path = rule.to.trim_end_matches(['/', '\\']).to_owned();
    for component in rest.components() {
        path.push_str(separator);
        path.push_str(&component.as_os_str().to_string_lossy());
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

/// Whether two texts of the importer name one path.
pub(super) fn same(a: &str, b: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
    };
    // A backslash is part of a name where paths begin with a slash.
    if a.starts_with('/') || b.starts_with('/') {
        let parts = |text: &str| -> Vec<String> {
            text.split('/').filter(|part| !part.is_empty() && *part != ".").map(str::to_owned).collect()
        };
        return parts(a) == parts(b);
    }
    parts(a) == parts(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_by_components_is_replaced() {
        let rule = |from: &str, to: &str| PathMapping { from: from.into(), to: to.to_owned() };
        let rules = [
            rule("/data", "/mnt"),
            rule("/data/films/", "/films"),
            rule("/win", "C:\\in\\"),
            rule("/share", "//nas/share"),
            rule("/root", "/"),
        ];
        for (ours, expected, because) in [
            ("/data/films/a.mkv", "/films/a.mkv", "the longer prefix wins"),
            ("/data/films2/a.mkv", "/mnt/films2/a.mkv", "a prefix ends at a component"),
            ("/data/x/a b.mkv", "/mnt/x/a b.mkv", "the shorter one where the longer does not lead"),
            ("/database/a.mkv", "/database/a.mkv", "no rule leads here"),
            ("/win/x/a.mkv", "C:\\in\\x\\a.mkv", "joined as its system does"),
            ("/share/a.mkv", "//nas/share/a.mkv", "forward slashes are kept"),
            ("/root/a.mkv", "/a.mkv", "the root is a prefix as well"),
            ("/root", "/", "and a path"),
            ("/data", "/mnt", "the place itself"),
        ] {
            assert_eq!(theirs(Path::new(ours), &rules), expected, "{because}");
        }
        assert_eq!(theirs(Path::new("/a/b"), &[]), "/a/b");
    }

    #[test]
    fn paths_are_the_same_whatever_the_slashes_look_like() {
        for (a, b, equal) in [
            ("/films/a.mkv", "/films//a.mkv", true),
            ("/films/a.mkv", "/films/a.mkv/", true),
            ("C:\\films\\a.mkv", "C:/films/a.mkv", true),
            ("/films/a.mkv", "/films/A.mkv", false),
            ("/films/a.mkv", "/films/b/a.mkv", false),
            ("/films/a\\b.mkv", "/films/a/b.mkv", false),
        ] {
            assert_eq!(same(a, b), equal, "{a} and {b}");
        }
    }
}
