//! The daemon's events, read as they come, over lost connections and restarts of the daemon.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use retry_kit::{Clock, TokioClock};
use serde_json::Value;

use super::client::{CallError, Daemon};
use crate::exit::Exit;

/// One event of the daemon.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Happened {
    pub(super) id: Option<u64>,
    pub(super) name: String,
    pub(super) data: Value,
}

/// Events without a gap: what cannot be continued begins again with a snapshot.
pub(super) struct Stream<'a> {
    daemon: &'a Daemon,
    body: Option<BoxStream<'static, reqwest::Result<bytes::Bytes>>>,
    parser: Parser,
    last: Option<u64>,
    silent_since: Option<Instant>,
}

impl<'a> Stream<'a> {
    pub(super) fn of(daemon: &'a Daemon) -> Self {
        Self { daemon, body: None, parser: Parser::default(), last: None, silent_since: None }
    }

    /// The next event.
    ///
    /// # Errors
    /// When the daemon refuses, or has not been there for half a minute.
    ///
    /// # Cancel safety
    /// Safe: what was received is kept.
    pub(super) async fn next(&mut self) -> Result<Happened, CallError> {
        loop {
            if let Some(happened) = self.parser.next() {
                self.last = happened.id.or(self.last);
                return Ok(happened);
            }
            let Some(body) = &mut self.body else {
                self.connect().await?;
                continue;
            };
            // It says something every quarter of a minute; a connection that is silent for longer is none.
            match tokio::time::timeout(SILENCE, body.next()).await {
                Ok(Some(Ok(bytes))) => {
                    self.silent_since = None;
                    self.parser.feed(&bytes);
                }
                _ => {
                    self.body = None;
                    self.parser = Parser::default();
                    self.silent_since = Some(TokioClock.now());
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), CallError> {
        let clock = TokioClock;
        if self.silent_since.is_some() {
            clock.sleep(PAUSE).await;
        }
        let since = *self.silent_since.get_or_insert_with(|| clock.now());
        match self.daemon.follow("/events", self.last).await {
            Ok(response) => self.body = Some(response.bytes_stream().boxed()),
            // At the first try nobody is there to be waited for.
            Err(error) if error.exit != Exit::Unreachable || self.last.is_none() => return Err(error),
            Err(error) if since + PATIENCE < clock.now() => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }
}

/// Takes text/event-stream apart, whatever pieces it comes in.
#[derive(Debug, Default)]
struct Parser {
    text: Vec<u8>,
    /// Bytes before it are done with.
    at: usize,
    id: Option<u64>,
    name: Option<String>,
    data: Option<String>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.text.drain(..std::mem::take(&mut self.at));
        self.text.extend_from_slice(bytes);
    }

    fn next(&mut self) -> Option<Happened> {
        while let Some(end) = self.text[self.at..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.text[self.at..self.at + end]).into_owned();
            self.at += end + 1;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                if let (Some(name), Some(data)) = (self.name.take(), self.data.take()) {
                    let data = serde_json::from_str(&data).unwrap_or(Value::Null);
                    return Some(Happened { id: self.id.take(), name, data });
                }
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.id = value.parse().ok(),
                "event" => self.name = Some(value.to_owned()),
                "data" => self.data = Some(value.to_owned()),
                _ => {}
            }
        }
        None
    }
}

const SILENCE: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_millis(500);
/// How long a daemon may be away while somebody follows it.
const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn events_come_out_whole_whatever_pieces_they_arrive_in() {
        let text = "retry: 3000\n\n: keep-alive\n\nid: 7\nevent: disk.ok\ndata: {\"free\":5}\n\n\
                    id: 8\r\nevent: disk.low\r\ndata:{}\r\n\r\nid: 9\nevent: cut";
        let expected = [
            Happened { id: Some(7), name: "disk.ok".into(), data: json!({ "free": 5 }) },
            Happened { id: Some(8), name: "disk.low".into(), data: json!({}) },
        ];
        for size in [1, 3, 7, 1000] {
            let mut parser = Parser::default();
            let mut found = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                parser.feed(piece);
                found.extend(std::iter::from_fn(|| parser.next()));
            }
            assert_eq!(found, expected, "in pieces of {size}");
        }
    }
}
