//! `"*" / #entity-tag`, the value of If-Match and If-None-Match (RFC 9110 §13.1.1, §13.1.2).

use alloc::vec::Vec;

use crate::EntityTag;
use crate::entity_tag::{opaque, take_tag};
use crate::scan::{trim_ows, trim_ows_start};

/// The tags of an If-Match or If-None-Match field, all its lines together.
///
/// Members that are no entity tag are skipped: they can match nothing. Commas inside quotes belong to the tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTagList {
    /// `*`: any current representation.
    Any,
    /// The listed tags; may be none.
    Tags(Vec<EntityTag>),
}

impl EntityTagList {
    /// Reads the lines of one field.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut tags = Vec::new();
        for line in lines {
            for member in TagMembers::of(line) {
                match member {
                    TagMember::Any => return Self::Any,
                    TagMember::Tag(tag) => tags.extend(EntityTag::parse(tag)),
                }
            }
        }
        Self::Tags(tags)
    }

    /// Whether `tag` is listed, by strong comparison; `*` lists every tag.
    #[must_use]
    pub fn contains_strong(&self, tag: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|listed| listed.strong_eq(tag)),
        }
    }

    /// Whether `tag` is listed, by weak comparison; `*` lists every tag.
    #[must_use]
    pub fn contains_weak(&self, tag: &EntityTag) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.iter().any(|listed| listed.weak_eq(tag)),
        }
    }
}

/// Which comparison a condition asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    Strong,
    Weak,
}

/// Whether the lines of a field list the current representation: [`EntityTagList`] without its allocations.
pub(crate) fn lists<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    current: Option<&EntityTag>,
    comparison: Comparison,
) -> bool {
    lines.flat_map(TagMembers::of).any(|member| match (member, current) {
        (TagMember::Any, _) => true,
        (TagMember::Tag(_), None) => false,
        (TagMember::Tag(tag), Some(current)) => match comparison {
            Comparison::Strong => !current.is_weak() && current.as_bytes() == tag,
            Comparison::Weak => current.opaque() == opaque(tag),
        },
    })
}

enum TagMember<'a> {
    Any,
    Tag(&'a [u8]),
}

/// The members of one line that can match something.
struct TagMembers<'a> {
    rest: &'a [u8],
}

impl<'a> TagMembers<'a> {
    fn of(line: &'a [u8]) -> Self {
        Self { rest: trim_ows(line) }
    }
}

impl<'a> Iterator for TagMembers<'a> {
    type Item = TagMember<'a>;

    fn next(&mut self) -> Option<TagMember<'a>> {
        while !self.rest.is_empty() {
            let start = trim_ows_start(self.rest);
            let (member, rest) = match take_tag(start) {
                Some((tag, rest)) => (Some(TagMember::Tag(tag)), rest),
                None => (None, start),
            };
            let end = rest.iter().position(|byte| *byte == b',');
            let written = trim_ows(&rest[..end.unwrap_or(rest.len())]);
            self.rest = end.map_or(&[][..], |end| &rest[end + 1..]);
            match member {
                Some(tag) if written.is_empty() => return Some(tag),
                None if written == b"*" => return Some(TagMember::Any),
                _ => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec;

    use super::*;

    fn read(lines: &[&str]) -> Vec<String> {
        match EntityTagList::parse(lines.iter().map(|line| line.as_bytes())) {
            EntityTagList::Any => vec!["*".to_string()],
            EntityTagList::Tags(tags) => tags.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn lists_of_every_shape_are_read() {
        for (lines, expected, because) in [
            (&["\"a\""][..], &["\"a\""][..], "one"),
            (&["\"a\", W/\"b\" ,\t\"c\""], &["\"a\"", "W/\"b\"", "\"c\""], "OWS on both sides of a comma"),
            (&[" \"a\",, \"b\" ,"], &["\"a\"", "\"b\""], "§5.6.1.2 empty members"),
            (&["\"a,b\",\"c\""], &["\"a,b\"", "\"c\""], "a comma inside quotes"),
            (&["\"a\"", "\"b\""], &["\"a\"", "\"b\""], "§5.3 several lines are one list"),
            (&["*"], &["*"], "any"),
            (&[" * "], &["*"], "any with OWS"),
            (&[","], &[], "no member"),
            (&[""], &[], "empty"),
            (&["a, \"b\""], &["\"b\""], "an unquoted member matches nothing"),
            (&["\"a\"x, \"b\""], &["\"b\""], "nor does one with a tail"),
            (&["\"a"], &[], "nor an open one"),
        ] {
            assert_eq!(read(lines), expected, "{lines:?}: {because}");
        }
    }

    #[test]
    fn both_ways_to_look_a_tag_up_agree() {
        let current =
            [EntityTag::strong("a").unwrap(), EntityTag::weak("a").unwrap(), EntityTag::strong("").unwrap()];
        for line in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", "*", "\"\"", "W/\"\"", ",", "a", "\"A\""] {
            let list = EntityTagList::parse([line.as_bytes()]);
            for tag in &current {
                let found = |comparison| lists([line.as_bytes()].into_iter(), Some(tag), comparison);
                assert_eq!(found(Comparison::Strong), list.contains_strong(tag), "{line} {tag}");
                assert_eq!(found(Comparison::Weak), list.contains_weak(tag), "{line} {tag}");
            }
        }
    }
}
