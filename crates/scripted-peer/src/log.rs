//! What the peer saw: every request, what was sent for it, and how it ended.

use std::fmt::Write as _;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::honest::RangeSpec;
use crate::patience;

/// One request as it arrived, and what became of it so far.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// Its place among all requests to this peer, from 0.
    pub order: usize,
    /// The connection it came on, from 0 in the order they were accepted.
    pub connection: usize,
    /// When its head was complete.
    pub at: Instant,
    /// How many answers of its path were under way when it came, its own included.
    pub at_once: usize,
    /// The method, e.g. `GET`.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// What stood behind `?`.
    pub query: Option<String>,
    /// Every header line in order, names as sent.
    pub headers: Vec<(String, String)>,
    /// The status sent; `None` while none was.
    pub status: Option<u16>,
    /// Body bytes handed to the socket, without the framing of chunks. The client may have fewer.
    pub body_bytes: u64,
    /// The answer is over: played to its end, or the client is gone.
    pub finished: bool,
    /// The client closed the connection before its answer was over.
    pub hung_up: bool,
}

impl RecordedRequest {
    /// The value of the first header line of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The Range header as sent.
    pub fn range(&self) -> Option<&str> {
        self.header("range")
    }

    /// First byte and, half-open, the end of the range asked for: `bytes=5-9` is `(5, Some(10))`, `bytes=5-` is
    /// `(5, None)`. `None` without Range, or with another form of it.
    pub fn asked(&self) -> Option<(u64, Option<u64>)> {
        match RangeSpec::parse(self.range()?)? {
            RangeSpec::From(first_pos) => Some((first_pos, None)),
            RangeSpec::FromTo(first_pos, last_pos) => Some((first_pos, Some(last_pos.saturating_add(1)))),
            RangeSpec::Suffix(_) => None,
        }
    }
}

/// Every request in order of arrival, and a way to wait for more.
#[derive(Debug)]
pub(crate) struct Log {
    requests: watch::Sender<Vec<RecordedRequest>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { requests: watch::Sender::new(Vec::new()) }
    }

    /// Records a request and returns it with its place in the order and how many there are beside it.
    pub(crate) fn record(&self, request: RecordedRequest) -> RecordedRequest {
        let mut placed = request;
        self.requests.send_modify(|requests| {
            placed.order = requests.len();
            let under_way = requests.iter().filter(|other| other.path == placed.path && !other.finished);
            placed.at_once = under_way.count() + 1;
            requests.push(placed.clone());
        });
        placed
    }

    pub(crate) fn update(&self, order: usize, change: impl FnOnce(&mut RecordedRequest)) {
        self.requests.send_modify(|requests| change(&mut requests[order]));
    }

    pub(crate) fn all(&self) -> Vec<RecordedRequest> {
        self.requests.borrow().clone()
    }

    pub(crate) fn of(&self, path: &str) -> Vec<RecordedRequest> {
        of(path, &self.requests.borrow())
    }

    pub(crate) async fn wait_until(
        &self,
        path: &str,
        what: &str,
        enough: impl Fn(&[RecordedRequest]) -> bool,
    ) -> Vec<RecordedRequest> {
        let mut watched = self.requests.subscribe();
        let waiting = watched.wait_for(|requests| enough(&of(path, requests)));
        match patience(waiting).await {
            Some(result) => of(path, &result.expect("self keeps the sender alive")),
            None => panic!("waited in vain for {what} at {path}. The peer saw:{}", self.told()),
        }
    }

    fn told(&self) -> String {
        let mut told = String::new();
        for request in self.requests.borrow().iter() {
            let RecordedRequest { method, path, status, body_bytes, finished, hung_up, .. } = request;
            let range = request.range().unwrap_or("no range");
            write!(
                told,
                "\n  {method} {path} ({range}): status {status:?}, {body_bytes} body bytes, \
                 finished: {finished}, hung up: {hung_up}"
            )
            .expect("writing to a String cannot fail");
        }
        if told.is_empty() { "\n  nothing".to_owned() } else { told }
    }
}

fn of(path: &str, requests: &[RecordedRequest]) -> Vec<RecordedRequest> {
    requests.iter().filter(|request| request.path == path).cloned().collect()
}
