//! Pages of items: search, order and cursors.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::base32;
use super::index::{Entry, Index};
use super::item::Item;
use super::share::Share;

/// One page and where the next begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// At most as many as asked for; fewer does not mean that this is the last page.
    pub items: Vec<T>,
    /// Handed back as `cursor` for the next page; `None` at the end.
    pub next: Option<String>,
}

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct ListQuery {
    /// Words that must all occur in the path within the share, letter case aside.
    pub search: String,
    /// Only this share.
    pub share: Option<String>,
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most items in the page, at least one.
    pub limit: usize,
}

/// Where a page ended: the share and the path of its last item. Both may be gone by the time it comes back.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    share: String,
    path: Vec<u8>,
}

impl Cursor {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = base32::decode(text)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        let share = String::from_utf8(bytes[..end].to_vec()).ok()?;
        Some(Self { share, path: bytes[end + 1..].to_vec() })
    }

    fn write(share: &str, entry: &Entry) -> String {
        base32::encode(&[share.as_bytes(), b"\0", entry.path()].concat())
    }
}

/// Collects a page from `shares`, which come in the order of their names.
///
/// Every file is looked at again, so size and tag are those the file would be served with now, and files that
/// have gone since the last walk are left out. Blocks.
pub(super) fn page(
    shares: &[(Arc<Share>, Arc<Index>)],
    words: &[String],
    cursor: Option<&Cursor>,
    limit: usize,
    now: SystemTime,
) -> Page<Item> {
    let mut items = Vec::new();
    let mut last = None;
    for (share, index) in shares {
        let entries = match cursor {
            Some(cursor) if share.name() < cursor.share.as_str() => continue,
            Some(cursor) if share.name() == cursor.share => index.after(&cursor.path),
            _ => index.entries(),
        };
        let Ok(root) = share.root() else { continue };
        for entry in entries.iter().filter(|entry| entry.contains(words)) {
            if items.len() == limit {
                return Page { items, next: last };
            }
            if let Some(metadata) = root.look(entry.path()).ok().filter(std::fs::Metadata::is_file) {
                items.push(Item::new(share.name(), entry.tag(), entry.as_path(), &metadata, now));
                last = Some(Cursor::write(share.name(), entry));
            }
        }
    }
    Page { items, next: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_written() {
        let written = Cursor::write("movies", &Entry::new(b"odd-\xff/name", 0));
        let read = Cursor::parse(&written).expect("our own cursor");
        assert_eq!(read, Cursor { share: "movies".into(), path: b"odd-\xff/name".to_vec() });
    }

    #[test]
    fn a_cursor_we_never_wrote_is_refused() {
        for text in ["", "abc", "not a cursor", "mzxw6"] {
            assert_eq!(Cursor::parse(text), None, "{text:?}");
        }
    }
}
