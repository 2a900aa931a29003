//! How the daemon starts and answers with a long queue.
//!
//! ```text
//! cargo build --release -p peerd
//! cargo run --release -p peerd --example long_queue -- target/release/peerd [ROWS]
//! ```
//!
//! Fills a registry with 100,000 rows (or ROWS), a tenth of them in line, a tenth set aside and the rest
//! cancelled, starts the real program on it five times, and prints what passes until it is ready and what pages of the
//! list take.

#![allow(clippy::disallowed_methods, reason = "a program that measures, not a library")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use download_registry::{Identity, NewDownload, Options, Registry, Total, TotalSource};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut arguments = std::env::args().skip(1);
    let program = arguments.next().context("usage: long_queue PEERD [ROWS]")?;
    let rows: u64 = arguments.next().map_or(Ok(100_000), |rows| rows.parse())?;
    let dir = tempfile::tempdir()?;
    configure(dir.path())?;
    fill(dir.path(), rows).await?;

    println!("| {rows} rows | median | worst |\n|---|---|---|");
    let (mut starts, mut pages) = (Vec::new(), vec![Vec::new(); PAGES.len()]);
    for _ in 0..5 {
        starts.push(life(Path::new(&program), dir.path(), &mut pages).await?);
    }
    line("start to ready", starts);
    for (query, times) in PAGES.iter().zip(pages) {
        line(&format!("`GET /api/v1/downloads{query}`"), times);
    }
    Ok(())
}

/// One run of the daemon; returns the time to its first `200` of `/readyz`.
async fn life(program: &Path, dir: &Path, pages: &mut [Vec<Duration>]) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let mut command = Command::new(program);
    command.args(["serve", "--config"]).arg(dir.join("peerd.toml")).arg("--state-dir").arg(dir.join("state"));
    let mut child =
        command.env_clear().stdin(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut lines = BufReader::new(child.stderr.take().context("no stderr")?).lines();
    let admin = loop {
        let line = lines.next_line().await?.context("the daemon ended")?;
        let event: Value = serde_json::from_str(&line).unwrap_or_default();
        if event["listener"] == "admin" {
            break event["address"].as_str().context("no address")?.to_owned();
        }
    };
    // A full pipe would stop the daemon.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let client = Client::builder().no_proxy().build()?;
    while !client
        .get(format!("http://{admin}/readyz"))
        .send()
        .await
        .is_ok_and(|answer| answer.status().is_success())
    {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let ready = begun.elapsed();
    let key = std::fs::read_to_string(dir.join("state/admin.key"))?;
    for (query, times) in PAGES.iter().zip(pages) {
        for _ in 0..20 {
            let begun = Instant::now();
            let request =
                client.get(format!("http://{admin}/api/v1/downloads{query}")).bearer_auth(key.trim());
            request.send().await?.error_for_status()?.bytes().await?;
            times.push(begun.elapsed());
        }
    }
    child.kill().await?;
    Ok(ready)
}

fn configure(dir: &Path) -> anyhow::Result<()> {
    let anywhere = json!({ "listen": ["127.0.0.1:0"] });
    let config = json!({
        "server": anywhere, "admin": anywhere, "log": { "format": "json" },
        // Nobody is there: the queue stays as long as it is.
        "peers": { "bob": { "url": "http://127.0.0.1:9/" } },
        "downloads": { "dir": dir.join("completed"), "incomplete_dir": dir.join("incomplete") },
    });
    std::fs::create_dir_all(dir.join("state"))?;
    Ok(std::fs::write(dir.join("peerd.toml"), toml::to_string(&config)?)?)
}

async fn fill(dir: &Path, rows: u64) -> anyhow::Result<()> {
    let registry = Registry::open(dir.join("state/peerd.db"), &Options::default()).await?;
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (registry, dir) = (registry.clone(), dir.to_owned());
            tokio::spawn(async move {
                for n in (caller..rows).step_by(CALLERS as usize) {
                    let now = SystemTime::now().into();
                    let row = registry.enqueue(&new(&dir, n), now).await?;
                    match n % 10 {
                        0 => {}
                        1 => drop(registry.pause(row.id, now).await?),
                        _ => drop(registry.cancel(row.id, now).await?),
                    }
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for caller in callers {
        caller.await??;
    }
    registry.close().await;
    Ok(())
}

fn new(dir: &Path, n: u64) -> NewDownload {
    let name = format!("An example of a file name with the number {n:06}.mkv");
    let path = |of: &str| dir.join(of).join(&name).to_string_lossy().into_owned();
    NewDownload {
        peer: Some("bob".to_owned()),
        item: Some(format!("films:{n}")),
        url: format!("http://127.0.0.1:9/peer/items/films:{n}/file"),
        target: Some(path("completed")),
        part: Some(path("incomplete")),
        filename: Some(name),
        identity: Identity {
            total: Some(Total { bytes: 1 << 30 | n, source: TotalSource::Manifest }),
            validator: None,
        },
        ..NewDownload::default()
    }
}

fn line(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (Some(median), Some(worst)) = (times.get(times.len() / 2), times.last()) else { return };
    println!("| {what} | {:.1} ms | {:.1} ms |", median.as_secs_f64() * 1e3, worst.as_secs_f64() * 1e3);
}

const PAGES: [&str; 4] = ["", "?state=queued", "?sort=name&limit=100", "?limit=500"];
/// Callers that enqueue at once, each waiting for its answer.
const CALLERS: u64 = 64;
