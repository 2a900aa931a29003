//! `peerd watch`: what the daemon does, live.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clap::Args;
use http::Method;
use serde_json::{Map, Value};

use super::bars::{Bar, Bars, size};
use super::client::{CallError, Daemon};
use super::stream::{Happened, Stream};
use super::{Global, ls, say, say_aside, signals};
use crate::exit::Exit;
use crate::failure::Failure;

/// Follow downloads as they go on, until interrupted; with ids until those are over.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// Only these, as `peerd ls` shows them
    #[arg(value_name = "ID")]
    ids: Vec<u64>,
    /// Print events as JSON, one a line
    #[arg(long)]
    json: bool,
}

impl Watch {
    pub(super) async fn run(self, global: &Global) -> Exit {
        match self.follow(global).await {
            Ok(exit) => exit,
            Err(error) => error.report(),
        }
    }

    async fn follow(self, global: &Global) -> Result<Exit, CallError> {
        let general = |error: std::io::Error| CallError { exit: Exit::General, message: error.to_string() };
        let mut interrupted = Box::pin(signals::interrupted().map_err(general)?);
        let daemon = Daemon::find(global)?;
        for id in &self.ids {
            daemon.call(Method::GET, &format!("/downloads/{id}"), None).await?;
        }
        let mut stream = Stream::of(&daemon);
        let mut view = View::new(&self, global);
        loop {
            let happened = tokio::select! {
                exit = &mut interrupted => {
                    view.close();
                    return Ok(exit);
                }
                happened = stream.next() => happened,
            };
            let happened = happened.inspect_err(|_| view.close())?;
            if self.json {
                self.print(&happened);
            }
            if happened.name == "snapshot" {
                view.snapshot(&daemon, &happened.data).await?;
            } else {
                view.event(&happened);
            }
            if let Some(exit) = view.end() {
                view.close();
                return Ok(exit);
            }
        }
    }

    /// Prints an event as a flat object, if it is about what was asked for.
    fn print(&self, happened: &Happened) {
        let id = happened.data.get("download_id").and_then(Value::as_u64);
        if !self.ids.is_empty() && id.is_some_and(|id| !self.ids.contains(&id)) {
            return;
        }
        let mut line = Map::new();
        line.insert("event".into(), happened.name.as_str().into());
        line.insert("id".into(), happened.id.into());
        if let Value::Object(data) = &happened.data {
            line.extend(data.clone());
        }
        say(&Value::Object(line).to_string());
    }
}

/// What is shown, and what is still waited for.
struct View<'a> {
    wanted: BTreeSet<u64>,
    over: BTreeMap<u64, Exit>,
    bars: Bars,
    shown: BTreeMap<u64, Bar>,
    json: bool,
    global: &'a Global,
}

impl<'a> View<'a> {
    fn new(watch: &Watch, global: &'a Global) -> Self {
        Self {
            wanted: watch.ids.iter().copied().collect(),
            over: BTreeMap::new(),
            bars: Bars::new(global.look().filter(|_| !watch.json), global.quiet || watch.json),
            shown: BTreeMap::new(),
            json: watch.json,
            global,
        }
    }

