//! Which paths of a share are offered: include and exclude globs.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

/// A pattern that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the pattern {pattern:?}")]
pub struct PatternError {
    /// The pattern as written.
    pub pattern: String,
    #[source]
    source: globset::Error,
}

/// Offered is what an include pattern matches and no exclude pattern does.
///
/// `*` stays within one path segment and `**` crosses them. A pattern without a slash is tried on the file
/// name at any depth, so `*.mkv` means every one of them.
#[derive(Clone, Debug)]
pub(super) struct Filter {
    include: GlobSet,
    exclude: GlobSet,
}

impl Filter {
    pub(super) fn new(include: &[String], exclude: &[String]) -> Result<Self, PatternError> {
        Ok(Self { include: compile(include)?, exclude: compile(exclude)? })
    }

    /// Whether a file at this path within the share is offered.
    pub(super) fn offers(&self, path: &[u8]) -> bool {
        let candidate = candidate(path);
        self.include.is_match_candidate(&candidate) && !self.exclude.is_match_candidate(&candidate)
    }

    /// Whether a directory is worth walking into: an excluded one hides everything beneath it.
    pub(super) fn enters(&self, path: &[u8]) -> bool {
        !self.exclude.is_match_candidate(&candidate(path))
    }
}

fn candidate(path: &[u8]) -> Candidate<'_> {
    Candidate::new(OsStr::from_bytes(path))
}

fn compile(patterns: &[String]) -> Result<GlobSet, PatternError> {
    let named = |pattern: &String| {
        let pattern = pattern.clone();
        move |source| PatternError { pattern, source }
    };
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let at_any_depth = if pattern.contains('/') { pattern.clone() } else { format!("**/{pattern}") };
        let glob = GlobBuilder::new(&at_any_depth).literal_separator(true).backslash_escape(true).build();
        set.add(glob.map_err(named(pattern))?);
    }
    set.build().map_err(|source| PatternError { pattern: patterns.join(", "), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(include: &[&str], exclude: &[&str]) -> Filter {
        let owned = |patterns: &[&str]| patterns.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>();
        Filter::new(&owned(include), &owned(exclude)).expect("the patterns are well formed")
    }

    #[test]
    fn the_default_patterns_hide_dotfiles_and_parts_at_any_depth() {
        let filter = filter(&["**"], &["**/.*", "**/*.part"]);
        for (path, offered) in [
            ("plain.bin", true),
            ("a/b/c.mkv", true),
            ("no-extension", true),
            ("a.part/b.bin", true),
            (".dot.bin", false),
            ("a/.dot.bin", false),
            ("x.part", false),
            ("a/b/x.part", false),
        ] {
            assert_eq!(filter.offers(path.as_bytes()), offered, "{path}");
        }
        assert!(!filter.enters(b".git"), "nothing beneath a dot directory is offered");
        assert!(!filter.enters(b"a/.git"));
        assert!(filter.enters(b"a"));
    }

    #[test]
    fn a_pattern_without_a_slash_is_tried_on_the_name_at_any_depth() {
        let filter = filter(&["*.mkv", "shows/*/*.srt"], &[]);
        for (path, offered) in [
            ("a.mkv", true),
            ("deep/er/a.mkv", true),
            ("a.srt", false),
            ("shows/x/a.srt", true),
            ("shows/x/y/a.srt", false),
        ] {
            assert_eq!(filter.offers(path.as_bytes()), offered, "{path}");
        }
    }

    #[test]
    fn names_that_are_not_utf_8_are_matched_byte_for_byte() {
        let filter = filter(&["**"], &["**/*.part"]);
        assert!(filter.offers(b"invalid-\xff\xfe.bin"));
        assert!(!filter.offers(b"invalid-\xff\xfe.part"));
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_named() {
        let error = Filter::new(&["[".to_owned()], &[]).expect_err("an open class");
        assert_eq!(error.pattern, "[");
    }
}
