//! Reading a download while it arrives: what a player, `curl` or a browser gets from the content of a row.

#[path = "content/damage.rs"]
mod damage;
#[path = "content/leaving.rs"]
mod leaving;
#[path = "content/missing.rs"]
mod missing;
#[path = "content/ranges.rs"]
mod ranges;
#[path = "content/states.rs"]
mod states;
mod support;
#[path = "content/turnover.rs"]
mod turnover;
#[path = "content/turns.rs"]
mod turns;

use std::ops::Range;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderMap;
use scripted_peer::{RecordedRequest, ScriptedPeer, seeded_bytes};

use support::{DOWNLOADS, Daemon, Home, MIB};

const KIB: u64 = 1 << 10;
/// The seed of the file that most tests read.
const SEED: u64 = 7;
/// Large enough that the middle is far from both ends.
const LONG: u64 = 8 * MIB;

/// A response, and what has not been read of it.
struct Reading {
    response: reqwest::Response,
    status: u16,
    headers: HeaderMap,
    ahead: Vec<u8>,
}

impl Reading {
    /// Asks for the content of a row.
    async fn of(daemon: &Daemon, id: u64, fields: &[(&str, &str)]) -> Self {
        Self::with(daemon, Method::GET, id, fields).await
    }

    async fn with(daemon: &Daemon, method: Method, id: u64, fields: &[(&str, &str)]) -> Self {
        let mut request = daemon.request(method, &content_of(id));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = within(request.send()).await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { response, status, headers, ahead: Vec::new() }
    }

    /// Asks for a range of it, which must be answered.
    async fn range(daemon: &Daemon, id: u64, range: &Range<u64>) -> Self {
        let value = format!("bytes={}-{}", range.start, range.end - 1);
        let reading = Self::of(daemon, id, &[("range", &value)]).await;
        assert_eq!(reading.status, 206, "{range:?}; {}", daemon.log.tail());
        let content_range = format!("bytes {}-{}/", range.start, range.end - 1);
        assert!(reading.field("content-range").starts_with(&content_range), "{:?}", reading.headers);
        assert_eq!(reading.field("content-length"), (range.end - range.start).to_string());
        reading
    }

    fn field(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a readable field"))
    }

    /// The next `length` bytes.
    async fn take(&mut self, length: u64) -> Vec<u8> {
        let length = usize::try_from(length).expect("a small length");
        while self.ahead.len() < length {
            let chunk = within(self.response.chunk()).await.expect("more of the body");
            self.ahead.extend_from_slice(&chunk.expect("a body that goes on"));
        }
        self.ahead.drain(..length).collect()
    }

    /// All that is left.
    async fn rest(mut self) -> Vec<u8> {
        while let Some(chunk) = within(self.response.chunk()).await.expect("a whole body") {
            self.ahead.extend_from_slice(&chunk);
        }
        self.ahead
    }

    /// What comes before the connection breaks, which it must.
    async fn until_it_breaks(mut self) -> Vec<u8> {
        loop {
            match within(self.response.chunk()).await {
                Ok(Some(chunk)) => self.ahead.extend_from_slice(&chunk),
                Ok(None) => panic!("the body ends as if it were whole, after {} bytes", self.ahead.len()),
                Err(_) => return self.ahead,
            }
        }
    }
}

fn content_of(id: u64) -> String {
    format!("{DOWNLOADS}/{id}/content")
}

/// Reads a range to its end and compares it with what the peer has there.
async fn reads(daemon: &Daemon, id: u64, range: Range<u64>) {
    let bytes = Reading::range(daemon, id, &range).await.rest().await;
    assert!(bytes == seeded_bytes(SEED, range.clone()), "{range:?} is not what the peer has there");
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("something happens within a minute")
}

/// A machine that fetches from `peer` under the name `bob`, over one connection.
fn home(peer: &ScriptedPeer) -> Home {
    Home::new().knowing("bob", peer.url("/"))
}

/// First bytes of the requests for the file, in order.
fn starts(requests: &[RecordedRequest]) -> Vec<u64> {
    requests.iter().map(|request| request.asked().map_or(0, |(from, _)| from)).collect()
}

const PATIENCE: Duration = Duration::from_secs(60);
