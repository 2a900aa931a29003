//! Sends one reply the way the script wants it: paced, parked, cut short, or in order.

use std::io;

use crate::answer::Answer;
use crate::connection::Connection;
use crate::deviation::{Ending, How};
use crate::log::Log;
use crate::pacer::{Pace, Pacer};
use crate::reply::Reply;

/// What becomes of the connection after an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fate {
    Next,
    Close,
    Reset,
}

/// What a delivery works with.
pub(crate) struct Delivery<'peer> {
    pub(crate) connection: &'peer Connection,
    pub(crate) reply: &'peer Reply,
    pub(crate) answer: &'peer Answer,
    pub(crate) pacer: &'peer Pacer,
    pub(crate) log: &'peer Log,
    /// The request in the log that this answers.
    pub(crate) order: usize,
}

impl Delivery<'_> {
    /// Sends the reply and records every piece of the body that left.
    ///
    /// Returns the moment the last byte is handed to the socket. A stall never returns: the caller watches for the
    /// client to leave.
    ///
    /// # Errors
    /// If the socket refuses, which means that the client is gone.
    pub(crate) async fn run(&self) -> io::Result<Fate> {
        let reply = self.reply;
        match self.answer.ending {
            None => {
                self.send_head().await?;
                self.send_body(reply.body.length()).await?;
                if reply.chunked {
                    self.connection.send(LAST_CHUNK).await?;
                }
                self.connection.send(&reply.garbage).await?;
                Ok(if reply.last { Fate::Close } else { Fate::Next })
            }
            Some(Ending { at, how }) => {
                if let Some(at) = at {
                    self.send_head().await?;
                    self.send_body(at.min(reply.body.length())).await?;
                }
                match how {
                    How::Close => Ok(Fate::Close),
                    How::Reset => Ok(Fate::Reset),
                    How::Stall => std::future::pending().await,
                }
            }
        }
    }

    async fn send_head(&self) -> io::Result<()> {
        match self.answer.head_pace {
            Some(pace) => self.connection.drip(&self.reply.head, pace).await?,
            None => self.connection.send(&self.reply.head).await?,
        }
        self.log.update(self.order, |record| record.status = Some(self.reply.status));
        Ok(())
    }

    /// Sends the body up to `end`, stopping at every gate on the way.
    async fn send_body(&self, end: u64) -> io::Result<()> {
        let mut gates = self.answer.body_gates.clone();
        gates.retain(|(at, _)| *at <= end);
        gates.sort_by_key(|(at, _)| *at);
        let mut gates = gates.into_iter().peekable();
        let mut ticks = self.answer.pace.map(Pace::ticks);

        let mut sent = 0;
        loop {
            while let Some((_, gate)) = gates.next_if(|(at, _)| *at == sent) {
                gate.pass().await;
            }
            if sent == end {
                return Ok(());
            }
            if let Some(ticks) = &mut ticks {
                ticks.tick().await;
            }
            let stop = gates.peek().map_or(end, |(at, _)| *at);
            let next = stop.min(sent.saturating_add(self.piece()));
            self.pacer.carry(next - sent).await;
            let bytes = self.reply.body.read(sent, next);
            let framed = if self.reply.chunked { chunk(&bytes) } else { bytes };
            self.connection.send(&framed).await?;
            sent = next;
            self.log.update(self.order, |record| record.body_bytes = sent);
        }
    }

    fn piece(&self) -> u64 {
        self.answer.pace.map_or(PIECE, |pace| pace.bytes.max(1)).min(self.pacer.piece())
    }
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Body bytes handed to the socket at a time.
const PIECE: u64 = 16 * 1024;
