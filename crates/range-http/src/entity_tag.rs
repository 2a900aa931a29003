//! Entity tags (RFC 9110 §8.8.3).

use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::hash::keyed;
use crate::scan::trim_ows;

/// An entity tag such as `"xyzzy"` or `W/"xyzzy"`.
///
/// There is no `==` over tags in the protocol: choose [`EntityTag::strong_eq`] where bytes are spliced and
/// [`EntityTag::weak_eq`] where an equivalent copy will do. `PartialEq` compares the written form.
///
/// ```
/// use range_http::EntityTag;
///
/// let strong = EntityTag::strong("v1").expect("no quotes inside");
/// let weak = EntityTag::parse(b"W/\"v1\"").expect("well formed");
/// assert!(strong.weak_eq(&weak) && !strong.strong_eq(&weak));
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct EntityTag {
    /// As on the wire, quotes included. Bytes, since an opaque-tag may hold any byte above 0x7f.
    wire: Vec<u8>,
}

impl EntityTag {
    /// Reads exactly one entity tag; outer whitespace is forgiven. `None` for anything else: `W` is case-sensitive and
    /// the quotes are not optional.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        match take_tag(trim_ows(value)) {
            Some((tag, [])) => Some(Self { wire: tag.to_vec() }),
            _ => None,
        }
    }

    /// A strong tag: equal tags promise equal bytes. `None` if `opaque` holds a quote, a space or a control character.
    #[must_use]
    pub fn strong(opaque: &str) -> Option<Self> {
        Self::build(b"\"", opaque)
    }

    /// A weak tag: equal tags promise an equivalent representation. `None` as for [`EntityTag::strong`].
    #[must_use]
    pub fn weak(opaque: &str) -> Option<Self> {
        Self::build(b"W/\"", opaque)
    }

    /// A tag for a file, made of its length in bytes, its modification and change times in nanoseconds since 1970, and
    /// its inode or file id.
    ///
    /// Strong if the file is `still`: so long unchanged that a further change must get another time, two seconds being
    /// enough for every common file system. Weak otherwise, since the next write may leave the same times behind. The
    /// numbers are hashed: the tag is the same after a restart and tells nothing about the disk.
    #[must_use]
    pub fn from_metadata(len: u64, mtime_ns: i128, inode: u64, ctime_ns: i128, still: bool) -> Self {
        let halves = |number: i128| [number as u64, (number >> 64) as u64];
        let [[mtime_low, mtime_high], [ctime_low, ctime_high]] = [mtime_ns, ctime_ns].map(halves);
        let digest = keyed(0, &[len, mtime_low, mtime_high, inode, ctime_low, ctime_high]);
        let prefix = if still { "" } else { "W/" };
        Self { wire: alloc::format!("{prefix}\"{digest:032x}\"").into_bytes() }
    }

    /// Whether equal tags promise only an equivalent representation.
    #[must_use]
    pub fn is_weak(&self) -> bool {
        self.wire.starts_with(b"W/")
    }

    /// The tag as it stands in a field value, quotes included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.wire
    }

    /// What stands between the quotes.
    #[must_use]
    pub fn opaque(&self) -> &[u8] {
        opaque(&self.wire)
    }

    /// Strong comparison (RFC 9110 §8.8.3.2): both strong and the same.
    #[must_use]
    pub fn strong_eq(&self, other: &Self) -> bool {
        !self.is_weak() && self.wire == other.wire
    }

    /// Weak comparison (RFC 9110 §8.8.3.2): the same opaque-tag.
    #[must_use]
    pub fn weak_eq(&self, other: &Self) -> bool {
        self.opaque() == other.opaque()
    }

    fn build(open: &[u8], opaque: &str) -> Option<Self> {
        opaque.bytes().all(is_tag_byte).then(|| Self { wire: [open, opaque.as_bytes(), b"\""].concat() })
    }
}

impl FromStr for EntityTag {
    type Err = InvalidEntityTag;

    fn from_str(value: &str) -> Result<Self, InvalidEntityTag> {
        Self::parse(value.as_bytes()).ok_or(InvalidEntityTag)
    }
}

/// The wire form; bytes that are not UTF-8 show as replacement characters, so write [`EntityTag::as_bytes`] to the wire.
impl fmt::Display for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.wire.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_str("\u{fffd}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for EntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an entity tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidEntityTag;

impl fmt::Display for InvalidEntityTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an entity tag")
    }
}

