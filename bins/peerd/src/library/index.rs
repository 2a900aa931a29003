//! What one walk over a share found.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::item::Tag;

/// One offered file.
#[derive(Debug)]
pub(super) struct Entry {
    path: Box<[u8]>,
    size: u64,
}

impl Entry {
    pub(super) fn new(path: &[u8], size: u64) -> Self {
        Self { path: path.into(), size }
    }

    /// The path within the share, as the file system spells it.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    pub(super) fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.path))
    }

    /// The second half of its id.
    pub(super) fn tag(&self) -> Tag {
        Tag::of(&self.path)
    }

    /// Whether every word of a search occurs in the path, letter case aside.
    pub(super) fn contains(&self, words: &[String]) -> bool {
        if words.is_empty() {
            return true;
        }
        let path = String::from_utf8_lossy(&self.path).to_lowercase();
        words.iter().all(|word| path.contains(word.as_str()))
    }
}

/// The offered files of one share, in the order of their paths and by tag.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Entry>,
    by_tag: HashMap<Tag, usize>,
    bytes: u64,
    unreadable: usize,
}

impl Index {
    pub(super) fn new(mut entries: Vec<Entry>, unreadable: usize) -> Self {
        entries.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let by_tag = entries.iter().enumerate().map(|(at, entry)| (entry.tag(), at)).collect();
        let bytes = entries.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.size));
        Self { entries, by_tag, bytes, unreadable }
    }

    /// The file with this tag.
    pub(super) fn find(&self, tag: Tag) -> Option<&Entry> {
        self.by_tag.get(&tag).map(|&at| &self.entries[at])
    }

    /// All files, in the order of their paths.
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The files whose path comes after `path`.
    pub(super) fn after(&self, path: &[u8]) -> &[Entry] {
        &self.entries[self.entries.partition_point(|entry| *entry.path <= *path)..]
    }

    /// The sum of all sizes at the time of the walk.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many files and directories could not be read.
    pub(super) fn unreadable(&self) -> usize {
        self.unreadable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(paths: &[&str]) -> Index {
        Index::new(paths.iter().map(|path| Entry::new(path.as_bytes(), 10)).collect(), 0)
    }

    #[test]
    fn every_file_is_found_by_its_tag() {
        let index = index(&["b", "a", "c/d"]);
        for path in ["a", "b", "c/d"] {
            assert_eq!(index.find(Tag::of(path.as_bytes())).map(Entry::path), Some(path.as_bytes()));
        }
        assert!(index.find(Tag::of(b"e")).is_none());
        assert_eq!(index.bytes(), 30);
    }

    #[test]
    fn a_page_continues_after_a_path_even_if_that_file_is_gone() {
        let index = index(&["a", "c", "d"]);
        for (path, rest) in [("", 3), ("a", 2), ("b", 2), ("c", 1), ("z", 0)] {
            assert_eq!(index.after(path.as_bytes()).len(), rest, "after {path:?}");
        }
    }

    #[test]
    fn a_search_takes_every_word_in_any_case() {
        let entry = Entry::new("Films/Ünder the Bridge.mkv".as_bytes(), 0);
        for (words, found) in [("bridge films", true), ("ünder", true), ("bridge water", false), ("", true)]
        {
            let words: Vec<_> = words.to_lowercase().split_whitespace().map(str::to_owned).collect();
            assert_eq!(entry.contains(&words), found, "{words:?}");
        }
    }
}
