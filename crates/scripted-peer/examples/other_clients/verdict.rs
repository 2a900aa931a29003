//! What became of the file: a pure judgement over how the client ended, what lies in the directory, and what the server has.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// What a client left in its directory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    /// The file under its final name.
    pub(crate) target: Option<Vec<u8>>,
    /// The data of an unfinished download under a name of its own.
    pub(crate) part: Option<Vec<u8>>,
}

/// How a run of a client ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Exit(i32),
    Signal,
    /// It was ended because it did not end.
    OutOfTime,
}

/// How it went for whoever typed the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The client says done, and the file is what the server has.
    Identical,
    /// The client says done, and the file is something else.
    WrongBytes { length: u64, first_wrong: u64 },
    /// The client does not say done, and this is what there is.
    Failed { end: End, left: Left },
}

/// What a client that failed leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// So many bytes from the start of what the server has.
    Sound(u64),
    /// Bytes the server does not have at that place.
    Wrong {
        length: u64,
        first_wrong: u64,
    },
}

pub(crate) fn judge(end: End, found: &Found, now: &[u8]) -> Verdict {
    if end != End::Exit(0) {
        let left = found.target.as_deref().or(found.part.as_deref());
        return Verdict::Failed { end, left: left.map_or(Left::Nothing, |bytes| compare(bytes, now)) };
    }
    let bytes = found.target.as_deref().unwrap_or_default();
    let length = bytes.len() as u64;
    match compare(bytes, now) {
        Left::Sound(whole) if whole == now.len() as u64 => Verdict::Identical,
        Left::Sound(_) | Left::Nothing => Verdict::WrongBytes { length, first_wrong: length },
        Left::Wrong { length, first_wrong } => Verdict::WrongBytes { length, first_wrong },
    }
}

fn compare(bytes: &[u8], now: &[u8]) -> Left {
    let length = bytes.len() as u64;
    match bytes.iter().zip(now).position(|(left, right)| left != right) {
        Some(at) => Left::Wrong { length, first_wrong: at as u64 },
        None if bytes.len() > now.len() => Left::Wrong { length, first_wrong: now.len() as u64 },
        None => Left::Sound(length),
    }
}

impl Found {
    /// Reads `name` and `name.part` of `directory`.
    pub(crate) fn in_directory(directory: &Path, name: &str) -> io::Result<Self> {
        let read = |name: &str| match fs::read(directory.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        Ok(Self { target: read(name)?, part: read(&format!("{name}.part"))? })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identical => f.write_str("identical"),
            Self::WrongBytes { .. } => f.write_str("**WRONG BYTES, exit 0**"),
            Self::Failed { end: end @ End::Exit(_), left } => write!(f, "refused, {end}; {left}"),
            Self::Failed { end, left } => write!(f, "{end}; {left}"),
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(code) => write!(f, "exit {code}"),
            Self::Signal => f.write_str("crash"),
            Self::OutOfTime => f.write_str("no end"),
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing left"),
            Self::Sound(bytes) => write!(f, "{} kept", megabytes(*bytes)),
            Self::Wrong { .. } => f.write_str("**wrong bytes left**"),
        }
    }
}

/// `1.80 MB`: a hundredth of the file of every case is three such digits.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{}.{:02} MB", bytes / 1_000_000, bytes % 1_000_000 / 10_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_servers_bytes_and_all_of_them_are_identical() {
        for (bytes, expected) in [
            ("abcde", Verdict::Identical),
            ("abxde", Verdict::WrongBytes { length: 5, first_wrong: 2 }),
            ("abc", Verdict::WrongBytes { length: 3, first_wrong: 3 }),
            ("abcdef", Verdict::WrongBytes { length: 6, first_wrong: 5 }),
            ("", Verdict::WrongBytes { length: 0, first_wrong: 0 }),
        ] {
            let found = Found { target: Some(bytes.into()), part: None };
            assert_eq!(judge(End::Exit(0), &found, b"abcde"), expected, "{bytes:?}");
        }
        let nothing = Verdict::WrongBytes { length: 0, first_wrong: 0 };
        assert_eq!(judge(End::Exit(0), &Found::default(), b"abcde"), nothing, "done, and no file");
    }

    #[test]
    fn a_failure_tells_whether_what_is_left_can_be_continued() {
        for (target, part, left) in [
            (None, None, Left::Nothing),
            (Some("abc"), None, Left::Sound(3)),
            (None, Some("ab"), Left::Sound(2)),
            (None, Some("abx"), Left::Wrong { length: 3, first_wrong: 2 }),
            (Some("abcdef"), None, Left::Wrong { length: 6, first_wrong: 5 }),
        ] {
            let found = Found { target: target.map(Into::into), part: part.map(Into::into) };
            let end = End::Exit(8);
            assert_eq!(judge(end, &found, b"abcde"), Verdict::Failed { end, left });
        }
    }

    #[test]
    fn megabytes_are_decimal_and_never_rounded_up() {
        for (bytes, shown) in [(0, "0.00 MB"), (1_799_999, "1.79 MB"), (3_000_000, "3.00 MB")] {
            assert_eq!(megabytes(bytes), shown);
        }
    }
}
