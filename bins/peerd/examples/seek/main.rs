//! How long a seek takes: in a file that is still arriving, in the same file once it is there, and at the source itself.
//!
//! ```text
//! cargo build --release -p peerd
//! cargo run --release -p peerd --example seek -- --peerd target/release/peerd
//! ```
//!
//! A peer on loopback offers a file; a daemon fetches it at a limited rate. Meanwhile a reader goes to places all over the
//! file, each beyond what is there, and measures the time from its request to its first byte. Then the limit is lifted, and
//! the same places are visited in the finished file. Both are measured in one run on one machine, so their ratio means
//! something where the times do not.

#![allow(clippy::disallowed_methods, reason = "a program that measures, not a library")]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use clap::Parser;
use peerd::config::ByteSize;
use reqwest::{Client, Method};
use scripted_peer::{Representation, ScriptedPeer, seeded_bytes};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// Measure the time to the first byte after a seek.
#[derive(Debug, Parser)]
#[command(name = "seek")]
struct Options {
    /// The daemon; else the one built beside this example
    #[arg(long, value_name = "PATH")]
    peerd: Option<PathBuf>,
    /// Length of the file
    #[arg(long, default_value = "256MiB")]
    size: ByteSize,
    /// Rate of the download while it is read, per second
    #[arg(long, default_value = "4MiB")]
    limit: ByteSize,
    /// Places to visit
    #[arg(long, default_value_t = 60)]
    seeks: u64,
    /// Connections of the download
    #[arg(long, default_value_t = 4)]
    connections: u32,
}

/// The daemon and what it takes to ask it.
struct Daemon {
    _process: Child,
    address: String,
    key: String,
    client: Client,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (size, places) = (options.size.bytes(), places(options.size.bytes(), options.seeks));
    let peer = ScriptedPeer::start().await;
    let metadata = json!({ "id": "m", "title": "m", "filename": "m.bin", "size": size }).to_string();
    peer.serve("/peer/items/m", Representation::bytes(metadata).content_type("application/json"));
    peer.serve(FILE, Representation::seeded(SEED, size).etag("\"m\""));
    let dir = tempfile::tempdir()?;
    let daemon = Daemon::start(&options, dir.path(), &peer).await?;

    let source =
        visit(&places, |at| daemon.client.get(peer.url(FILE)).header("range", range_from(at))).await?;
    let new = json!({ "peer": "bob", "item": "m", "limit_down": options.limit.bytes() });
    let id = daemon.ask(Method::POST, "", Some(&new)).await?["id"].as_u64().context("no id")?;
    let content = format!("/{id}/content");
    let there = |at| daemon.request(Method::GET, &content).header("range", range_from(at));
    let growing = visit(&places, there).await?;
    let row = daemon.ask(Method::GET, &format!("/{id}"), None).await?;
    let written = row["written"].as_u64().unwrap_or(size);
    ensure!(written < size / 2, "{written} of {size} bytes are there: take a larger file, or fewer seeks");
    daemon.ask(Method::PATCH, &format!("/{id}"), Some(&json!({ "limit_down": 0 }))).await?;
    while daemon.ask(Method::GET, &format!("/{id}"), None).await?["state"] != "completed" {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let finished = visit(&places, there).await?;

    println!("{} seeks in {size} bytes, limited to {} per second", places.len(), options.limit.bytes());
    for (what, times) in [("arriving", &growing), ("finished", &finished), ("source", &source)] {
        let [half, most, worst] = quantiles(times).map(|time| time.as_secs_f64() * 1e3);
        println!("{what:>9}: median {half:.2} ms, 9 of 10 within {most:.2} ms, slowest {worst:.2} ms");
    }
    let ratio = quantiles(&growing)[0].as_secs_f64() / quantiles(&finished)[0].as_secs_f64();
    println!("arriving to finished, medians: {ratio:.2}");
    Ok(())
}

/// The time to the first bytes at each place, which must be the right ones.
async fn visit(
    places: &[u64],
    request: impl Fn(u64) -> reqwest::RequestBuilder,
) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(places.len());
    for &at in places {
        let begin = Instant::now();
        let mut response = request(at).send().await?.error_for_status()?;
        let first = response.chunk().await?.context("no bytes")?;
        times.push(begin.elapsed());
        ensure!(first == seeded_bytes(SEED, at..at + first.len() as u64), "other bytes at {at}");
    }
    Ok(times)
}

/// Places all over the file, in an order that never reads on, beyond what the first seconds bring.
fn places(size: u64, count: u64) -> Vec<u64> {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut places: Vec<_> =
        (0..count).map(|n| size / 4 + (size * 3 / 4).saturating_sub(1 << 16) * n / count.max(1)).collect();
    rng.shuffle(&mut places);
    places
}

fn range_from(at: u64) -> String {
    format!("bytes={at}-")
}

/// The median, the ninth decile and the maximum.
fn quantiles(times: &[Duration]) -> [Duration; 3] {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |part: f64| sorted[((sorted.len() - 1) as f64 * part).round() as usize];
    [at(0.5), at(0.9), at(1.0)]
}

impl Daemon {
    async fn start(options: &Options, dir: &Path, peer: &ScriptedPeer) -> anyhow::Result<Self> {
        let config = json!({
            "server": { "listen": ["127.0.0.1:0"] },
            "admin": { "listen": ["127.0.0.1:0"] },
            "downloads": { "connections": options.connections, "min_free": "0" },
            "peers": { "bob": { "url": peer.url("/"), "key": "a-key-between-two-friends" } },
            "log": { "format": "json" },
        });
        let (path, state) = (dir.join("peerd.toml"), dir.join("state"));
        std::fs::write(&path, toml::to_string(&config)?)?;
        let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("peerd"));
        let program = options.peerd.clone().or_else(beside).context("which peerd?")?;
        let mut process = Command::new(&program)
            .args(["serve", "--config"])
            .arg(path)
            .arg("--state-dir")
            .arg(&state)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let mut lines = BufReader::new(process.stderr.take().context("no log")?).lines();
        let address = loop {
            let Some(line) = lines.next_line().await? else { bail!("the daemon did not start") };
            let event: Value = serde_json::from_str(&line).unwrap_or_default();
            if event["listener"] == "admin" {
                break event["address"].as_str().context("no address")?.to_owned();
            }
        };
        // What it says later is read away, so that it never waits for us.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let key = std::fs::read_to_string(state.join("admin.key"))?.trim().to_owned();
        let client = Client::builder().no_proxy().build()?;
        Ok(Self { _process: process, address, key, client })
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}/api/v1/downloads{path}", self.address);
        self.client.request(method, url).header("x-api-key", &self.key)
    }

    async fn ask(&self, method: Method, path: &str, document: Option<&Value>) -> anyhow::Result<Value> {
        let mut request = self.request(method, path);
        if let Some(document) = document {
            request = request.json(document);
        }
        Ok(request.send().await?.error_for_status()?.json().await?)
    }
}

const FILE: &str = "/peer/items/m/file";
const SEED: u64 = 7;
