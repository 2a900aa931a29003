//! Bencoding, as far as a stub needs it (BEP 3): integers, byte strings, lists, dictionaries.
//!
//! The reader hands out one token after the other and borrows what it reads. It counts how deep it is instead of
//! calling itself, so no input can exhaust the stack, and it allocates nothing, so none can exhaust memory.

use thiserror::Error;

/// A piece of bencoded text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// `i…e`: a sign and digits, of any number.
    Int(&'a [u8]),
    /// `LENGTH:…`
    Bytes(&'a [u8]),
    /// `l`: what follows up to its [`Token::End`] stands in a list.
    List,
    /// `d`: what follows up to its [`Token::End`] stands in a dictionary, keys and values in turn.
    Dict,
    /// `e`
    End,
}

/// Why bytes are not bencoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BencodeError {
    /// The text ends in the middle.
    #[error("it ends in the middle, after {length} bytes")]
    Truncated {
        /// Length of the text.
        length: usize,
    },
    /// A byte that cannot stand there.
    #[error("byte {at} is not bencoded")]
    Syntax {
        /// Where, counted from 0.
        at: usize,
    },
    /// Lists and dictionaries in one another, more than [`MAX_DEPTH`] of them.
    #[error("byte {at} is nested deeper than {MAX_DEPTH}")]
    TooDeep {
        /// Where, counted from 0.
        at: usize,
    },
}

/// Reads tokens, one after the other.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The next token.
    ///
    /// # Errors
    /// [`BencodeError`] when there is none.
    pub fn token(&mut self) -> Result<Token<'a>, BencodeError> {
        let start = self.at;
        match self.byte()? {
            b'i' => {
                let digits = self.up_to(b'e', MAX_DIGITS)?;
                if is_integer(digits) {
                    Ok(Token::Int(digits))
                } else {
                    Err(BencodeError::Syntax { at: start })
                }
            }
            b'l' => self.enter(start, Token::List),
            b'd' => self.enter(start, Token::Dict),
            b'e' if self.depth > 0 => {
                self.depth -= 1;
                Ok(Token::End)
            }
            b'0'..=b'9' => {
                self.at = start;
                self.bytes(start)
            }
            _ => Err(BencodeError::Syntax { at: start }),
        }
    }

    /// Passes over the rest of a value whose first token was `first`.
    ///
    /// # Errors
    /// [`BencodeError`] when it has no end.
    pub fn skip(&mut self, first: Token<'a>) -> Result<(), BencodeError> {
        if !matches!(first, Token::List | Token::Dict) {
            return Ok(());
        }
        let outside = self.depth - 1;
        while self.depth > outside {
            self.token()?;
        }
        Ok(())
    }

    /// The next key of a dictionary; `None` at its end.
    ///
    /// # Errors
    /// [`BencodeError`] when something else than a byte string stands in its place.
    pub fn key(&mut self) -> Result<Option<&'a [u8]>, BencodeError> {
        let at = self.at;
        match self.token()? {
            Token::Bytes(key) => Ok(Some(key)),
            Token::End => Ok(None),
            _ => Err(BencodeError::Syntax { at }),
        }
    }

    /// What was not read yet.
    pub fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    /// How many bytes were read.
    pub fn position(&self) -> usize {
        self.at
    }

    fn enter(&mut self, at: usize, token: Token<'a>) -> Result<Token<'a>, BencodeError> {
        if self.depth == MAX_DEPTH {
            return Err(BencodeError::TooDeep { at });
        }
        self.depth += 1;
        Ok(token)
    }

    fn bytes(&mut self, start: usize) -> Result<Token<'a>, BencodeError> {
        let digits = self.up_to(b':', MAX_DIGITS)?;
        let length =
            std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let length: usize =
            length.and_then(|text| text.parse().ok()).ok_or(BencodeError::Syntax { at: start })?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.text.len());
        let end = end.ok_or(BencodeError::Truncated { length: self.text.len() })?;
        let bytes = &self.text[self.at..end];
        self.at = end;
        Ok(Token::Bytes(bytes))
    }

    /// The bytes before the next `stop`, which is passed over.
    fn up_to(&mut self, stop: u8, most: usize) -> Result<&'a [u8], BencodeError> {
        let rest = self.rest();
        match rest.iter().take(most + 1).position(|byte| *byte == stop) {
            Some(length) => {
                self.at += length + 1;
                Ok(&rest[..length])
            }
            None if rest.len() <= most => Err(BencodeError::Truncated { length: self.text.len() }),
            None => Err(BencodeError::Syntax { at: self.at }),
        }
    }

    fn byte(&mut self) -> Result<u8, BencodeError> {
        let byte = self.rest().first().copied().ok_or(BencodeError::Truncated { length: self.text.len() })?;
        self.at += 1;
        Ok(byte)
    }
}

