//! Where a page ends and the next one starts.

use std::{
    fmt::{self, Write as _},
    str::FromStr,
};

use sqlx::{QueryBuilder, Sqlite};
use thiserror::Error;

use crate::{Download, Sort};

/// The end of a page. Opaque: what its text looks like may change at any time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    sort: Sort,
    key: Key,
    id: i64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Key {
    Number(i64),
    Text(String),
}

/// A text that is no cursor, or one that belongs to a list in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("this is not a cursor of this list")]
pub struct CursorError;

impl Cursor {
    /// Marks the place after `row`, the last of a page.
    pub(crate) fn after(sort: Sort, row: &Download) -> Self {
        let key = match sort {
            Sort::Newest | Sort::Oldest => Key::Number(row.id.get()),
            Sort::Queue => Key::Number(row.priority.get().into()),
            Sort::Name => Key::Text(row.filename.clone().unwrap_or_default()),
            Sort::Updated => Key::Number(row.updated_at.as_millis()),
            Sort::Size => Key::Number(row.identity.total.map_or(-1, |total| total.bytes.cast_signed())),
        };
        Self { sort, key, id: row.id.get() }
    }

    pub(crate) fn sort(&self) -> Sort {
        self.sort
    }

    pub(crate) fn id(&self) -> i64 {
        self.id
    }

    /// Puts the value the page ended at into a statement.
    pub(crate) fn bind_key(&self, sql: &mut QueryBuilder<Sqlite>) {
        match &self.key {
            Key::Number(number) => sql.push_bind(*number),
            Key::Text(text) => sql.push_bind(text.clone()),
        };
    }
}

/// Prints hexadecimal digits: safe in a URL, and nobody is tempted to build one.
impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = format!("{}.{}.", self.sort, self.id);
        match &self.key {
            Key::Number(number) => write!(text, "{number}")?,
            Key::Text(key) => text.push_str(key),
        }
        text.bytes().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(hex: &str) -> Result<Self, CursorError> {
        let text = unhex(hex).ok_or(CursorError)?;
        let mut parts = text.splitn(3, '.');
        let mut part = || parts.next().ok_or(CursorError);
        let sort: Sort = part()?.parse().map_err(|_| CursorError)?;
        let id = part()?.parse().map_err(|_| CursorError)?;
        let key = part()?;
        let key = match sort {
            Sort::Name => Key::Text(key.to_owned()),
            _ => Key::Number(key.parse().map_err(|_| CursorError)?),
        };
        Ok(Self { sort, key, id })
    }
}

fn unhex(hex: &str) -> Option<String> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = pairs.iter().map(byte).collect();
    if rest.is_empty() { String::from_utf8(bytes?).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_the_trip_through_a_url() {
        for (sort, key) in [
            (Sort::Newest, Key::Number(7)),
            (Sort::Size, Key::Number(-1)),
            (Sort::Name, Key::Text("Ä file. with dots.mkv".to_owned())),
            (Sort::Name, Key::Text(String::new())),
        ] {
            let cursor = Cursor { sort, key, id: 42 };
            let text = cursor.to_string();
            assert!(text.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
            assert_eq!(text.parse(), Ok(cursor));
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        for text in
            ["", "garbage", "abc", "zz", "-1", "999999999", "6e65776573742e", "6e65776573742e312e78", "+1+1"]
        {
            assert_eq!(text.parse::<Cursor>(), Err(CursorError), "{text}");
        }
    }
}
