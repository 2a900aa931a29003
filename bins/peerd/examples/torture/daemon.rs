//! The daemon as a process: started, asked, killed.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use reqwest::{Method, RequestBuilder, StatusCode};
use retry_kit::{Clock, TokioClock};
use scripted_peer::Relay;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};

use super::stage::{KEY, Stage};

/// A process that may not have said yet where it listens. Dropping it kills it.
pub(crate) struct Process {
    child: Child,
    stderr: Option<BufReader<ChildStderr>>,
    said: Tail,
    name: &'static str,
}

/// Its last words.
pub(crate) type Tail = Arc<Mutex<VecDeque<String>>>;

/// Where it is reached, and how.
#[derive(Clone)]
pub(crate) struct Daemon {
    pub(crate) peer: SocketAddr,
    admin: SocketAddr,
    key: String,
    client: reqwest::Client,
}

impl Process {
    pub(crate) fn spawn(program: &Path, stage: &Stage, name: &'static str) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["serve", "--config"]).arg(stage.path(&format!("{name}.toml")));
        command.arg("--state-dir").arg(stage.state(name));
        // What configures the user's own daemon is none of ours.
        command.env_clear().env("HOME", stage.path("")).current_dir(stage.path(""));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().with_context(|| format!("cannot run {}", program.display()))?;
        let stderr = child.stderr.take().map(BufReader::new);
        Ok(Self { child, stderr, said: Tail::default(), name })
    }

    /// Waits until it listens on both its addresses.
    pub(crate) async fn ready(&mut self, stage: &Stage) -> anyhow::Result<Daemon> {
        let Some(stderr) = self.stderr.take() else { bail!("it was ready before") };
        let mut lines = stderr.lines();
        let (mut peer, mut admin) = (None, None);
        while peer.is_none() || admin.is_none() {
            let Some(line) = lines.next_line().await? else {
                bail!("the {} did not start:\n{}", self.name, self.last_words());
            };
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            let address = event["address"].as_str().and_then(|address| address.parse().ok());
            match event["listener"].as_str() {
                Some("peer") => peer = address,
                Some("admin") => admin = address,
                _ => {}
            }
            remember(&self.said, line);
        }
        let said = Arc::clone(&self.said);
        // A full pipe would stop the daemon.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                remember(&said, line);
            }
        });
        let key = std::fs::read_to_string(stage.state(self.name).join("admin.key"))?;
        let (Some(peer), Some(admin)) = (peer, admin) else { bail!("it listens nowhere") };
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Daemon { peer, admin, key: key.trim().to_owned(), client })
    }

    /// SIGKILL: no chance to tidy up. Returns when it is gone.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.child
            .kill()
            .await
            .with_context(|| format!("cannot kill the {}:\n{}", self.name, self.last_words()))
    }

    /// Fails if it came to an end by itself.
    pub(crate) fn still_runs(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the {} ended by itself with {status}:\n{}", self.name, self.last_words()),
        }
    }

    pub(crate) fn last_words(&self) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }
}

impl Daemon {
    /// The ids of the shared files by their names, once all of them are offered.
    pub(crate) async fn items(&self, count: usize) -> anyhow::Result<Vec<(String, String)>> {
        for _ in 0..2400 {
            let url = format!("http://{}/peer/items?limit=1000", self.peer);
            let page: Value = self.client.get(url).header("x-api-key", KEY).send().await?.json().await?;
            let items = page["items"].as_array().into_iter().flatten();
            let text = |item: &Value, field: &str| item[field].as_str().map(str::to_owned);
            let items: Vec<_> =
                items.filter_map(|item| Some((text(item, "filename")?, text(item, "id")?))).collect();
            if items.len() == count {
                return Ok(items);
            }
            TokioClock.sleep(POLL).await;
        }
        bail!("not all files show up")
    }

    /// Queues an item. True when it is in the queue, this time or before.
    pub(crate) async fn add(&self, item: &str) -> bool {
        let request =
            self.request(Method::POST, "/api/v1/downloads").json(&json!({ "peer": "alice", "item": item }));
        match request.send().await.map(|answer| answer.status()) {
            // A conflict is the row of an answer that a kill had cut off, or the file it came to.
            Ok(status) => status == StatusCode::CREATED || status == StatusCode::CONFLICT,
            Err(_) => false,
        }
    }

    /// All rows.
    pub(crate) async fn rows(&self) -> anyhow::Result<Vec<Value>> {
        let answer = self.request(Method::GET, "/api/v1/downloads?limit=1000").send().await?;
        let mut page: Value = answer.error_for_status()?.json().await?;
        Ok(page["downloads"].as_array_mut().map(std::mem::take).unwrap_or_default())
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.admin)).header("x-api-key", &self.key)
    }
}

/// Queues what is not queued yet, one after the other, until the daemon answers no more.
pub(crate) async fn add_all(daemon: &Daemon, to_add: &mut Vec<String>) {
    while let Some(item) = to_add.last() {
        if !daemon.add(item).await {
            return;
        }
        to_add.pop();
    }
}

/// The life nobody cuts off: it ends when the queue is done, or when nothing moves any more.
pub(crate) async fn run_dry(
    process: &mut Process,
    daemon: &Daemon,
    relay: &Relay,
) -> anyhow::Result<Vec<Value>> {
    let mut seen = (0, 0);
    let mut moved = Instant::now();
    loop {
        process.still_runs()?;
        let rows = daemon.rows().await?;
        let open = rows.iter().filter(|row| !is_over(row)).count();
        if open == 0 {
            return Ok(rows);
        }
        let now = (open, relay.passed());
        if now != seen {
            (seen, moved) = (now, Instant::now());
        }
        if moved.elapsed() > STUCK {
            bail!("{open} rows are stuck:\n{}", process.last_words());
        }
        TokioClock.sleep(4 * POLL).await;
    }
}

fn is_over(row: &Value) -> bool {
    matches!(row["state"].as_str(), Some("completed" | "cancelled" | "failed"))
}

fn remember(said: &Tail, line: String) {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    said.push_back(line);
    if said.len() > 30 {
        said.pop_front();
    }
}

const POLL: Duration = Duration::from_millis(25);
const PATIENCE: Duration = Duration::from_secs(30);
/// Nothing moves any more.
const STUCK: Duration = Duration::from_secs(60);