/// Writes a byte string.
pub fn write_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    to.extend_from_slice(bytes.len().to_string().as_bytes());
    to.push(b':');
    to.extend_from_slice(bytes);
}

/// Writes an integer.
pub fn write_int(to: &mut Vec<u8>, value: u64) {
    to.extend_from_slice(format!("i{value}e").as_bytes());
}

/// The value of an integer token; `None` when it is negative or larger than any file.
pub fn unsigned(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn is_integer(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Lists and dictionaries in one another, at most.
pub const MAX_DEPTH: usize = 16;
/// Digits of a number, with its sign, at most.
const MAX_DIGITS: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &[u8]) -> Result<Vec<Token<'_>>, BencodeError> {
        let mut reader = Reader::new(text);
        let mut tokens = Vec::new();
        while !reader.rest().is_empty() {
            tokens.push(reader.token()?);
        }
        Ok(tokens)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        assert_eq!(
            tokens(b"d1:ai-7e1:bl0:3:xyzee"),
            Ok(vec![
                Token::Dict,
                Token::Bytes(b"a"),
                Token::Int(b"-7"),
                Token::Bytes(b"b"),
                Token::List,
                Token::Bytes(b""),
                Token::Bytes(b"xyz"),
                Token::End,
                Token::End,
            ])
        );
    }

    #[test]
    fn what_is_not_bencoded_says_where() {
        for (text, error) in [
            (&b""[..], BencodeError::Truncated { length: 0 }),
            (b"5:abcd", BencodeError::Truncated { length: 6 }),
            (b"12", BencodeError::Truncated { length: 2 }),
            (b"i7", BencodeError::Truncated { length: 2 }),
            (b"i7-e", BencodeError::Syntax { at: 0 }),
            (b"ie", BencodeError::Syntax { at: 0 }),
            (b"e", BencodeError::Syntax { at: 0 }),
            (b"x", BencodeError::Syntax { at: 0 }),
            (b"1a:x", BencodeError::Syntax { at: 0 }),
            (b"99999999999999999999999:", BencodeError::Syntax { at: 0 }),
            (b"18446744073709551615:x", BencodeError::Truncated { length: 22 }),
        ] {
            let shown = String::from_utf8_lossy(text);
            assert_eq!(Reader::new(text).token(), Err(error), "{shown}");
        }
        let endless = [b"i".as_slice(), &[b'1'; 1000]].concat();
        assert_eq!(Reader::new(&endless).token(), Err(BencodeError::Syntax { at: 1 }));
    }

    #[test]
    fn nesting_ends_at_the_limit_however_much_of_it_there_is() {
        let deep = vec![b'l'; 1 << 20];
        assert_eq!(tokens(&deep), Err(BencodeError::TooDeep { at: MAX_DEPTH }));
        let mut reader = Reader::new(&deep);
        let first = reader.token().unwrap();
        assert_eq!(reader.skip(first), Err(BencodeError::TooDeep { at: MAX_DEPTH }));
        let just = [vec![b'l'; MAX_DEPTH], vec![b'e'; MAX_DEPTH]].concat();
        assert!(tokens(&just).is_ok());
    }

    #[test]
    fn a_value_nobody_wants_is_passed_over_whole() {
        let mut reader = Reader::new(b"d1:xld1:ai1eel3:abcee1:yi2ee");
        assert_eq!(reader.token(), Ok(Token::Dict));
        assert_eq!(reader.key(), Ok(Some(&b"x"[..])));
        let value = reader.token().unwrap();
        reader.skip(value).unwrap();
        assert_eq!(reader.key(), Ok(Some(&b"y"[..])));
    }

    #[test]
    fn an_integer_is_a_size_when_it_fits_one() {
        assert_eq!(unsigned(b"18446744073709551615"), Some(u64::MAX));
        for other in [&b"-1"[..], b"18446744073709551616", b""] {
            assert_eq!(unsigned(other), None);
        }
    }
}
