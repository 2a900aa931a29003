//! `peerd pause`, `resume`, `retry`, `cancel`, `rm` and `priority`: orders to the running daemon.

use std::io::{BufRead, IsTerminal};

use clap::Args;
use http::Method;
use serde_json::{Value, json};

use super::client::{CallError, Daemon};
use super::{Global, fail, ls, say_aside};
use crate::exit::Exit;

/// The downloads an order is for.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Ids, as `peerd ls` shows them
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
    /// Every download the order makes sense for
    #[arg(long)]
    all: bool,
}

/// An order that changes the state of downloads.
#[derive(Debug, Args)]
pub(super) struct Order {
    #[command(flatten)]
    which: Which,
}

/// What is ordered.
#[derive(Clone, Copy, Debug)]
pub(super) enum Verb {
    Pause,
    Resume,
    Retry,
    Cancel,
}

impl Verb {
    /// The last part of the route, what was done, and the states `--all` stands for.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Pause => ("pause", "paused", "queued,downloading,waiting"),
            Self::Resume => ("resume", "resumed", "paused"),
            Self::Retry => ("retry", "to be tried again", "failed"),
            Self::Cancel => ("cancel", "cancelled", "queued,downloading,waiting,paused,failed"),
        }
    }
}

impl Order {
    pub(super) async fn run(self, verb: Verb, global: &Global) -> Exit {
        let (word, done, states) = verb.words();
        let order = async || {
            let daemon = Daemon::find(global)?;
            let mut outcomes = Outcomes::default();
            for id in self.which.ids(&daemon, states).await? {
                let path = format!("/downloads/{id}/{word}");
                outcomes.add(id, done, daemon.call(Method::POST, &path, None).await, global);
            }
            Ok(outcomes.exit())
        };
        order().await.unwrap_or_else(|error: CallError| error.report())
    }
}

/// Forget downloads, with their unfinished bytes; a finished file stays, unless you say otherwise
#[derive(Debug, Args)]
#[command(mut_arg("all", |all| all.help("The whole list, also what runs; without --with-data nothing is asked")))]
pub(super) struct Rm {
    #[command(flatten)]
    which: Which,
    /// Delete finished files, too
    #[arg(long)]
    with_data: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Rm {
    pub(super) async fn run(self, global: &Global) -> Exit {
        match self.remove(global).await {
            Ok(exit) => exit,
            Err(error) => error.report(),
        }
    }

    async fn remove(&self, global: &Global) -> Result<Exit, CallError> {
        let daemon = Daemon::find(global)?;
        let ids = self.which.ids(&daemon, "").await?;
        if self.with_data && !self.yes && !ids.is_empty() && !confirmed(ids.len())? {
            return Ok(fail(Exit::General, "nothing was deleted"));
        }
        let done = match self.with_data {
            true => "removed from the list, and its file deleted",
            false => "removed from the list; a finished file stays",
        };
        let mut outcomes = Outcomes::default();
        for id in ids {
            let path = format!("/downloads/{id}?data={}", self.with_data);
            outcomes.add(id, done, daemon.call(Method::DELETE, &path, None).await, global);
        }
        Ok(outcomes.exit())
    }
}

/// Asks on the terminal before finished files go.
fn confirmed(count: usize) -> Result<bool, CallError> {
    if !std::io::stdin().is_terminal() {
        let message = "--with-data deletes finished files; say that you mean it with -y".to_owned();
        return Err(CallError { exit: Exit::Usage, message });
    }
    let what = if count == 1 {
        "this download and its file".to_owned()
    } else {
        format!("{count} downloads and their files")
    };
    super::ask(format_args!("delete {what}? [y/N] "));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    let failed = |error: std::io::Error| CallError { exit: Exit::General, message: error.to_string() };
    read.map_err(failed).map(|_| matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Move a download forward or back in the queue.
#[derive(Debug, Args)]
pub(super) struct Priority {
    /// Its id, as `peerd ls` shows it
    id: u64,
    /// -10 (last) to 10 (first)
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-10..=10))]
    priority: i8,
}

impl Priority {
    pub(super) async fn run(self, global: &Global) -> Exit {
        let (path, body) = (format!("/downloads/{}", self.id), json!({ "priority": self.priority }));
        let answer = match Daemon::find(global) {
            Ok(daemon) => daemon.call(Method::PATCH, &path, Some(body)).await,
            Err(error) => Err(error),
        };
        let mut outcomes = Outcomes::default();
        outcomes.add(self.id, &format!("priority {}", self.priority), answer, global);
        outcomes.exit()
    }
}

impl Which {
    /// The ids that were given; with `--all`, those of every row in one of these states, the oldest first.
    async fn ids(&self, daemon: &Daemon, states: &str) -> Result<Vec<u64>, CallError> {
        if !self.all {
            return Ok(self.ids.clone());
        }
        let rows = ls::rows(daemon, &[("state", Some(states)), ("sort", Some("oldest"))]).await?;
        Ok(rows.iter().filter_map(|row| row.get("id").and_then(Value::as_u64)).collect())
    }
}

/// How several orders went.
#[derive(Debug, Default)]
struct Outcomes {
    done: usize,
    failed: Vec<Exit>,
}

impl Outcomes {
    fn add(&mut self, id: u64, done: &str, answer: Result<Value, CallError>, global: &Global) {
        match answer {
            Ok(_) => {
                self.done += 1;
                say_aside(global, &format!("{id}: {done}"));
            }
            Err(error) => self.failed.push(fail(error.exit, format_args!("{id}: {}", error.message))),
        }
    }

    /// The code of all: that of the failures when they agree and nothing else was done.
    fn exit(&self) -> Exit {
        match self.failed.first() {
            None => Exit::Done,
            Some(_) if self.done > 0 => Exit::Some,
            Some(first) if self.failed.iter().all(|exit| exit == first) => *first,
            Some(_) => Exit::General,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_several_orders_says_whether_some_or_all_failed() {
        use Exit::{Done, General, NotFound};
        for (done, failed, expected) in [
            (0, vec![], Done),
            (2, vec![], Done),
            (1, vec![NotFound], Exit::Some),
            (0, vec![NotFound], NotFound),
            (0, vec![NotFound, NotFound], NotFound),
            (0, vec![NotFound, General], General),
        ] {
            assert_eq!(Outcomes { done, failed: failed.clone() }.exit(), expected, "{done} done, {failed:?}");
        }
    }
}