    /// Begins with how things stand, or goes on from there after a gap.
    async fn snapshot(&mut self, daemon: &Daemon, data: &Value) -> Result<(), CallError> {
        let rows = data.get("downloads").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if self.wanted.is_empty() {
            for row in rows.iter().filter(|row| !is_over(row)) {
                self.row(row);
            }
            return Ok(());
        }
        // A snapshot does not reach back for ever: those that were asked for are asked about.
        for id in self.wanted.clone() {
            match daemon.call(Method::GET, &format!("/downloads/{id}"), None).await {
                Ok(row) => self.row(&row),
                Err(error) if error.exit == Exit::NotFound => self.settle(id, Exit::NotFound, "deleted"),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn row(&mut self, row: &Value) {
        let text = |name: &str| row.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(id) = row.get("id").and_then(Value::as_u64) else { return };
        self.bar(id, Some(row));
        match ls::state(row) {
            Some(state) if state.is_published() => self.done(id, text("target"), row.get("total")),
            Some(state) if !state.is_live() => self.failed(id, row),
            _ => self.progress(id, row),
        }
    }

    fn event(&mut self, happened: &Happened) {
        let data = &happened.data;
        let Some(id) = data.get("download_id").and_then(Value::as_u64) else {
            return self.general(happened);
        };
        if !self.wanted.is_empty() && !self.wanted.contains(&id) {
            return;
        }
        let text = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| data.get(name).and_then(Value::as_u64).unwrap_or_default();
        match happened.name.as_str() {
            "download.created" => {
                self.bar(id, Some(data)).tell("added");
            }
            "download.progress" => self.progress(id, data),
            "download.retrying" => {
                let (attempt, max) = (number("attempt"), number("max"));
                let delay = Duration::from_millis(number("delay_ms")).as_secs_f64();
                let line = format!("{}; attempt {attempt} of {max}, next in {delay:.1} s", text("reason"));
                self.bar(id, None).tell(&line);
            }
            "download.restarted" => {
                let bar = self.bar(id, None);
                bar.restarted();
                bar.tell(&format!(
                    "starting over: {}, {} discarded",
                    text("reason"),
                    size(number("discarded"))
                ));
            }
            "download.paused" => {
                let bar = self.bar(id, None);
                bar.tell("paused");
                bar.rest();
            }
            "download.completed" => self.done(id, text("path"), data.get("total")),
            "download.failed" => self.failed(id, data),
            "download.cancelled" => self.settle(id, Exit::Failed, "cancelled"),
            "download.deleted" => self.settle(id, Exit::NotFound, "deleted"),
            _ => {}
        }
    }

    fn general(&self, happened: &Happened) {
        let free = happened.data.get("free").and_then(Value::as_u64).unwrap_or_default();
        let text = |name: &str| happened.data.get(name).and_then(Value::as_str).unwrap_or_default();
        let line = match happened.name.as_str() {
            "peer.down" => format!("{} is away: {}", text("peer"), text("reason")),
            "peer.up" => format!("{} is back", text("peer")),
            "disk.low" => format!("the disk is nearly full ({} free); the queue waits", size(free)),
            "config.reloaded" => "the daemon has read its configuration again".to_owned(),
            "disk.ok" => format!("the disk has room again ({} free); the queue goes on", size(free)),
            _ => return,
        };
        if !self.json {
            self.bars.suspend(|| say_aside(self.global, &line));
        }
    }

    /// The bar of a download; new ones are named after what is known of it.
    fn bar(&mut self, id: u64, known: Option<&Value>) -> &mut Bar {
        let bars = &self.bars;
        self.shown.entry(id).or_insert_with(|| {
            let text = |name: &str| known?.get(name).and_then(Value::as_str);
            let name = text("filename").or_else(|| text("item")).or_else(|| text("url"));
            bars.add(&name.map_or_else(|| format!("download {id}"), str::to_owned))
        })
    }

    fn progress(&mut self, id: u64, data: &Value) {
        let number = |name: &str| data.get(name).and_then(Value::as_u64);
        let rate = data.get("rate").and_then(Value::as_f64).unwrap_or_default();
        let eta = number("eta").map(Duration::from_secs);
        self.bar(id, None).update(number("written").unwrap_or_default(), number("total"), rate, eta);
    }

    fn done(&mut self, id: u64, path: &str, total: Option<&Value>) {
        self.finish(id);
        if !self.json {
            let total = total.and_then(Value::as_u64).unwrap_or_default();
            self.bars.suspend(|| say(&format!("{path} ({})", size(total))));
        }
        self.over.insert(id, Exit::Done);
    }

    fn failed(&mut self, id: u64, data: &Value) {
        let error = |name: &str| data.pointer(&format!("/error/{name}")).and_then(Value::as_str);
        let exit = error("kind").and_then(Failure::from_kind).map_or(Exit::Failed, Failure::exit);
        let message = error("message").unwrap_or("cancelled").to_owned();
        self.settle(id, exit, &message);
    }

    fn settle(&mut self, id: u64, exit: Exit, message: &str) {
        self.bar(id, None).tell(message);
        self.finish(id);
        self.over.insert(id, exit);
    }

    fn finish(&mut self, id: u64) {
        if let Some(bar) = self.shown.remove(&id) {
            bar.finish();
        }
    }

    /// The code to end with, once everything that was asked for is over.
    fn end(&self) -> Option<Exit> {
        if self.wanted.is_empty() || !self.wanted.iter().all(|id| self.over.contains_key(id)) {
            return None;
        }
        let ends: BTreeSet<_> = self.wanted.iter().map(|id| self.over[id] as u8).collect();
        match (self.wanted.iter().map(|id| self.over[id]).next(), ends.len()) {
            (Some(exit), 1) => Some(exit),
            _ if ends.contains(&(Exit::Done as u8)) => Some(Exit::Some),
            _ => Some(Exit::General),
        }
    }

    fn close(&mut self) {
        for (_, bar) in std::mem::take(&mut self.shown) {
            bar.finish();
        }
    }
}

fn is_over(row: &Value) -> bool {
    ls::state(row).is_some_and(|state| !state.is_live())
}
