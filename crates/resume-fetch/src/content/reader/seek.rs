//! Where a reader goes.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use tokio::io::AsyncSeek;

use super::{FIRST_PIECE, Reader, known_generation};
use crate::board::Need;

impl AsyncSeek for Reader {
    fn start_seek(self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        let this = self.get_mut();
        this.from_end = None;
        this.stop_measuring();
        match position {
            SeekFrom::Start(target) => this.go_to(Some(target)),
            SeekFrom::Current(distance) => this.go_to(this.at.checked_add_signed(distance)),
            SeekFrom::End(distance) => {
                this.from_end = Some(distance);
                Ok(())
            }
        }
    }

    fn poll_complete(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let this = self.get_mut();
        ready!(this.poll_sought(context))?;
        Poll::Ready(Ok(this.at))
    }
}

impl Reader {
    /// Resolves a seek from the end, once that is known.
    pub(super) fn poll_sought(&mut self, context: &Context<'_>) -> Poll<io::Result<()>> {
        let Some(distance) = self.from_end else { return Poll::Ready(Ok(())) };
        let mut notes = self.board.notes();
        self.generation = self.generation.or_else(|| known_generation(&notes));
        let Some(total) = notes.look_total() else {
            self.place.take(&mut notes, Need::Total, context);
            drop(notes);
            // Waiting wants nothing by itself: the first byte tells how many there are.
            if self.measuring.is_none() {
                self.measuring = Some(self.board.ask(|notes| {
                    let first_byte = notes.demand.read(0..1);
                    notes.demand.block(first_byte);
                    first_byte
                }));
            }
            return Poll::Pending;
        };
        drop(notes);
        self.from_end = None;
        self.stop_measuring();
        let end = self.range.end.min(total?);
        Poll::Ready(self.go_to(end.checked_add_signed(distance)))
    }

    /// Takes back the wish for the byte that was to tell the complete-length.
    pub(super) fn stop_measuring(&mut self) {
        if let Some(measuring) = self.measuring.take() {
            self.board.ask(|notes| notes.demand.withdraw(measuring));
        }
    }

    fn go_to(&mut self, target: Option<u64>) -> io::Result<()> {
        let outside =
            || io::Error::new(io::ErrorKind::InvalidInput, "a seek to before the start of the range");
        let target = target.filter(|target| *target >= self.range.start).ok_or_else(outside)?;
        let ahead = target.checked_sub(self.at).and_then(|ahead| usize::try_from(ahead).ok());
        if let Some(ahead) = ahead.filter(|ahead| *ahead <= self.taken.len()) {
            // What is wanted next stays the same: the byte behind what was taken.
            self.taken.advance(ahead);
            self.at = target;
            return Ok(());
        }
        let cursor = target.min(self.range.end);
        self.claimant = self.board.ask(|notes| notes.demand.seek(self.claimant, cursor));
        self.at = target;
        self.taken.clear();
        self.taking = None;
        self.piece = FIRST_PIECE;
        self.blocked = false;
        Ok(())
    }
}
