//! Somebody who follows the events of a daemon.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use crate::support::Daemon;

pub(crate) const EVENTS: &str = "/api/v1/events";

/// One event as it was received.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) data: Value,
}

/// An open stream, and everything that came in so far.
pub(crate) struct Feed {
    response: reqwest::Response,
    text: String,
    pub(crate) seen: Vec<Happened>,
}

impl Feed {
    /// Follows from now on.
    pub(crate) async fn of(daemon: &Daemon) -> Self {
        Self::open(daemon, None).await
    }

    /// Goes on after an event, or after whatever `last` may mean.
    pub(crate) async fn after(daemon: &Daemon, last: impl ToString) -> Self {
        Self::open(daemon, Some(last.to_string())).await
    }

    async fn open(daemon: &Daemon, last: Option<String>) -> Self {
        let mut request = daemon.request(Method::GET, EVENTS);
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status().as_u16(), 200, "{}", daemon.log.tail());
        Self { response, text: String::new(), seen: Vec::new() }
    }

    /// The next event; `None` when the stream ended as it should.
    pub(crate) async fn next(&mut self) -> Option<Happened> {
        // Over all of it: signs of life come for ever.
        match tokio::time::timeout(PATIENCE, self.receive()).await {
            Ok(next) => next,
            Err(_) => panic!("nothing more after {:#?}", self.seen),
        }
    }

    async fn receive(&mut self) -> Option<Happened> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let happened = parse(event);
                self.text = rest.to_owned();
                if let Some(happened) = happened {
                    self.seen.push(happened.clone());
                    return Some(happened);
                }
                continue;
            }
            let chunk = self.response.chunk().await.expect("a stream that is not cut")?;
            self.text.push_str(std::str::from_utf8(&chunk).expect("readable events"));
        }
    }

    /// The next event of this name about this download, or the next of this name with 0.
    pub(crate) async fn until(&mut self, name: &str, id: u64) -> Happened {
        loop {
            let next = self.next().await.unwrap_or_else(|| panic!("no {name} of {id} in {:#?}", self.seen));
            if next.name == name && (id == 0 || next.data["download_id"] == id) {
                return next;
            }
        }
    }

    /// The names of what happened to a download so far, progress left out.
    pub(crate) fn names(&self, id: u64) -> Vec<&str> {
        let of = self.seen.iter().filter(|happened| happened.data["download_id"] == id);
        of.map(|happened| happened.name.as_str()).filter(|name| *name != "download.progress").collect()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.seen.iter().map(|happened| happened.id).collect()
    }
}

fn parse(event: &str) -> Option<Happened> {
    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let (id, name, data) = (field("id"), field("event")?, field("data"));
    Some(Happened {
        id: id.expect("a number").parse().expect("a decimal number"),
        name: name.to_owned(),
        data: serde_json::from_str(data.expect("data")).expect("JSON"),
    })
}

const PATIENCE: Duration = Duration::from_secs(60);