impl core::error::Error for InvalidEntityTag {}

/// One entity-tag and what follows it.
pub(crate) fn take_tag(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let open = if input.starts_with(b"W/") { 2 } else { 0 };
    if input.get(open) != Some(&b'"') {
        return None;
    }
    let length = input[open + 1..].iter().position(|byte| !is_tag_byte(*byte))?;
    let close = open + 1 + length;
    (input[close] == b'"').then(|| input.split_at(close + 1))
}

/// What stands between the quotes of a well-formed tag.
pub(crate) fn opaque(wire: &[u8]) -> &[u8] {
    let wire = wire.strip_prefix(b"W/").unwrap_or(wire);
    wire.get(1..wire.len().saturating_sub(1)).unwrap_or_default()
}

/// `etagc`
const fn is_tag_byte(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    fn tag(wire: &str) -> EntityTag {
        wire.parse().unwrap()
    }

    #[test]
    fn the_table_of_section_8_8_3_2_holds() {
        for (one, other, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
        ] {
            let (one, other) = (tag(one), tag(other));
            assert_eq!((one.strong_eq(&other), one.weak_eq(&other)), (strong, weak), "{one} {other}");
            assert_eq!((other.strong_eq(&one), other.weak_eq(&one)), (strong, weak), "{other} {one}");
        }
    }

    #[test]
    fn only_well_formed_tags_are_read() {
        for value in ["\"\"", "W/\"\"", "\"a,b\"", "\"\u{fc}\"", "\"back\\slash\"", " \"x\"\t"] {
            assert_eq!(tag(value).to_string(), value.trim(), "{value}");
        }
        for value in [
            "",
            "x",
            "\"",
            "\"x",
            "x\"",
            "w/\"x\"",
            "W/x",
            "W/",
            "\"a b\"",
            "\"a\"b\"",
            "\"a\" \"b\"",
            "*",
            "\"\x7f\"",
        ] {
            assert_eq!(EntityTag::parse(value.as_bytes()), None, "{value}");
        }
        let raw = EntityTag::parse(b"\"\xff\"").unwrap();
        assert_eq!((raw.as_bytes(), raw.opaque()), (&b"\"\xff\""[..], &b"\xff"[..]));
        assert_eq!(raw.to_string(), "\"\u{fffd}\"");
    }

    #[test]
    fn built_tags_are_well_formed_or_not_built() {
        assert_eq!(EntityTag::strong("a-1").unwrap().to_string(), "\"a-1\"");
        assert_eq!(EntityTag::weak("a-1").unwrap().to_string(), "W/\"a-1\"");
        for opaque in ["a\"b", "a b", "a\r\nSet-Cookie: x"] {
            assert_eq!(EntityTag::strong(opaque), None, "{opaque:?}");
        }
    }

    #[test]
    fn a_file_tag_changes_with_every_number_and_survives_a_restart() {
        let base = EntityTag::from_metadata(5, 1_700_000_000_000_000_001, 7, 1_700_000_000_000_000_002, true);
        assert_eq!(base.to_string(), "\"8d89aa8a92dcd0868ff9c8d7b1b1929a\"");
        for other in [
            EntityTag::from_metadata(6, 1_700_000_000_000_000_001, 7, 1_700_000_000_000_000_002, true),
            EntityTag::from_metadata(5, 1_700_000_000_000_000_002, 7, 1_700_000_000_000_000_002, true),
            EntityTag::from_metadata(5, 1_700_000_000_000_000_001, 8, 1_700_000_000_000_000_002, true),
            EntityTag::from_metadata(5, 1_700_000_000_000_000_001, 7, 1_700_000_000_000_000_003, true),
            EntityTag::from_metadata(5, -1_700_000_000_000_000_001, 7, 1_700_000_000_000_000_002, true),
        ] {
            assert!(!base.weak_eq(&other), "{base} {other}");
        }
        let moving =
            EntityTag::from_metadata(5, 1_700_000_000_000_000_001, 7, 1_700_000_000_000_000_002, false);
        assert!(moving.is_weak() && moving.weak_eq(&base) && !moving.strong_eq(&moving));
    }
}
