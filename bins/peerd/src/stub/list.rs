//! The `.peerd` file: text with one `PEER/ITEM` or URL a line. Blank lines, and lines that begin with `#`, say
//! nothing.

use std::collections::HashSet;

use thiserror::Error;

use super::wanted::{NotWanted, Wanted};

/// What a `.peerd` file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// What it asks for, in its order, each once.
    pub wanted: Vec<Wanted>,
    /// Lines that ask for nothing, though they seem to.
    pub flaws: Vec<Flaw>,
}

/// A line that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Its number, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: NotWanted,
}

/// Why a file is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ListError {
    /// Not UTF-8.
    #[error("not text")]
    NotText,
    /// More than [`MAX_LINES`] that ask for something.
    #[error("more than {MAX_LINES} lines")]
    TooManyLines,
    /// No line can be read.
    #[error("line {line}: {what}")]
    Nothing {
        /// The first that cannot, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: NotWanted,
    },
    /// No line asks for anything.
    #[error("no line asks for anything")]
    Empty,
}

impl List {
    /// Reads a list. A line that cannot be read does not hold up the others.
    ///
    /// # Errors
    /// [`ListError`] when it is not text, too long, or asks for nothing.
    pub fn parse(bytes: &[u8]) -> Result<Self, ListError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ListError::NotText)?;
        let (mut list, mut seen) = (Self::default(), HashSet::new());
        // Some editors begin a file with a mark that has no width, and files are put together from several.
        let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_matches(is_blank);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if list.wanted.len() + list.flaws.len() == MAX_LINES {
                return Err(ListError::TooManyLines);
            }
            match line.parse::<Wanted>() {
                Ok(wanted) if seen.insert(wanted.clone()) => list.wanted.push(wanted),
                Ok(_) => {}
                Err(what) => list.flaws.push(Flaw { line: number, what }),
            }
        }
        match list.flaws.first() {
            _ if !list.wanted.is_empty() => Ok(list),
            Some(Flaw { line, what }) => Err(ListError::Nothing { line: *line, what: *what }),
            None => Err(ListError::Empty),
        }
    }
}

/// Lines of a list that ask for something, at most.
pub const MAX_LINES: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_asks_for_one_thing_and_some_for_none() {
        let text = "\u{feff}# for tonight\r\n\r\nbob/films:1\r\n  bob/two words  \n\u{feff}https://x.example/a#b\nbob/films:1\n";
        let list = List::parse(text.as_bytes()).unwrap();
        let wanted: Vec<_> = list.wanted.iter().map(ToString::to_string).collect();
        assert_eq!(wanted, ["bob/films:1", "bob/two words", "https://x.example/a#b"]);
        assert_eq!(list.flaws, []);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named_and_holds_up_no_other() {
        let list = List::parse(b"bob/1\n\nnonsense\nbob/2").unwrap();
        assert_eq!(list.wanted.len(), 2);
        assert_eq!(list.flaws, [Flaw { line: 3, what: NotWanted::Neither }]);
    }

    #[test]
    fn what_asks_for_nothing_is_no_list() {
        let many: String = (0..=MAX_LINES).map(|n| format!("bob/{n}\n")).collect();
        for (bytes, error) in [
            (&b""[..], ListError::Empty),
            (b"# nothing\n\n", ListError::Empty),
            (b"\xff\xfe", ListError::NotText),
            (b"#\nhello\n", ListError::Nothing { line: 2, what: NotWanted::Neither }),
            (many.as_bytes(), ListError::TooManyLines),
        ] {
            assert_eq!(List::parse(bytes), Err(error));
        }
    }
}
