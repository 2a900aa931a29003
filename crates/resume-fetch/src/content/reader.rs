//! Reading a file that is still arriving.

mod seek;
mod taking;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, ReadBuf};

use self::taking::{Suspect, Taking, take};
use crate::board::{Board, End, Need, Notes, Place, WaitError};
use crate::schedule::Claimant;

/// Reads a range of a file while it is being downloaded; what is missing is waited for, and fetched before the rest.
///
/// **Positions** are offsets in the file, not in the range: a reader of `1000..2000` begins at 1000, and
/// `SeekFrom::Start(1500)` goes to byte 1500 of the file. `SeekFrom::End` counts from the end of the range or of the
/// file, whichever comes first, and waits for the complete-length when nobody knows it yet. A seek to before the start
/// of the range is [`io::ErrorKind::InvalidInput`]; behind its end one can seek, and reads 0 bytes.
///
/// **Bytes** are all of one representation: the one known when the reader was made or, when there was none, the first
/// one after. They are returned as soon as they are written, and never from a hole. The digest of the whole can only be
/// computed after the last of them: who must know awaits the download.
///
/// **The end** of the range or of the file is the only thing that reads as 0 bytes. Everything else is an [`io::Error`]
/// around a [`WaitError`]: [`WaitError::Changed`] when the download starts over, and the reason when it ends and did not
/// bring what is missing. A download that failed hands out nothing any more, not even what it holds: the next download
/// of the same file may be writing there. One that succeeded can be read on as long as there is a reader.
///
/// Bytes that were written and cannot be read back are fetched again, once; after that it is
/// [`WaitError::Unreadable`].
///
/// Reading is done on the blocking threads of tokio: polling it outside of a runtime panics.
///
/// # Cancel safety
/// Dropping a read or a seek half-way loses nothing.
#[derive(Debug)]
#[must_use = "a reader wants what it is about to reach until it is dropped"]
pub struct Reader {
    board: Arc<Board>,
    range: Range<u64>,
    claimant: Claimant,
    /// The representation it reads.
    generation: Option<u64>,
    /// The next byte to return.
    at: u64,
    /// Bytes from `at` on, taken from the file and not returned yet.
    taken: Bytes,
    taking: Option<Taking>,
    /// How much to take from the file next.
    piece: u64,
    /// A seek whose target depends on the complete-length.
    from_end: Option<i64>,
    /// Whoever wants the first byte meanwhile, when nobody else may want anything.
    measuring: Option<Claimant>,
    place: Place,
    /// The engine has been told that the byte at `at` is missing.
    blocked: bool,
    /// What could not be read and was to be fetched again.
    suspect: Option<Suspect>,
}

/// What comes next.
enum Next {
    Take(Range<u64>, Arc<File>),
    Wait,
    End,
}

impl Reader {
    pub(crate) fn new(board: Arc<Board>, range: Range<u64>) -> Self {
        let (claimant, generation) =
            board.ask(|notes| (notes.demand.read(range.clone()), known_generation(notes)));
        Self {
            place: Place::new(Arc::clone(&board)),
            board,
            claimant,
            generation,
            at: range.start,
            range,
            taken: Bytes::new(),
            taking: None,
            piece: FIRST_PIECE,
            from_end: None,
            measuring: None,
            blocked: false,
            suspect: None,
        }
    }

    /// Wants at most `bytes` in front of it, beside what it stands still for. 32 MiB by default, of which it makes use
    /// as it reads on without seeking.
    pub fn read_ahead(self, bytes: u64) -> Self {
        self.board.ask(|notes| notes.demand.read_ahead(self.claimant, bytes));
        self
    }

    /// The complete-length in bytes of the representation it reads, if known; `None` again when that is given up.
    ///
    /// What a server announces: the bytes of this reader belong to a file of this length.
    pub fn total(&mut self) -> Option<u64> {
        let notes = self.board.notes();
        self.generation = self.generation.or_else(|| known_generation(&notes));
        notes.total.filter(|_| self.generation == Some(notes.generation))
    }

    /// Which representation it reads, by the number its bytes are on record under; `None` while nobody knows.
    pub fn generation(&mut self) -> Option<u64> {
        let known = known_generation(&self.board.notes());
        self.generation = self.generation.or(known);
        self.generation
    }

    /// The range, as it was asked for.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Makes sure that something is taken from the file; `false` at the end of what there is to read.
    fn poll_taken(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, WaitError>> {
        loop {
            if !self.taken.is_empty() {
                self.same_representation(&self.board.notes())?;
                return Poll::Ready(Ok(true));
            }
            if let Some(taking) = &mut self.taking {
                let outcome = ready!(Pin::new(&mut taking.task).poll(context));
                let range = taking.range.clone();
                self.taking = None;
                self.judge(range, outcome)?;
                continue;
            }
            match self.next(context)? {
                Next::End => return Poll::Ready(Ok(false)),
                Next::Wait => return Poll::Pending,
                Next::Take(range, file) => {
                    let (offset, length) = (range.start, range.end - range.start);
                    let task = tokio::task::spawn_blocking(move || take(&file, offset, length));
                    self.taking = Some(Taking { range, task });
                }
            }
        }
    }

    /// Looks at what is there from `at` on.
    fn next(&mut self, context: &Context<'_>) -> Result<Next, WaitError> {
        if self.at >= self.range.end {
            return Ok(Next::End);
        }
        let mut notes = self.board.notes();
        self.generation = self.generation.or_else(|| known_generation(&notes));
        match notes.look(&(self.at..self.at + 1), self.generation) {
            Some(Err(WaitError::PastTheEnd { .. })) => Ok(Next::End),
            Some(Err(error)) => Err(self.suspected(error)),
            Some(Ok(())) => match (&notes.end, &notes.file) {
                (Some(End::Failed(error)), _) => Err(error.clone()),
                (_, Some(file)) => {
                    let end = notes.held_from(self.at).min(self.range.end);
                    Ok(Next::Take(self.at..end.min(self.at.saturating_add(self.piece)), Arc::clone(file)))
                }
                (_, None) => Err(WaitError::Unreadable("nobody has it open".to_owned())),
            },
            None => {
                self.place.take(&mut notes, Need::Bytes(self.at..self.at + 1, self.generation), context);
                if !std::mem::replace(&mut self.blocked, true) {
                    notes.demand.block(self.claimant);
                    drop(notes);
                    self.board.asked.notify_one();
                }
                Ok(Next::Wait)
            }
        }
    }

    /// Whether what it read so far and what is there now are of one file that nobody else writes to.
    fn same_representation(&self, notes: &Notes) -> Result<(), WaitError> {
        if self.generation != known_generation(notes) {
            return Err(WaitError::Changed);
        }
        match &notes.end {
            Some(End::Failed(error)) => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_sought(context))?;
        if ready!(this.poll_taken(context))? {
            let length = buffer.remaining().min(this.taken.len());
            buffer.put_slice(&this.taken.split_to(length));
            this.at += length as u64;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop_measuring();
        self.board.ask(|notes| notes.demand.withdraw(self.claimant));
    }
}

fn known_generation(notes: &Notes) -> Option<u64> {
    (notes.generation > 0).then_some(notes.generation)
}

/// The first piece after a start or a seek: somebody waits to see anything at all.
const FIRST_PIECE: u64 = 16 << 10;
