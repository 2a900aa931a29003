//! Taking bytes out of the file, and judging them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use tokio::task::{JoinError, JoinHandle};

use super::Reader;
use crate::board::WaitError;

/// A read that is under way on a blocking thread.
#[derive(Debug)]
pub(super) struct Taking {
    pub(super) range: Range<u64>,
    pub(super) task: JoinHandle<io::Result<Vec<u8>>>,
}

/// What could not be read, and why.
#[derive(Debug)]
pub(super) struct Suspect {
    range: Range<u64>,
    reason: String,
}

impl Reader {
    /// Judges what came out of the file. Between the first look and the end of the read anything may have happened to
    /// it, so the bytes count only when they are still what the board says is there.
    pub(super) fn judge(
        &mut self,
        range: Range<u64>,
        outcome: Result<io::Result<Vec<u8>>, JoinError>,
    ) -> Result<(), WaitError> {
        let bytes = match outcome {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) => return self.lost(range, &error),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => return Err(WaitError::Stopped),
        };
        let mut notes = self.board.notes();
        self.same_representation(&notes)?;
        let end = range.start + bytes.len() as u64;
        if !notes.holds(&(range.start..end)) {
            return Ok(());
        }
        notes.demand.read_on(self.claimant, end);
        let all_there = notes.holds(&(end..notes.total.unwrap_or(u64::MAX).min(self.range.end)));
        drop(notes);
        if !all_there {
            self.board.asked.notify_one();
        }
        self.blocked = false;
        self.taken = bytes.into();
        self.piece = (self.piece * 2).min(LARGEST_PIECE);
        Ok(())
    }

    /// The bytes of `range` did not come out of the file: has them fetched again, the first time.
    fn lost(&mut self, mut range: Range<u64>, error: &io::Error) -> Result<(), WaitError> {
        let mut notes = self.board.notes();
        self.same_representation(&notes)?;
        if !notes.holds(&(range.start..range.start + 1)) {
            // Nobody claims any more that they are there.
            return Ok(());
        }
        let reason = error.to_string();
        let again = self.suspect.as_ref().is_some_and(|suspect| suspect.range.contains(&range.start));
        if again || notes.end.is_some() {
            return Err(WaitError::Unreadable(reason));
        }
        if error.kind() == io::ErrorKind::UnexpectedEof {
            // The file ends here, so there is nothing of what was to follow either.
            range.end = notes.held_from(range.start).max(range.end);
        }
        let generation = notes.generation;
        notes.unreadable.push((generation, range.clone()));
        drop(notes);
        self.board.asked.notify_one();
        self.suspect = Some(Suspect { range, reason });
        Ok(())
    }

    /// The download is over before it brought back what could not be read: that is why it is missing.
    pub(super) fn suspected(&self, error: WaitError) -> WaitError {
        match &self.suspect {
            Some(suspect) if error == WaitError::Finished && suspect.range.contains(&self.at) => {
                WaitError::Unreadable(suspect.reason.clone())
            }
            _ => error,
        }
    }
}

/// Takes up to `length` bytes at `offset` out of `file`, at least one. Blocking.
pub(super) fn take(file: &File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length as usize];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) if filled == 0 => {
                let what = format!("it ends before byte {offset}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            // What came before is good; the next read begins where it went wrong.
            Err(_) => break,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// No piece is larger: as long as it is being read, nothing of it can be returned.
const LARGEST_PIECE: u64 = 256 << 10;
